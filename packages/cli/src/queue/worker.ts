/**
 * A worker: takes jobs of the soup that it has loaded for as long as there are some, draws them as a batch does, and says
 * how they ended. A job that was done before, by a worker that died before it could say so, is known by its picture.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { SoupError } from '@diffusion-soup/core';
import { type Job, UnrecoverableError, Worker } from 'bullmq';
import type { Redis } from 'ioredis';
import { addressOf } from '../batch/address.js';
import { createEncoder } from '../batch/encode.js';
import type { Engine } from '../batch/engine.js';
import { inOrder, type Planned } from '../batch/plan.js';
import type { Result } from '../batch/results.js';
import { doneResult, failedResult, runBatch } from '../batch/run-batch.js';
import { settleItem } from '../batch/settle-item.js';
import type { Soup, SoupOf } from '../batch/soups.js';
import { startOpener } from '../batch/start.js';
import type { Store } from '../batch/store.js';
import { marksOf, sha256Bytes } from '../batch/verify.js';
import { printable } from '../text.js';
import type { Board, SoupCounts } from './board.js';
import { PREFIX } from './connection.js';
import type { Leases } from './leases.js';
import { settleJob } from './settle-job.js';
import { itemOf, type Work } from './work.js';

export interface WorkerOptions {
  readonly redis: Redis;
  readonly board: Board;
  readonly leases: Leases;
  readonly engine: Engine;
  readonly soupOf: SoupOf;
  readonly storeOf: (out: string) => Promise<Store>;
  readonly leaseMs: number;
  /** Ends when there is nothing left to do, rather than wait for more. */
  readonly untilEmpty?: boolean;
  /** When aborted, what is in hand is finished, and nothing more taken. */
  readonly signal: AbortSignal;
  readonly onResult: (result: Result, work: Work, store: Store) => Promise<void>;
  readonly onStatus?: (text: string) => void;
  readonly onNote?: (text: string) => void;
}

export interface WorkerSummary {
  readonly done: number;
  readonly failed: number;
}

/** How often a worker may die over a job before it is parked. */
const MOST_DEATHS = 2;
const IDLE_MS = 500;
/** Queues whose stalled jobs an idle worker looks after at once. */
const MOST_WATCHED = 16;

interface Taken {
  readonly job: Job<Work>;
  readonly token: string;
}

export async function work(options: WorkerOptions): Promise<WorkerSummary> {
  const { redis, board, leases, engine, leaseMs, untilEmpty = false, signal, onStatus } = options;
  const name = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const count = { done: 0, failed: 0 };
  const open = new Map<string, Worker<Work>>();
  const workerOf = async (queue: string): Promise<Worker<Work>> => {
    let worker = open.get(queue);
    if (!worker) {
      worker = new Worker<Work>(queue, null, {
        ...{ connection: redis, prefix: PREFIX, autorun: false, lockDuration: leaseMs },
        ...{ stalledInterval: leaseMs, maxStalledCount: MOST_DEATHS },
      });
      worker.on('error', () => undefined); // it reconnects
      open.set(queue, worker);
      await worker.startStalledCheckTimer();
    }
    return worker;
  };
  const say = (soup?: string) =>
    board.sayWorker(name, {
      host: hostname(),
      pid: process.pid,
      adapter: engine.machine.adapter,
      soup,
      ...count,
      at: Date.now(),
    });

  const take = async (queue: string): Promise<Taken | undefined> => {
    const token = randomUUID();
    const job = (await (await workerOf(queue)).getNextJob(token, { block: false })) as Job<Work> | undefined;
    if (!job?.id) return undefined;
    if (job.deferredFailure) {
      await job.moveToFailed(new UnrecoverableError(job.deferredFailure), token, false);
      return take(queue);
    }
    leases.hold({ queue, job: job.id, token });
    return { job, token };
  };

  let current: string | undefined;
  let saidAt = 0;
  const beat = setInterval(() => void say(current).catch(() => undefined), 20_000);
  beat.unref();
  try {
    while (!signal.aborted) {
      const soups = await board.soups();
      if (Date.now() - saidAt > 5000) {
        await say(current);
        saidAt = Date.now();
      }
      const next = choose(soups, current);
      if (next === undefined) {
        const left = soups.filter(({ active, delayed }) => active + delayed > 0);
        if (untilEmpty && left.length === 0) break;
        onStatus?.(left.length > 0 ? 'waiting for what others have in hand' : 'waiting for work');
        // What a dead worker had in hand comes back by these.
        for (const { queue } of left.slice(0, MOST_WATCHED)) await workerOf(queue);
        await closeIdle(open, soups, current);
        await pause(IDLE_MS, signal);
        continue;
      }
      current = next;
      const first = await take(next);
      if (first) await drawJobs(first, () => take(next), options, count);
    }
  } finally {
    clearInterval(beat);
    await board.sayWorker(name, undefined).catch(() => undefined);
    for (const worker of open.values()) await worker.close(true);
  }
  return count;
}

