/** What `soup tune` found on this machine: for each adapter, driver and version of the kernels, a file in the cache. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Product, productKernels, productName, type Tiling, type Tuning, tuningFrom } from '@diffusion-soup/core';
import { writeFileAtomic } from './atomic-file.js';
import { cacheFolder } from './hash/cache.js';
import { version, versionOf } from './version.js';

export type Env = Readonly<Record<string, string | undefined>>;

/** A product with its tiling. */
export type Entry = Product & Tiling;

/** Undefined when there is no home to keep it in. */
export function tuningFile({ info }: Pick<GPUAdapter, 'info'>, env: Env): string | undefined {
  const folder = cacheFolder(env);
  if (folder === undefined) return undefined;
  const { vendor, architecture, device, description } = info;
  const key = [vendor, architecture, device, description, version, versionOf('webgpu') ?? '', productKernels()];
  return join(folder, 'tuning', `${createHash('sha256').update(JSON.stringify(key)).digest('hex')}.json`);
}

/** A damaged file is none: kernels choose for themselves then. */
export async function readTuning(file: string): Promise<Entry[]> {
  try {
    const entries: unknown = JSON.parse(await readFile(file, 'utf8'));
    return Array.isArray(entries) ? entries.filter(isEntry) : [];
  } catch {
    return [];
  }
}

/** In place of what was known of the products that were measured, and beside what is known of others. */
export async function keepTuning(file: string, measured: readonly Product[], entries: readonly Entry[]): Promise<void> {
  const again = new Set(measured.map(productName));
  const others = (await readTuning(file)).filter((entry) => !again.has(productName(entry)));
  const all = [...others, ...entries];
  await mkdir(dirname(file), { recursive: true });
  await writeFileAtomic(file, `${JSON.stringify(all, undefined, 1)}\n`);
}

export const clearTuning = (file: string): Promise<void> => rm(file, { force: true });

/** What a device is opened with. SOUP_TUNING=off leaves kernels their own choice. */
export async function tuningFor(
  adapter: Pick<GPUAdapter, 'info'>,
  env: Env = process.env,
): Promise<Tuning | undefined> {
  const file = env.SOUP_TUNING === 'off' ? undefined : tuningFile(adapter, env);
  const entries = file === undefined ? [] : await readTuning(file);
  if (entries.length === 0) return undefined;
  return tuningFrom(entries.map((entry) => ({ product: entry, tiling: entry })));
}

function isEntry(value: unknown): value is Entry {
  const { kernel, tile, ...numbers } = (value ?? {}) as Record<string, unknown>;
  const counts = [numbers.rows, numbers.columns, numbers.inner, numbers.splits];
  return typeof kernel === 'string' && typeof tile === 'string' && counts.every((n) => Number.isSafeInteger(n));
}
