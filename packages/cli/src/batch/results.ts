/**
 * What became of every item, a JSON line each, appended as it happens. A killed process may leave half a line: it is left
 * out when the log is read, and the log is written anew without it, in one piece.
 */
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { toJson } from '@diffusion-soup/core';
import { diskError, writeFileAtomic } from '../atomic-file.js';
import type { Failure, Shard } from './plan.js';

export interface Result {
  readonly id: string;
  readonly status: 'done' | 'failed';
  /** Of the item in the manifest, from 0. */
  readonly index: number;
  readonly prompt: string;
  readonly seed: string;
  readonly model?: string;
  readonly address?: string;
  readonly path?: string;
  readonly sha256?: string;
  readonly bytes?: number;
  readonly width?: number;
  readonly height?: number;
  readonly steps?: number;
  /** Of drawing, its part of a batch. */
  readonly seconds?: number;
  readonly vars?: Readonly<Record<string, string>>;
  readonly error?: Failure;
}

export const resultsFile = (shard?: Shard): string =>
  shard ? `results-${shard.index}-of-${shard.count}.jsonl` : 'results.jsonl';

const RESULTS = /^results(-\d+-of-\d+|-worker-[\w.-]+)?\.jsonl$/;

/** The last word on each id of one log, oldest first; and whether the log holds anything else. */
async function readLog(path: string): Promise<{ results: Map<string, Result>; isClean: boolean }> {
  const results = new Map<string, Result>();
  let isClean = true;
  try {
    let text = '';
    const lines = createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
    for await (const line of lines) {
      text = line;
      const result = parse(line);
      if (!result || results.has(result.id)) isClean = false;
      if (!result) continue;
      results.delete(result.id);
      results.set(result.id, result);
    }
    if (text !== '' && !(await endsWithNewline(path))) isClean = false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskError(path, error, 'read');
  }
  return { results, isClean };
}

async function endsWithNewline(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const last = new Uint8Array(1);
    await file.read(last, 0, 1, size - 1);
    return last[0] === 10;
  } finally {
    await file.close();
  }
}

function parse(line: string): Result | undefined {
  try {
    const value = JSON.parse(line) as Result;
    return typeof value.id === 'string' && (value.status === 'done' || value.status === 'failed') ? value : undefined;
  } catch {
    return undefined;
  }
}

/** What is known in a folder, of all machines; of two words on one item, that it is done. */
export async function knownResults(folder: string): Promise<Map<string, Result>> {
  const names = await readdir(folder).catch(() => [] as string[]);
  const known = new Map<string, Result>();
  for (const name of names.filter((name) => RESULTS.test(name)).sort()) {
    for (const [id, result] of (await readLog(join(folder, name))).results) {
      if (known.get(id)?.status !== 'done') known.set(id, result);
    }
  }
  return known;
}

export interface ResultLog {
  readonly path: string;
  /** What it held when it was opened. */
  readonly results: ReadonlyMap<string, Result>;
  add(result: Result): Promise<void>;
  /** Leaves one line for each item. */
  close(): Promise<void>;
}

export async function openResults(path: string): Promise<ResultLog> {
  const { results, isClean } = await readLog(path);
  const text = () => [...results.values()].map((result) => `${toJson(result)}\n`).join('');
  if (!isClean) await writeFileAtomic(path, text());
  let file: FileHandle;
  try {
    file = await open(path, 'a');
  } catch (error) {
    throw diskError(path, error);
  }
  let isTidy = true;
  let last: Promise<unknown> = Promise.resolve();
  return {
    path,
    results,
    add(result) {
      if (results.has(result.id)) isTidy = false;
      results.delete(result.id);
      results.set(result.id, result);
      // One after the other, each in one write.
      const write = last.then(async () => {
        await file.write(`${toJson(result)}\n`);
      });
      last = write.catch(() => undefined);
      return write.catch((error: unknown) => {
        throw diskError(path, error);
      });
    },
    async close() {
      await last;
      await file.sync().catch(() => undefined);
      await file.close();
      if (!isTidy) await writeFileAtomic(path, text());
    },
  };
}
