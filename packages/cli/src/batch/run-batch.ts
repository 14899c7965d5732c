/**
 * Draws what a plan says. Each picture is encoded and written while the next ones are drawn, and noted when it is there; what
 * fails is noted with its reason, and the rest goes on. Only a full disk, and a device that is lost again and again, end it.
 */
import { CancelledError, DeviceError, DiskError, type Image, pictureTexts, SoupError } from '@diffusion-soup/core';
import type { Encoder } from './encode.js';
import { type Engine, isOutOfMemory } from './engine.js';
import { failureOf, type Planned, type Refused, shapeOf } from './plan.js';
import type { Result } from './results.js';
import type { Store } from './store.js';
import { sha256Bytes } from './verify.js';

export interface RunOptions {
  readonly engine: Engine;
  readonly encoder: Encoder;
  readonly store: Store;
  /** In the order of work. */
  readonly items: readonly Planned[];
  readonly refused?: readonly Refused[];
  /** Called when a picture is in place, or an item has failed. */
  readonly onResult: (result: Result) => Promise<void>;
  readonly onProgress?: (progress: { done: number; failed: number; total: number; step?: string }) => void;
  readonly onNote?: (text: string) => void;
  readonly signal?: AbortSignal;
  /** The most pictures in one go; by default as many as the engine thinks good. */
  readonly batch?: number;
}

export interface RunSummary {
  readonly done: number;
  readonly failed: number;
  /** Stopped on request before all was drawn. */
  readonly isStopped: boolean;
}

/** Devices lost one after the other, after which a new one will not help. */
const MOST_LOST = 3;

export async function runBatch(options: RunOptions): Promise<RunSummary> {
  const { engine, store, encoder, items, refused = [], onResult, signal, onNote } = options;
  const total = items.length + refused.length;
  const count = { done: 0, failed: 0 };
  const tell = (step?: string) => options.onProgress?.({ ...count, total, ...(step !== undefined && { step }) });
  const fail = async (planned: Pick<Planned, 'item' | 'id'>, error: unknown) => {
    count.failed++;
    await onResult(failedResult(planned, error));
    tell();
  };
  for (const { error, ...one } of refused) {
    count.failed++;
    await onResult({ ...failedResult(one, undefined), error });
  }

  const saving = savingQueue();
  const save = async (planned: Planned, image: Image, seconds: number) => {
    try {
      const texts = textsOf(planned, engine);
      const bytes = await encoder.encode(image, texts);
      const sha256 = sha256Bytes(bytes);
      await store.put(planned.path, bytes, sha256);
      await onResult(doneResult(planned, { sha256, bytes: bytes.length, seconds }));
      count.done++;
      tell();
    } catch (error) {
      if (!(error instanceof SoupError) || error instanceof DiskError) throw error;
      await fail(planned, error);
    }
  };

  let limit = options.batch ?? Number.POSITIVE_INFINITY;
  let lost = 0;
  const draw = async (batch: readonly Planned[]) => {
    const begun = performance.now();
    const images = await engine.draw(batch, {
      signal,
      onStep: (step, steps) => tell(`step ${step} of ${steps}`),
      onWarning: onNote,
    });
    const seconds = (performance.now() - begun) / 1000 / batch.length;
    for (const [i, image] of images.entries()) await saving.add(() => save(batch[i]!, image, seconds));
  };

  let isStopped = false;
  try {
    let isAgain = false;
    for (let at = 0; at < items.length && !signal?.aborted; ) {
      saving.check();
      const first = items[at]!;
      let batch: Planned[] = [first];
      try {
        await engine.prepare(first.soup, { signal });
        const most = isAgain && limit > 1 ? 1 : Math.min(limit, engine.batchSize(first));
        batch = sameShape(items, at, Math.max(1, most));
        await draw(batch);
        [at, lost, isAgain] = [at + batch.length, 0, false];
      } catch (error) {
        if (error instanceof CancelledError || signal?.aborted) break;
        if (error instanceof DiskError) throw error;
        const isLost = error instanceof DeviceError && !isOutOfMemory(error);
        if (isLost && ++lost >= MOST_LOST) throw error;
        if (isLost) await engine.reset();
        if (isOutOfMemory(error) && batch.length > 1) {
          limit = Math.max(1, Math.floor(batch.length / 2));
          onNote?.(`not enough memory for ${batch.length} pictures at once; ${limit} from now on`);
          if (isAgain) isAgain = false;
          continue;
        }
        // Together they failed: which one is it?
        if (batch.length > 1 || (isLost && !isAgain)) {
          isAgain = true;
          continue;
        }
        await fail(first, error);
        [at, isAgain] = [at + 1, false];
      }
    }
    isStopped = signal?.aborted === true;
  } finally {
    await saving.end();
  }
  saving.check();
  return { ...count, isStopped };
}

/** The items from `at` on that can be drawn in one go. */
function sameShape(items: readonly Planned[], at: number, most: number): Planned[] {
  const shape = shapeOf(items[at]!);
  let end = at + 1;
  while (end < items.length && end - at < most && shapeOf(items[end]!) === shape) end++;
  return items.slice(at, end);
}

/** Pictures that wait to be written are memory: a few at once. */
const MOST_SAVING = 32;

function savingQueue() {
  const open = new Set<Promise<void>>();
  let broken: { error: unknown } | undefined;
  return {
    async add(work: () => Promise<void>): Promise<void> {
      while (open.size >= MOST_SAVING) await Promise.race(open);
      const job: Promise<void> = work()
        .catch((error: unknown) => {
          broken ??= { error };
        })
        .finally(() => open.delete(job));
      open.add(job);
    },
    /** Throws what could not be written. */
    check(): void {
      if (broken) throw broken.error;
    },
    async end(): Promise<void> {
      await Promise.all(open);
    },
  };
}

function textsOf({ settings, soup, id, address }: Planned, { machine }: Engine) {
  const { adapter, precision } = machine;
  return pictureTexts(settings, settings.seed, {
    recipe: soup.recipe,
    adapter,
    precision,
    id,
    ...(address && { address }),
  });
}

export function doneResult(
  { item, id, address, path, settings, soup }: Planned,
  written: { sha256: string; bytes: number; seconds?: number },
): Result {
  const { prompt, seed, width, height, steps } = settings;
  return {
    ...{ id, status: 'done', index: item.index, prompt, seed: String(seed), model: soup.title },
    ...(address && { address }),
    ...{ path, ...written, width, height, steps },
    ...(Object.keys(item.vars).length > 0 && { vars: item.vars }),
  };
}

export function failedResult({ item, id }: Pick<Planned, 'item' | 'id'>, error: unknown): Result {
  const { index, prompt, seed, soup, vars } = item;
  return {
    ...{ id, status: 'failed', index, prompt, seed: String(seed), model: soup.recipe ?? soup.model?.join('+') ?? '' },
    ...(Object.keys(vars).length > 0 && { vars }),
    error: failureOf(error),
  };
}
