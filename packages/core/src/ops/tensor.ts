/**
 * Products on the matrix units ("tensor cores"): which tile of the result a workgroup computes, and in how many parts
 * the inner dimension is summed up. matmul.ts and conv2d.ts come here when their weights lie in blocks of 32.
 */
import { activationCode } from '../gpu/activate.js';
import { call, elementCount, graphOf, spread, type Tensor } from '../gpu/graph.js';
import type { Product, Tiling } from '../gpu/tuning.js';
import { epilogueConstants, epilogueParams } from './epilogue.js';
import { type MatrixProduct, WIDEST_TILE } from './weights.js';

/** What a workgroup computes, by how many subgroups side by side, and how much of the inner dimension it stages. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly rowGroups: number;
  readonly columnGroups: number;
  readonly depth: 32 | 64;
}

const tile = (rows: number, columns: number, depth: 32 | 64, rowGroups = 2, columnGroups = 2): [string, Tile] => [
  `${rows}x${columns}x${depth}/${rowGroups}x${columnGroups}`,
  { rows, columns, rowGroups, columnGroups, depth },
];

/** Large tiles reuse more of what they stage, small ones give everybody work; deep ones wait less often. */
export const TENSOR_TILES: ReadonlyMap<string, Tile> = new Map([
  tile(128, 128, 32),
  tile(128, WIDEST_TILE, 32),
  tile(256, WIDEST_TILE, 32, 4, 2),
  tile(128, 64, 32),
  tile(64, 64, 32),
  tile(128, 128, 64, 2, 4),
  tile(64, 64, 64),
]);

/** Compute units of the GPU that COSTS are of. */
const UNITS = 132;
/**
 * What a product takes, in microseconds, by tile: a unit runs so many workgroups `atOnce`, to begin with them takes `start`,
 * and a step of DEPTH takes at least `alone`, which is fetching that waits, and so much for `each` of them. Fitted to 2,800
 * measurements on an H200 (bench/README.md), the tiles of eight subgroups to a step of Stable Diffusion 2.1 on an H100.
 * Other large GPUs have other times, but their order is alike; `soup tune` measures.
 */
const COSTS = [
  { name: '128x160x32/2x2', atOnce: 2, start: 8, alone: 0.96, each: 0.58 },
  { name: '128x128x32/2x2', atOnce: 2, start: 6, alone: 0.96, each: 0.54 },
  { name: '256x160x32/4x2', atOnce: 1, start: 7, alone: 1.1, each: 1.1 },
  { name: '128x64x32/2x2', atOnce: 3, start: 5, alone: 0.8, each: 0.34 },
  { name: '128x128x64/2x4', atOnce: 1, start: 6, alone: 1.4, each: 1.4 },
  { name: '64x64x64/2x2', atOnce: 4, start: 4, alone: 0.92, each: 0.46 },
  { name: '64x64x32/2x2', atOnce: 4, start: 3, alone: 0.68, each: 0.22 },
] as const;
/** Microseconds to begin sum-splits.wgsl, and bytes that it reads and writes in one. */
const SUM_START = 4;
const SUM_BYTES = 2.5e6;
/** Of a split, steps that are worth the start. */
const FEWEST_STEPS = 4;
const SPLITS = [1, 2, 3, 4, 6, 8, 12, 16];
/** Bytes that the sums of all splits may take: they are activations like others, and have to be bound at once. */
const MOST_SUMS = 2 ** 27;

/** Workgroup memory that tensor-tile.wgsl takes, in bytes. */
function workgroupBytes({ rows, columns, rowGroups, columnGroups, depth }: Tile): number {
  const panel = 32 * (((rows + columns) / 32) * (depth / 8) + 1);
  const strip = 16 * (Math.min(columns / columnGroups / 16, rowGroups * columnGroups > 4 ? 2 : 4) * 4 + 1);
  return Math.max(panel, rowGroups * columnGroups * strip) * 16;
}

const tiles = (tile: Tile, rows: number, columns: number): number =>
  Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);

/** The fastest by COSTS, of what this device can do. */
export function defaultTiling(product: Product, mostBytes: number, mostSplits = Number.POSITIVE_INFINITY): Tiling {
  const { rows, columns, inner } = product;
  let best = { tile: COSTS.at(-1)!.name as string, splits: 1, micros: Number.POSITIVE_INFINITY };
  for (const { name, atOnce, start, alone, each } of COSTS) {
    const one = TENSOR_TILES.get(name)!;
    for (const splits of splitsOf(inner / one.depth)) {
      if (splits > mostSplits || !isPossible({ tile: name, splits }, product, mostBytes)) continue;
      const steps = Math.ceil(inner / one.depth / splits);
      const wave = (onUnit: number) => (onUnit === 0 ? 0 : start + steps * Math.max(alone, onUnit * each));
      const workgroups = tiles(one, rows, columns) * splits;
      const full = Math.floor(workgroups / (UNITS * atOnce));
      const rest = Math.ceil((workgroups - full * UNITS * atOnce) / UNITS);
      const sums = splits === 1 ? 0 : SUM_START + (rows * columns * (4 * splits + 2)) / SUM_BYTES;
      const micros = full * wave(atOnce) + wave(rest) + sums;
      if (micros < best.micros) best = { tile: name, splits, micros };
    }
  }
  return { tile: best.tile, splits: best.splits };
}

