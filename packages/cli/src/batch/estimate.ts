/** How long a batch will take and how much room it needs, by what is known of others. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskError, formatBytes } from '@diffusion-soup/core';
import { writeFileAtomic } from '../atomic-file.js';
import { cacheFolder } from '../hash/cache.js';
import type { Io } from '../output.js';
import { makeFolder } from '../picture-file.js';
import { printable } from '../text.js';
import type { Machine } from './address.js';
import type { Format } from './names.js';
import type { Planned } from './plan.js';
import type { Result } from './results.js';
import type { Store } from './store.js';

export interface Estimate {
  readonly bytes: number;
  /** Undefined until a picture was drawn with such a model on such a device. */
  readonly seconds?: number;
  readonly free?: number;
}

/** Of pixels that do not compress at all, and the texts. */
const MOST_BYTES_PER_PIXEL: Readonly<Record<Format, number>> = { png: 3, webp: 1.5, jpeg: 1.5 };
const TEXT_BYTES = 4096;

const pixelsOf = ({ width = 0, height = 0 }: { width?: number; height?: number }): number => width * height;

/** Work in steps times pixels; guidance asks the network twice, and from a picture only a part of the steps is made. */
const workOf = ({ settings: { steps, guidance, strength = 1, ...size } }: Planned): number =>
  steps * strength * pixelsOf(size) * (guidance > 1 ? 2 : 1);

const keyOf = ({ adapterClass, precision }: Machine, { soup }: Planned): string =>
  `${adapterClass} ${precision} ${soup.bytes.toPrecision(2)}`;

type Timings = Record<string, number>;

export async function estimate(
  todo: readonly Planned[],
  options: { store: Store; format: Format; known: ReadonlyMap<string, Result>; machine?: Machine; env: Io['env'] },
): Promise<Estimate> {
  const { store, format, known, machine, env } = options;
  const drawn = [...known.values()].filter(({ bytes, path = '' }) => bytes && path.endsWith(format.slice(-3)));
  const pixels = drawn.reduce((sum, result) => sum + pixelsOf(result), 0);
  const each =
    pixels > 0 ? drawn.reduce((sum, { bytes = 0 }) => sum + bytes, 0) / pixels : MOST_BYTES_PER_PIXEL[format];
  const text = pixels > 0 ? 0 : TEXT_BYTES;
  const bytes = todo.reduce((sum, { settings }) => sum + pixelsOf(settings) * each + text, 0);
  const timings = machine ? await readTimings(env) : {};
  let seconds: number | undefined = 0;
  for (const one of todo) {
    const rate = machine && timings[keyOf(machine, one)];
    seconds = rate === undefined || seconds === undefined ? undefined : seconds + rate * workOf(one);
  }
  const free = await store.free();
  return { bytes: Math.ceil(bytes), ...(seconds !== undefined && { seconds }), ...(free !== undefined && { free }) };
}

export function checkRoom({ bytes, free }: Estimate, store: Store): void {
  if (free === undefined || bytes <= free) return;
  throw new DiskError(
    `the pictures need about ${formatBytes(bytes)}, but ${formatBytes(free)} are free on the disk of ${printable(store.name)}: ` +
      'free some space, or choose another folder',
    { needed: bytes, free, path: store.name },
  );
}

const fileOf = (env: Io['env']): string | undefined => {
  const folder = cacheFolder(env);
  return folder === undefined ? undefined : join(folder, 'timings.json');
};

async function readTimings(env: Io['env']): Promise<Timings> {
  try {
    const value: unknown = JSON.parse(await readFile(fileOf(env) ?? '', 'utf8'));
    const entries = Object.entries(value as object).filter(([, rate]) => typeof rate === 'number' && rate > 0);
    return Object.fromEntries(entries) as Timings;
  } catch {
    return {};
  }
}

/** The median of what was measured, kept for the next estimate. A cache that cannot be written is none. */
export async function keepTimings(
  drawn: readonly { readonly planned: Planned; readonly seconds: number }[],
  machine: Machine,
  env: Io['env'],
): Promise<void> {
  const file = fileOf(env);
  if (file === undefined || drawn.length === 0) return;
  const rates = new Map<string, number[]>();
  for (const { planned, seconds } of drawn) {
    const key = keyOf(machine, planned);
    rates.set(key, [...(rates.get(key) ?? []), seconds / workOf(planned)]);
  }
  const timings = await readTimings(env);
  for (const [key, list] of rates) timings[key] = list.sort((a, b) => a - b)[list.length >> 1]!;
  try {
    await makeFolder(cacheFolder(env)!);
    await writeFileAtomic(file, JSON.stringify(timings));
  } catch {
    // The next estimate will say that it does not know.
  }
}
