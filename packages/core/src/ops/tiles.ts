/**
 * Which tile of a product a workgroup computes, and in how many parts the inner dimension is summed up: on the matrix units
 * (shaders/tensor-tile.wgsl), or on the lanes of graphics cards that have none, or where halves lose too much (lane-tile.wgsl).
 */
import type { Product, Tiling } from '../gpu/tuning.js';
import { type Body, WIDEST_TILE } from './weights.js';

export interface Tile {
  readonly rows: number;
  readonly columns: number;
  /** Of the inner dimension, what is staged at once. */
  readonly depth: number;
  /** Of workgroup memory. */
  readonly bytes: number;
  /** What the shader has to know of it. */
  readonly constants: Readonly<Record<string, number | boolean>>;
}

/** Of so many subgroups along the rows and the columns. */
export function tensorTile(
  rows: number,
  columns: number,
  depth: 32 | 64,
  [rowGroups, columnGroups]: readonly [number, number] = [2, 2],
  { hasOwnEnd = false } = {},
): Tile {
  const subgroups = rowGroups * columnGroups;
  const panel = 32 * (Math.ceil((rows + columns) / 32) * (depth / 8) + 1);
  const strip = 16 * (Math.min(columns / columnGroups / 16, subgroups > 4 ? 3 : 5) * 4 + 1);
  const constants = {
    ROW_GROUPS: rowGroups,
    COLUMN_GROUPS: columnGroups,
    ROW_BLOCKS: rows / rowGroups / 16,
    COLUMN_BLOCKS: columns / columnGroups / 16,
    STEPS: depth / 16,
    HAS_OWN_END: hasOwnEnd,
    ...staging(rows, columns, depth, subgroups * 32),
  };
  return { rows, columns, depth, bytes: Math.max(panel, subgroups * strip) * 16, constants };
}

/** Of threads that have 8 x 8 sums each. */
export function laneTile(rows: number, columns: number, depth = 16): Tile {
  const [ROW_THREADS, COLUMN_THREADS] = [rows / 8, columns / 8];
  const constants = { ROW_THREADS, COLUMN_THREADS, ...staging(rows, columns, depth, ROW_THREADS * COLUMN_THREADS) };
  return { rows, columns, depth, bytes: (rows + columns) * depth * 4, constants };
}

/** How often so many threads fetch eight numbers of x and of w each until all are there. */
function staging(rows: number, columns: number, depth: number, threads: number) {
  const chunks = depth / 8 / threads;
  return { DEPTH: depth, X_SLOTS: Math.ceil(rows * chunks), W_SLOTS: Math.ceil(columns * chunks) };
}

/** Large tiles reuse more of what they stage, small ones give everybody work; deep ones wait less often. */
export const TILES: Readonly<Record<Body, ReadonlyMap<string, Tile>>> = {
  tensor: new Map([
    ['128x128x32/2x2', tensorTile(128, 128, 32, [2, 2], { hasOwnEnd: true })],
    ['128x160x32/2x2', tensorTile(128, WIDEST_TILE, 32)],
    ['256x160x32/4x2', tensorTile(256, WIDEST_TILE, 32, [4, 2])],
    ['128x64x32/2x2', tensorTile(128, 64, 32)],
    ['64x64x32/2x2', tensorTile(64, 64, 32)],
    ['128x128x64/2x4', tensorTile(128, 128, 64, [2, 4])],
    ['64x64x64/2x2', tensorTile(64, 64, 64)],
    ['128x16x32/4x1', tensorTile(128, 16, 32, [4, 1])],
  ]),
  lanes: new Map([
    ['64x128x16', laneTile(64, 128)],
    ['64x64x16', laneTile(64, 64)],
    ['128x128x16', laneTile(128, 128)],
  ]),
};

/** Compute units of the GPU that costs are of. */
const UNITS = 132;

/** What so many workgroups take, if a unit runs `atOnce` of them, and `wave` says what some on a unit take. */
export function inWaves(workgroups: number, atOnce: number, wave: (onUnit: number) => number): number {
  const full = Math.floor(workgroups / (UNITS * atOnce));
  const rest = Math.ceil((workgroups - full * UNITS * atOnce) / UNITS);
  return full * wave(atOnce) + (rest === 0 ? 0 : wave(rest));
}

interface Cost {
  readonly name: string;
  readonly atOnce: number;
  readonly start: number;
  readonly alone: number;
  readonly each: number;
}