const splitsOf = (steps: number): number[] => SPLITS.filter((splits) => splits === 1 || splits <= steps / FEWEST_STEPS);

function isPossible({ tile: name, splits }: Tiling, { rows, columns, inner }: Product, mostBytes: number): boolean {
  const one = TENSOR_TILES.get(name);
  if (!one || workgroupBytes(one) > mostBytes) return false;
  return inner % one.depth === 0 && (splits === 1 || rows * columns * splits * 4 <= MOST_SUMS);
}

/** All that there is to choose from. */
export const tensorTilings = (product: Product, mostBytes: number): Tiling[] =>
  [...TENSOR_TILES].flatMap(([name, { depth }]) =>
    splitsOf(product.inner / depth)
      .map((splits) => ({ tile: name, splits }))
      .filter((tiling) => isPossible(tiling, product, mostBytes)),
  );

/** What tensor-tile.wgsl has to know of a tile. */
export function tileConstants({ rows, columns, rowGroups, columnGroups, depth }: Tile): Record<string, number> {
  const chunks = depth / 8 / (rowGroups * columnGroups * 32);
  return {
    ROW_GROUPS: rowGroups,
    COLUMN_GROUPS: columnGroups,
    ROW_BLOCKS: rows / rowGroups / 16,
    COLUMN_BLOCKS: columns / columnGroups / 16,
    DEPTH: depth,
    STEPS: depth / 16,
    X_SLOTS: Math.ceil(rows * chunks),
    W_SLOTS: Math.ceil(columns * chunks),
  };
}

export interface TensorProduct extends MatrixProduct {
  readonly kernel: 'matmul-tensor' | 'conv2d-tensor';
  /** Results that the columns are of, as many each; y then has one after the other, so many elements apart. */
  readonly parts?: { readonly count: number; readonly pitch: number };
  readonly params?: Readonly<Record<string, number>>;
  readonly constants?: Readonly<Record<string, number | boolean>>;
}

/** y = x · wᵀ + bias, w being a matrix of width 32. */
export function tensorProduct({ kernel, x, w, bias, shape, type, rowsPerImage, parts, ...own }: TensorProduct): Tensor {
  const graph = graphOf(x);
  const columns = w.rows;
  const rows = parts ? elementCount(x.shape) / w.inner : elementCount(shape) / columns;
  const mostBytes = graph.gpu.device.limits.maxComputeWorkgroupStorageSize;
  // Where activations are f32, what halves cannot hold is multiplied as well.
  const isInTwo = graph.gpu.precision === 'f32';
  const inner = isInTwo ? w.inner * 2 : w.inner;
  const product: Product = { kernel, rows, columns, inner };
  const mostSplits = parts ? 1 : Number.POSITIVE_INFINITY; // sum-splits.wgsl makes one result
  const tuned = graph.gpu.tuning?.(product);
  const isTuned = tuned && tuned.splits <= mostSplits && isPossible(tuned, product, mostBytes);
  const tiling = isTuned ? tuned : defaultTiling(product, mostBytes, mostSplits);
  const tile = TENSOR_TILES.get(tiling.tile)!;
  const steps = inner / tile.depth;
  const split = Math.ceil(steps / tiling.splits) * tile.depth;
  const splits = Math.ceil(inner / split);
  const widthOf = (count: number): 1 | 4 => (count % 4 === 0 ? 4 : 1);
  const width = widthOf(columns);
  const y = call(graph, {
    kernel,
    product: { ...product, ...tiling },
    inputs: { x, w: w.data, ...(splits === 1 && { bias }) },
    shape: splits === 1 ? shape : [splits, rows, columns],
    type: splits === 1 ? type : 'f32',
    epilogue: splits === 1 && !parts ? { activation: true, add: true, gate: true } : {},
    dispatch: (node) => ({
      variant: {
        width: node.isGated ? widthOf(columns / 2) : width,
        matrixUnits: true,
        constants: {
          ...tileConstants(tile),
          ...epilogueConstants(node),
          GATED: node.isGated === true,
          JOINT: parts !== undefined,
          IN_TWO: isInTwo,
          ...own.constants,
        },
      },
      params: {
        rows,
        columns,
        inner,
        split,
        rows_per_image: rowsPerImage,
        part_columns: columns / (parts?.count ?? 1),
        part_pitch: parts?.pitch ?? 0,
        ...own.params,
      },
      workgroups: [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows), splits],
    }),
  });
  if (splits === 1) return y;
  return call(graph, {
    kernel: 'sum-splits',
    product: { ...product, ...tiling },
    inputs: { x: y, bias },
    shape,
    type,
    epilogue: { activation: true, add: true, gate: true },
    dispatch: (node) => {
      const width = widthOf(node.isGated ? columns / 2 : columns);
      const size = (rows * columns) / width;
      return {
        variant: { width, constants: { ACTIVATION: activationCode(node.activation), GATED: node.isGated === true } },
        params: {
          ...epilogueParams(node),
          columns: columns / width,
          size,
          splits,
          per_image: (rowsPerImage * columns) / width,
        },
        workgroups: spread(node.isGated ? size / 2 : size, 256),
      };
    },
  });
}
