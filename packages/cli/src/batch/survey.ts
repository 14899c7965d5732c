/** What of a plan is there already: verified pictures are skipped, and nothing is overwritten that is not of a batch. */
import { DiskError } from '@diffusion-soup/core';
import { printable } from '../text.js';
import type { Format } from './names.js';
import { failureOf, type Planned, type Refused } from './plan.js';
import type { Result } from './results.js';
import { doneResult } from './run-batch.js';
import type { Store } from './store.js';
import { marksOf, sha256Bytes } from './verify.js';

export interface Survey {
  /** To be drawn, in the order of work. */
  readonly todo: readonly Planned[];
  /** There, whole, and what is wanted. */
  readonly verified: readonly Result[];
  /** Failed before, and not to be tried again. */
  readonly failed: readonly Result[];
  readonly refused: readonly Refused[];
}

export interface SurveyOptions {
  readonly known: ReadonlyMap<string, Result>;
  readonly store: Store;
  readonly format: Format;
  readonly force?: boolean;
  readonly retryFailed?: boolean;
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

export async function survey(items: readonly Planned[], options: SurveyOptions): Promise<Survey> {
  const { known, store, force = false, retryFailed = false, onProgress, signal } = options;
  const todo: Planned[] = [];
  const verified: Result[] = [];
  const failed: Result[] = [];
  const refused: Refused[] = [];
  for (const [i, planned] of items.entries()) {
    if (signal?.aborted) break;
    const result = known.get(planned.id);
    const bytes = force ? undefined : await store.read(planned.path);
    if (bytes) {
      const found = await look(bytes, planned, result, options.format);
      if (found === 'foreign') refused.push({ ...planned, error: failureOf(inTheWay(store.locate(planned.path))) });
      else if (found === 'other') todo.push(planned);
      else verified.push(found);
    } else if (result?.status === 'failed' && !retryFailed && !force) failed.push(result);
    else todo.push(planned);
    onProgress?.(i + 1, items.length);
  }
  return { todo, verified, failed, refused };
}

const inTheWay = (path: string): DiskError =>
  new DiskError(
    `${printable(path)} exists and is no picture of a batch; give another --name or --out, or --force to overwrite it`,
    { path },
  );

/** The result that a file stands for; or that it is another picture of a batch, or none. */
async function look(bytes: Uint8Array, planned: Planned, result: Result | undefined, format: Format) {
  const { id, address } = planned;
  const sha256 = sha256Bytes(bytes);
  const isSame = (of: { readonly address?: string }) => address === undefined || of.address === address;
  if (result?.status === 'done' && result.sha256 === sha256 && result.path === planned.path && isSame(result))
    return result;
  const marks = await marksOf(bytes, format);
  if (marks?.id === id && isSame(marks)) return doneResult(planned, { sha256, bytes: bytes.length });
  // Damaged files that the log knows are ours, too.
  return marks?.id !== undefined || result?.path === planned.path ? 'other' : 'foreign';
}
