/**
 * Hashes of bytes that pass by: of all of them, and of ranges. SHA-256 is slower than a disk, and this thread has a GPU to
 * feed, so of large streams each of the two is computed in a thread of its own, from a ring of shared memory.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { type FileHashes, type Range, rangeHashes, wholeHash } from './read-file.js';

export interface StreamHasher {
  /** In order. The bytes may be reused once the promise is kept. */
  update(piece: Uint8Array): Promise<void>;
  digest(): Promise<FileHashes>;
  /** Ends the threads; nothing is left to wait for. */
  close(): void;
}

const WORKER = fileURLToPath(new URL('./stream-worker.js', import.meta.url));

/** Below this a thread takes longer to start than to work. */
const WORTH_THREADS = 32 * 2 ** 20;

const SLOT_BYTES = 4 * 2 ** 20;
const SLOTS = 8;

/** `size` is about how many bytes there will be. From TypeScript sources (vitest) no thread can be started. */
export function hashStream(size: number, ranges: readonly Range[]): StreamHasher {
  return size >= WORTH_THREADS && existsSync(WORKER) ? inThreads(ranges) : inThisThread(ranges);
}

function inThisThread(ranges: readonly Range[]): StreamHasher {
  const whole = wholeHash();
  const parts = rangeHashes(ranges);
  let at = 0;
  return {
    async update(piece) {
      whole.update(piece);
      parts.update(piece, at);
      at += piece.length;
    },
    digest: async () => ({ sha256: whole.digest('hex'), ranges: parts.digests() }),
    close() {},
  };
}

/** To a thread: where it reads, what it computes; then each slot that is filled; then that it was the last. */
export type ToStreamWorker =
  | { readonly ring: SharedArrayBuffer; readonly slotBytes: number; readonly ranges: readonly Range[] | undefined }
  | { readonly slot: number; readonly bytes: number }
  | 'end';

export type FromStreamWorker = { readonly slot: number } | { readonly digests: readonly string[] };

function inThreads(ranges: readonly Range[]): StreamHasher {
  const ring = new SharedArrayBuffer(SLOT_BYTES * SLOTS);
  const workers = [undefined, ranges].map((of) => {
    const worker = new Worker(WORKER);
    worker.postMessage({ ring, slotBytes: SLOT_BYTES, ranges: of } satisfies ToStreamWorker);
    return worker;
  });
  const readers = new Array<number>(SLOTS).fill(0); // threads that have not read a slot yet
  let wake = () => {};
  let failure: unknown;
  const digests = workers.map(
    (worker) =>
      new Promise<readonly string[]>((resolve, reject) => {
        worker.on('message', (message: FromStreamWorker) => {
          if ('digests' in message) resolve(message.digests);
          else readers[message.slot]!--;
          wake();
        });
        const fail = (error: unknown) => {
          failure ??= error;
          reject(error);
          wake();
        };
        worker.on('error', fail).on('exit', () => fail(new Error('the thread that hashed has ended')));
      }),
  );
  for (const digest of digests) digest.catch(() => {}); // reported by update or digest
  let turn = 0;
  const post = (message: ToStreamWorker) => {
    for (const worker of workers) worker.postMessage(message);
  };
  return {
    async update(piece) {
      for (let from = 0; from < piece.length; from += SLOT_BYTES) {
        const slot = turn++ % SLOTS;
        while (readers[slot]! > 0 && failure === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
        if (failure !== undefined) throw failure;
        const some = piece.subarray(from, from + SLOT_BYTES);
        new Uint8Array(ring, slot * SLOT_BYTES, some.length).set(some);
        readers[slot] = workers.length;
        post({ slot, bytes: some.length });
      }
    },
    async digest() {
      post('end');
      const [whole, parts] = await Promise.all(digests);
      return { sha256: whole![0]!, ranges: parts! };
    },
    close() {
      for (const worker of workers) void worker.terminate();
    },
  };
}
