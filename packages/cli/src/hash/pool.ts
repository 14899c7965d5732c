/**
 * Files are hashed side by side in threads, since a core computes SHA-256 more slowly than a disk reads. Small jobs,
 * and sources that were not compiled (vitest runs TypeScript, which a thread cannot load), stay in this thread.
 */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { CheckpointError, throwIfAborted } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { printable } from '../text.js';
import { CHANGED, type FileHashes, type HashJob, hashFile } from './read-file.js';
import type { FromWorker } from './worker.js';

export interface PoolOptions {
  readonly signal?: AbortSignal;
  /** Bytes read, of all that will be. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Threads at most; 0 for none but this one. */
  readonly threads?: number;
}

const WORKER = fileURLToPath(new URL('./worker.js', import.meta.url));

/** Below this a thread takes longer to start than to work. */
const WORTH_A_THREAD = 32 * 2 ** 20;

/** More read from too many places at once. */
const MOST_THREADS = 8;

/** The hashes of each job, in order. The first failure stops all. */
export async function hashFiles(jobs: readonly HashJob[], options: PoolOptions = {}): Promise<FileHashes[]> {
  const threads = options.threads ?? Math.min(MOST_THREADS, availableParallelism());
  if (threads < 2 * jobs.length) return hashEach(jobs, options);
  // With threads to spare the whole file and its ranges are hashed side by side, each at half of the work.
  const halves = jobs.flatMap((job) => [
    { ...job, ranges: [] },
    { ...job, whole: false },
  ]);
  const { onProgress } = options;
  const report = onProgress && ((done: number, total: number) => onProgress(done / 2, total / 2));
  const hashes = await hashEach(halves, { ...options, ...(report && { onProgress: report }) });
  return jobs.map((_, i) => ({ sha256: hashes[2 * i]!.sha256, ranges: hashes[2 * i + 1]!.ranges }));
}

async function hashEach(jobs: readonly HashJob[], options: PoolOptions): Promise<FileHashes[]> {
  const { signal, onProgress } = options;
  const total = jobs.reduce((sum, { size }) => sum + size, 0);
  const usual = total < WORTH_A_THREAD ? 0 : Math.min(MOST_THREADS, availableParallelism());
  const threads = existsSync(WORKER) ? Math.min(jobs.length, options.threads ?? usual) : 0;

  let read = 0;
  const onChunk = (bytes: number): void => {
    read += bytes;
    onProgress?.(read, total);
  };
  const results: FileHashes[] = new Array(jobs.length);
  // The largest first, so that none is left over at the end.
  const waiting = jobs.map((_, i) => i).sort((a, b) => jobs[a]!.size - jobs[b]!.size);
  const failed = new AbortController();
  const stopped = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;

  const work = async (hash: (job: HashJob) => Promise<FileHashes>): Promise<void> => {
    for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
      if (stopped.aborted) return;
      const job = jobs[i]!;
      results[i] = await hash(job).catch((error: unknown) => {
        throw understood(error, job);
      });
    }
  };
  const inThisThread = (job: HashJob) =>
    hashFile(job, (bytes) => {
      stopped.throwIfAborted();
      onChunk(bytes);
    });
  const lanes =
    threads > 0 ? Array.from({ length: threads }, () => inThread(stopped, onChunk, work)) : [work(inThisThread)];
  // The first failure is the one to report: it makes the other threads end in the middle of their work.
  await Promise.allSettled(lanes.map((lane) => lane.catch((error: unknown) => failed.abort(error))));
  throwIfAborted(signal);
  failed.signal.throwIfAborted();
  return results;
}

/** Runs `work` with a function that hashes in a thread of its own, which ends with it or when `stopped`. */
async function inThread(
  stopped: AbortSignal,
  onChunk: (bytes: number) => void,
  work: (hash: (job: HashJob) => Promise<FileHashes>) => Promise<void>,
): Promise<void> {
  const worker = new Worker(WORKER);
  const end = (): void => void worker.terminate();
  stopped.addEventListener('abort', end, { once: true });
  const hash = (job: HashJob): Promise<FileHashes> =>
    new Promise((resolve, reject) => {
      const onMessage = (message: FromWorker): void => {
        if ('bytes' in message) onChunk(message.bytes);
        else settle();
        if ('done' in message) resolve(message.done);
        if ('failed' in message)
          reject(Object.assign(new Error(message.failed.message), { code: message.failed.code }));
      };
      const onError = (error: unknown): void => {
        settle();
        reject(error);
      };
      const onExit = (): void => onError(new Error('the thread that hashed it has ended'));
      const settle = () => worker.off('message', onMessage).off('error', onError).off('exit', onExit);
      worker.on('message', onMessage).on('error', onError).on('exit', onExit);
      worker.postMessage(job);
    });
  try {
    if (!stopped.aborted) await work(hash);
  } finally {
    stopped.removeEventListener('abort', end);
    await worker.terminate();
  }
}

function understood(error: unknown, { path }: HashJob): unknown {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (code !== CHANGED) return code === undefined ? error : diskError(path, error, 'read');
  return new CheckpointError(
    `${printable(path)} was changed while it was read. Wait until it is written, then start again.`,
    { file: path },
  );
}