/**
 * What a product takes, in microseconds, by tile: a unit runs so many workgroups `atOnce`, to begin with them takes `start`,
 * and a step of the tile's depth takes at least `alone`, which is fetching that waits, and so much for `each` of them. Fitted to
 * measurements on an H200 (bench/README.md): every tiling of the products of a step and a decode of Stable Diffusion 2.1.
 * Other large GPUs have other times, but their order is alike; `soup tune` measures.
 */
const COSTS: Readonly<Record<Body, readonly Cost[]>> = {
  tensor: [
    { name: '128x160x32/2x2', atOnce: 2, start: 9.7, alone: 0.86, each: 0.58 },
    { name: '128x128x32/2x2', atOnce: 2, start: 5.7, alone: 0.74, each: 0.54 },
    { name: '256x160x32/4x2', atOnce: 1, start: 11, alone: 1.1, each: 1.1 },
    { name: '128x64x32/2x2', atOnce: 3, start: 4.8, alone: 0.72, each: 0.3 },
    { name: '128x128x64/2x4', atOnce: 1, start: 4, alone: 1.4, each: 1.4 },
    { name: '64x64x64/2x2', atOnce: 4, start: 3.1, alone: 0.79, each: 0.46 },
    { name: '128x16x32/4x1', atOnce: 4, start: 2.1, alone: 0.57, each: 0.24 },
    { name: '64x64x32/2x2', atOnce: 4, start: 3.1, alone: 0.52, each: 0.21 },
  ],
  lanes: [
    { name: '64x128x16', atOnce: 3, start: 5, alone: 1.25, each: 0.89 },
    { name: '64x64x16', atOnce: 5, start: 4, alone: 1.1, each: 0.49 },
  ],
};
/** Bytes of splits that are read and written in a microsecond; that is all, since it is mostly norms that add them up. */
const SUM_BYTES = 2.5e6;
/** Of a split, steps that are worth the start. */
const FEWEST_STEPS = 4;
const SPLITS = [1, 2, 3, 4, 6, 8, 12, 16];
/** Bytes that the sums of all splits may take: they are activations like others, and have to be bound at once. */
const MOST_SUMS = 2 ** 27;

const tilesOf = (tile: Tile, rows: number, columns: number): number =>
  Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);

const tilesFor = ({ kernel }: Product): Body => (kernel.endsWith('-lanes') ? 'lanes' : 'tensor');

/** The fastest by COSTS, of what this device can do. */
export function defaultTiling(product: Product, mostBytes: number, mostSplits = Number.POSITIVE_INFINITY): Tiling {
  const { rows, columns, inner } = product;
  const body = tilesFor(product);
  let best = { tile: COSTS[body].at(-1)!.name, splits: 1, micros: Number.POSITIVE_INFINITY };
  for (const { name, atOnce, start, alone, each } of COSTS[body]) {
    const one = TILES[body].get(name)!;
    for (const splits of splitsOf(inner / one.depth)) {
      if (splits > mostSplits || !isPossible({ tile: name, splits }, product, mostBytes)) continue;
      const steps = Math.ceil(inner / one.depth / splits);
      const wave = (onUnit: number) => start + steps * Math.max(alone, onUnit * each);
      const sums = splits === 1 ? 0 : (rows * columns * (4 * splits + 2)) / SUM_BYTES;
      const micros = inWaves(tilesOf(one, rows, columns) * splits, atOnce, wave) + sums;
      if (micros < best.micros) best = { tile: name, splits, micros };
    }
  }
  return { tile: best.tile, splits: best.splits };
}

const splitsOf = (steps: number): number[] => SPLITS.filter((splits) => splits === 1 || splits <= steps / FEWEST_STEPS);

export function isPossible({ tile: name, splits }: Tiling, product: Product, mostBytes: number): boolean {
  const { rows, columns, inner } = product;
  const one = TILES[tilesFor(product)].get(name);
  if (!one || one.bytes > mostBytes) return false;
  return inner % one.depth === 0 && (splits === 1 || rows * columns * splits * 4 <= MOST_SUMS);
}

/** All that there is to choose from. */
export const tilingsBy = (product: Product, mostBytes: number): Tiling[] =>
  [...TILES[tilesFor(product)]].flatMap(([name, { depth }]) =>
    splitsOf(product.inner / depth)
      .map((splits) => ({ tile: name, splits }))
      .filter((tiling) => isPossible(tiling, product, mostBytes)),
  );
