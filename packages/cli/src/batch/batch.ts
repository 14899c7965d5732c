/**
 * A whole batch, for programs and for the command line: what is there is looked at first, so that the same checks are made
 * whether or not anything is drawn; then `run` draws what is missing. Started again, it goes on where it was.
 */

import type { Io } from '../output.js';
import { makeFolder } from '../picture-file.js';
import { createEncoder } from './encode.js';
import type { Engine } from './engine.js';
import { checkRoom, type Estimate, estimate, keepTimings } from './estimate.js';
import type { Item } from './item.js';
import type { Format } from './names.js';
import { type Plan, type Planned, planBatch, type Refused, type Shard, shardOf } from './plan.js';
import { knownResults, openResults, type Result, resultsFile } from './results.js';
import { type RunOptions, runBatch } from './run-batch.js';
import type { SoupOf } from './soups.js';
import type { Store } from './store.js';
import { type Survey, survey } from './survey.js';

export interface BatchOptions {
  readonly items: readonly Item[];
  readonly engine: Engine;
  readonly soupOf: SoupOf;
  readonly store: Store;
  /** Default: png. */
  readonly format?: Format;
  /** Of webp and jpeg, 1 to 100. */
  readonly quality?: number;
  /** The template of file names. */
  readonly name?: string;
  /** Only one part of several. */
  readonly shard?: Shard;
  /** Draw what is there, too. */
  readonly force?: boolean;
  /** Try again what failed before. */
  readonly retryFailed?: boolean;
  readonly signal?: AbortSignal;
  /** Where the cache is; by default that of the process. */
  readonly env?: Io['env'];
  readonly onLook?: (done: number, total: number) => void;
}

export interface BatchSummary {
  readonly total: number;
  readonly done: number;
  /** Pictures that were there before. */
  readonly skipped: number;
  readonly failed: number;
  readonly duplicates: number;
  /** Neither drawn nor failed, since it was stopped. */
  readonly left: number;
  readonly isStopped: boolean;
  readonly seconds: number;
  /** The log of what became of each item. */
  readonly results: string;
}

export type BatchHooks = Partial<Pick<RunOptions, 'onResult' | 'onProgress' | 'onNote' | 'batch'>>;

export interface PreparedBatch {
  readonly plan: Plan;
  readonly found: Survey;
  /** Items that cannot be drawn. */
  readonly refused: readonly Refused[];
  readonly estimate: Estimate;
  run(hooks?: BatchHooks): Promise<BatchSummary>;
}

export function partOf(plan: Plan, shard: Shard | undefined): Pick<Plan, 'items' | 'refused'> {
  if (!shard) return plan;
  return { items: shardOf(plan.items, shard), refused: shardOf(plan.refused, shard) };
}

/** Throws a DiskError when the pictures will not fit on the disk. Nothing is written yet. */
export async function prepareBatch(options: BatchOptions): Promise<PreparedBatch> {
  const { items, engine, soupOf, store, format = 'png', name, shard, force, retryFailed, signal, onLook } = options;
  const { machine } = engine;
  const env = options.env ?? process.env;
  const plan = await planBatch(items, { soupOf, machine, format, name });
  const mine = partOf(plan, shard);
  const known = await knownResults(store.folder);
  const found = await survey(mine.items, { known, store, format, force, retryFailed, onProgress: onLook, signal });
  signal?.throwIfAborted();
  const refused = [...mine.refused, ...found.refused];
  const expected = await estimate(found.todo, { store, format, known, machine, env });
  checkRoom(expected, store);
  return {
    ...{ plan, found, refused, estimate: expected },
    async run(hooks = {}) {
      await makeFolder(store.folder);
      const log = await openResults(`${store.folder}/${resultsFile(shard)}`);
      const encoder = createEncoder({ format, quality: options.quality });
      const begun = performance.now();
      const timed = timings(found.todo);
      try {
        for (const result of found.verified) {
          const isKnown = [log.results, known].some((of) => of.get(result.id)?.sha256 === result.sha256);
          if (!isKnown) await log.add(result);
        }
        const { done, failed, isStopped } = await runBatch({
          ...{ engine, encoder, store, items: found.todo, refused, signal },
          ...hooks,
          async onResult(result) {
            await log.add(result);
            timed.add(result);
            await hooks.onResult?.(result);
          },
        });
        await keepTimings(timed.list, machine, env);
        const total = found.verified.length + found.failed.length + found.todo.length + refused.length;
        return {
          ...{ total, done, skipped: found.verified.length, failed: failed + found.failed.length },
          ...{ duplicates: plan.duplicates, left: found.todo.length + refused.length - done - failed, isStopped },
          ...{ seconds: (performance.now() - begun) / 1000, results: log.path },
        };
      } finally {
        await log.close();
        await encoder.close();
      }
    },
  };
}

/** Enough to know how long a picture takes. */
const MOST_TIMED = 1000;

function timings(todo: readonly Planned[]) {
  const byId = new Map(todo.map((planned) => [planned.id, planned]));
  const list: { planned: Planned; seconds: number }[] = [];
  return {
    list,
    add({ id, seconds }: Result): void {
      const planned = byId.get(id);
      if (planned && seconds !== undefined && seconds > 0 && list.length < MOST_TIMED) list.push({ planned, seconds });
    },
  };
}
