/**
 * The hashes of a file and of ranges of its bytes in one read. Runs in a worker as well, so it imports nothing that
 * takes time to load; its errors are plain, and pool.ts turns them into ours.
 */
import { createHash, type Hash } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { open, stat } from 'node:fs/promises';

/** First byte, and the one after the last. */
export type Range = readonly [begin: number, end: number];

export interface HashJob {
  readonly path: string;
  /** The version of the file that is meant: stampOf in files.ts. */
  readonly stamp: string;
  readonly size: number;
  /** They may overlap, and need not cover the file. */
  readonly ranges: readonly Range[];
  /** False to leave out the hash of the whole file, for another thread to compute. */
  readonly whole?: boolean;
}

export interface FileHashes {
  /** SHA-256 of the whole file, hexadecimal. */
  readonly sha256: string;
  /** Those of the ranges, in their order. */
  readonly ranges: readonly string[];
}

/** The code of the error when the file is not, or not any more, the version that is meant. */
export const CHANGED = 'SOUP_CHANGED';

const CHUNK_BYTES = 4 * 2 ** 20;

/** `onChunk` gets the bytes that were read since, and may throw to stop. */
export async function hashFile(job: HashJob, onChunk: (bytes: number) => void): Promise<FileHashes> {
  const file = await open(job.path, 'r');
  try {
    check(job, await file.stat({ bigint: true }));
    const whole = wholeHash();
    const ranges = rangeHashes(job.ranges);
    // One buffer is filled while the other is hashed.
    const buffers = [new Uint8Array(CHUNK_BYTES), new Uint8Array(CHUNK_BYTES)];
    const read = async (at: number, buffer: Uint8Array): Promise<Uint8Array> => {
      const wanted = Math.min(CHUNK_BYTES, job.size - at);
      for (let done = 0; done < wanted; ) {
        const { bytesRead } = await file.read(buffer, done, wanted - done, at + done);
        if (bytesRead === 0) throw changed(job);
        done += bytesRead;
      }
      return buffer.subarray(0, wanted);
    };
    let next = read(0, buffers[0]!);
    for (let at = 0, turn = 1; at < job.size; at += CHUNK_BYTES, turn ^= 1) {
      const chunk = await next;
      if (at + CHUNK_BYTES < job.size) next = read(at + CHUNK_BYTES, buffers[turn]!);
      next.catch(() => undefined); // awaited in the next round, unless something else fails before
      if (job.whole !== false) whole.update(chunk);
      ranges.update(chunk, at);
      onChunk(chunk.length);
    }
    // The same file, unchanged, and still what the path names.
    check(job, await file.stat({ bigint: true }));
    check(job, await stat(job.path, { bigint: true }));
    return { sha256: whole.digest('hex'), ranges: ranges.digests() };
  } finally {
    await file.close();
  }
}

function check(job: HashJob, { dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): void {
  if ([dev, ino, size, mtimeNs, ctimeNs].join(':') !== job.stamp) throw changed(job);
}

const changed = ({ path }: HashJob): Error => Object.assign(new Error(`${path} changed`), { code: CHANGED });

export const wholeHash = (): Hash => createHash('sha256');

/** Feeds each range the part of a chunk that belongs to it. Chunks come in order. */
export function rangeHashes(ranges: readonly Range[]) {
  const waiting = ranges.map(([begin, end], index) => ({ begin, end, index })).sort((a, b) => b.begin - a.begin);
  const active = new Map<number, { begin: number; end: number; hash: Hash }>();
  const digests: string[] = new Array(ranges.length);
  return {
    update(chunk: Uint8Array, at: number): void {
      const to = at + chunk.length;
      while (waiting.length > 0 && waiting.at(-1)!.begin < to) {
        const { begin, end, index } = waiting.pop()!;
        active.set(index, { begin, end, hash: createHash('sha256') });
      }
      for (const [index, { begin, end, hash }] of active) {
        hash.update(chunk.subarray(Math.max(0, begin - at), Math.min(end, to) - at));
        if (end > to) continue;
        digests[index] = hash.digest('hex');
        active.delete(index);
      }
    },
    digests(): string[] {
      // What begins at the end is empty; what reaches beyond is a mistake of the caller.
      for (const { begin, end, index } of waiting) {
        if (begin !== end) throw new RangeError(`a range ends at byte ${end}, after the file`);
        digests[index] = createHash('sha256').digest('hex');
      }
      if (active.size > 0) throw new RangeError('a range ends after the file');
      return digests;
    },
  };
}
