/**
 * Hashes that were computed before, kept in the user's cache folder: a file for each version of a file, so that two
 * processes at once cannot disturb each other. A damaged entry is no entry, and a cache that cannot be written is none.
 * Nobody's word is taken from here who could not change the files as well; what has to be proved is read again.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import { removeOrphans, writeFileAtomic } from '../atomic-file.js';
import type { FileHashes, HashJob } from './read-file.js';

type Env = Readonly<Record<string, string | undefined>>;

export interface HashCache {
  get(job: HashJob): Promise<FileHashes | undefined>;
  put(job: HashJob, hashes: FileHashes): Promise<void>;
}

/**
 * File systems tell times in steps of up to two seconds. A file that was changed within the last step could be changed
 * again and keep its stamp, so nothing is kept of it yet.
 */
const CLOCK_STEP_NS = 2_000_000_000n;

export interface CacheLimits {
  readonly bytes: number;
  readonly entries: number;
}

/** Some 300 models of a thousand tensors. */
const LIMITS: CacheLimits = { bytes: 64 * 2 ** 20, entries: 4000 };

const LARGEST_ENTRY = 32 * 2 ** 20; // a quarter of a million tensors

const ENTRY = /^[0-9a-f]{64}\.json$/;

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Where the cache is; undefined when there is no home. */
export function cacheFolder(env: Env): string | undefined {
  const { XDG_CACHE_HOME: xdg, LOCALAPPDATA: local, HOME: home } = env;
  // Relative paths are to be ignored: XDG Base Directory Specification 0.8.
  if (xdg && isAbsolute(xdg)) return join(xdg, 'diffusion-soup');
  if (local && isAbsolute(local)) return join(local, 'diffusion-soup', 'cache');
  return home && isAbsolute(home) ? join(home, '.cache', 'diffusion-soup') : undefined;
}

export const NO_CACHE: HashCache = { get: async () => undefined, put: async () => undefined };

export function openHashCache(env: Env, limits: CacheLimits = LIMITS): HashCache {
  const base = cacheFolder(env);
  if (base === undefined) return NO_CACHE;
  const folder = join(base, 'hashes');
  const fileOf = ({ stamp }: HashJob): string => join(folder, `${sha256(stamp)}.json`);
  let isPruned = false;
  return {
    async get(job) {
      const file = fileOf(job);
      const entry = await readEntry(file).catch(() => undefined);
      if (entry?.stamp !== job.stamp) return undefined;
      const ranges = job.ranges.map((range) => entry.ranges.get(range.join('-')));
      if (!ranges.every((hash) => hash !== undefined)) return undefined;
      const now = new Date();
      await utimes(file, now, now).catch(() => undefined); // used: not the next to go
      return { sha256: entry.sha256, ranges };
    },
    async put(job, hashes) {
      const now = BigInt(Date.now()) * 1_000_000n;
      const times = job.stamp.split(':').slice(3).map(BigInt); // changed: content, then anything
      if (times.some((time) => now - time <= CLOCK_STEP_NS)) return;
      const ranges = job.ranges.map(([begin, end], i) => [`${begin}-${end}`, hashes.ranges[i]]);
      const body = JSON.stringify({ stamp: job.stamp, sha256: hashes.sha256, ranges });
      try {
        await mkdir(folder, { recursive: true, mode: 0o700 });
        await writeFileAtomic(fileOf(job), `${sha256(body)}\n${body}\n`);
        if (!isPruned) await prune(folder, limits);
        isPruned = true;
      } catch {
        // No room, or nothing may be written there: the hashes are computed again next time.
      }
    },
  };
}

interface Entry {
  readonly stamp: string;
  readonly sha256: string;
  readonly ranges: ReadonlyMap<string, string>;
}

async function readEntry(file: string): Promise<Entry | undefined> {
  if ((await stat(file)).size > LARGEST_ENTRY) return undefined;
  const [sum, body = ''] = (await readFile(file, 'utf8')).split('\n');
  if (sum !== sha256(body)) return undefined;
  const {
    stamp,
    sha256: whole,
    ranges,
  } = JSON.parse(body) as { stamp: string; sha256: string; ranges: [string, string][] };
  return { stamp, sha256: whole, ranges: new Map(ranges) };
}

/** Takes out what was not used for the longest time, until the rest is well below the limits. */
async function prune(folder: string, limits: CacheLimits): Promise<void> {
  await removeOrphans(folder);
  const entries: { path: string; size: number; used: number }[] = [];
  for (const name of await readdir(folder)) {
    if (!ENTRY.test(name)) continue;
    const path = join(folder, name);
    const facts = await stat(path).catch(() => undefined); // another process prunes as well
    if (facts) entries.push({ path, size: facts.size, used: facts.mtimeMs });
  }
  let bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (bytes <= limits.bytes && entries.length <= limits.entries) return;
  entries.sort((a, b) => b.used - a.used);
  while (entries.length > 0 && (bytes > limits.bytes * 0.75 || entries.length > limits.entries * 0.75)) {
    const { path, size } = entries.pop()!;
    await rm(path, { force: true }).catch(() => undefined);
    bytes -= size;
  }
}