/** The soup that is loaded while there is work on it; else the one that fewest work on, and of which most is left. */
export function choose(soups: readonly SoupCounts[], current: string | undefined): string | undefined {
  const waiting = soups.filter(({ wait, delayed }) => wait > 0 || delayed > 0);
  const ready = waiting.filter(({ wait }) => wait > 0);
  if (ready.some(({ queue }) => queue === current)) return current;
  const best = [...ready].sort((a, b) => a.active - b.active || b.wait - a.wait || (a.queue < b.queue ? -1 : 1))[0];
  // Jobs that pause before another try move on when somebody asks for one.
  return best?.queue ?? waiting[Math.floor(Math.random() * waiting.length)]?.queue;
}

async function closeIdle(open: Map<string, Worker<Work>>, soups: readonly SoupCounts[], current: string | undefined) {
  for (const [queue, worker] of open) {
    const soup = soups.find((one) => one.queue === queue);
    if (queue === current || (soup && soup.active + soup.wait + soup.delayed > 0)) continue;
    open.delete(queue);
    await worker.close(true);
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });

/** Draws one job, and with it as many more of its soup as go at once. */
async function drawJobs(
  first: Taken,
  more: () => Promise<Taken | undefined>,
  options: WorkerOptions,
  count: { done: number; failed: number },
): Promise<void> {
  const { engine, leases, signal, onResult, onStatus, onNote, storeOf } = options;
  const inHand = new Map<string, { taken: Taken; store: Store }>();
  const finish = async (result: Result, taken: Taken, store: Store) => {
    // Noted before it is settled: a worker that dies between the two leaves a job that is done again, not one that is lost.
    if (result.status === 'done') await onResult(result, taken.job.data, store);
    const isOurs = await settleJob(taken.job, taken.token, result);
    leases.release(taken.job.id!);
    if (!isOurs) {
      onNote?.(`the lease on ${taken.job.data.path} ran out; another worker has it`);
      return;
    }
    count[result.status]++;
    if (result.status === 'failed') await onResult(result, taken.job.data, store);
  };
  const prepare = async (taken: Taken): Promise<{ planned: Planned; store: Store } | undefined> => {
    const { data } = taken.job;
    const store = await storeOf(data.out);
    try {
      const planned = await plannedOf(data, options);
      const bytes = await store.read(data.path);
      const marks = bytes && (await marksOf(bytes, data.format));
      if (!bytes || marks?.id !== data.id) return { planned, store };
      await finish(
        doneResult({ ...planned, address: marks.address }, { sha256: sha256Bytes(bytes), bytes: bytes.length }),
        taken,
        store,
      );
    } catch (error) {
      if (!(error instanceof SoupError)) throw error;
      await finish(failedResult({ item: itemOf(data), id: data.id }, error), taken, store);
    }
    return undefined;
  };
  const ready = await prepare(first);
  if (!ready) return;
  const batch = [ready.planned];
  inHand.set(ready.planned.id, { taken: first, store: ready.store });
  try {
    await engine.prepare(ready.planned.soup, { signal: undefined });
    for (let room = engine.batchSize(ready.planned) - 1; room > 0 && !signal.aborted; room--) {
      const taken = await more();
      const other = taken && (await prepare(taken));
      if (!taken) break;
      if (!other) continue;
      batch.push(other.planned);
      inHand.set(other.planned.id, { taken, store: other.store });
    }
    const { format, quality } = first.job.data;
    const encoder = createEncoder({ format, quality, threads: 0 });
    await runBatch({
      engine,
      encoder,
      store: routed(inHand),
      items: inOrder(batch),
      async onResult(result) {
        const { taken, store } = inHand.get(result.id)!;
        inHand.delete(result.id);
        await finish(result, taken, store);
      },
      onProgress: ({ step }) => onStatus?.(`${ready.planned.soup.title}: ${count.done} done${step ? `; ${step}` : ''}`),
      onNote,
    });
  } catch (error) {
    // Others may have more luck with what was in hand.
    for (const { taken, store } of inHand.values()) {
      const { data } = taken.job;
      await finish(failedResult({ item: itemOf(data), id: data.id }, error), taken, store);
    }
    if (!(error instanceof SoupError) || ['DeviceError', 'AdapterError'].includes(error.name)) throw error;
  }
}

/** Pictures of one batch may go to several places. */
function routed(inHand: ReadonlyMap<string, { taken: Taken; store: Store }>): Store {
  const of = (path: string): Store => [...inHand.values()].find(({ taken }) => taken.job.data.path === path)!.store;
  return {
    name: 'the queue',
    folder: '',
    locate: (path) => path,
    read: (path) => of(path).read(path),
    put: (path, bytes, sha256) => of(path).put(path, bytes, sha256),
    free: async () => undefined,
  };
}

/** The item on this machine: it must be of the very files that it was submitted with. */
async function plannedOf(data: Work, { soupOf, engine }: WorkerOptions): Promise<Planned> {
  const item = itemOf(data);
  const soup: Soup = await soupOf(item.soup);
  if (soup.key !== data.soup) throw new OtherSoupError(soup.title);
  const what = await settleItem(item, soup, startOpener());
  if (what.id !== data.id) throw new OtherSoupError(item.image ?? soup.title);
  return { item, soup, ...what, address: addressOf(what.id, engine.machine), path: data.path };
}

class OtherSoupError extends SoupError {
  override name = 'OtherSoupError';
  override readonly exitCode = 4;
  constructor(title: string) {
    super(
      `${printable(title)} is not the same on this machine as where it was submitted; bring the same files to all workers`,
    );
  }
}
