/**
 * Products on processors: a workgroup holds rows of x and lets the weights pass by (held-rows.wgsl). matmul.ts and conv2d.ts
 * come here where lanes share what they read and there are rows enough.
 */
import type { Gpu } from '../gpu/gpu.js';
import { call, elementCount, graphOf, type Tensor } from '../gpu/graph.js';
import type { Product } from '../gpu/tuning.js';
import { epilogueConstants } from './epilogue.js';
import type { Matrix, MatrixProduct } from './weights.js';

/** As in held-rows.wgsl. */
const LANE_ROWS = 4;
/** Vectors of the inner dimension that are held: more write out more code than a processor keeps at hand. */
const HELD = [24, 16] as const;
/** Of an image, so that a picture is the same alone and in a batch. Fewer are too few for the threads. */
const FEWEST_ROWS = 64;
/** Workgroups that keep a few threads busy, and columns for which it is worth to hold rows once more. */
const WORKGROUPS = 8;
const FEWEST_COLUMNS = 32;
/** Columns of a workgroup whose sums wait in its memory: 32 KB of 16 bytes for each of eight lanes. */
const MOST_COLUMNS = 256;

/** Whether matmul.ts and conv2d.ts should come here. */
export const isHeld = ({ subgroup }: Gpu, { width }: Matrix, rowsPerImage: number): boolean =>
  subgroup > 1 && width === 4 && rowsPerImage >= FEWEST_ROWS && HELD.every((held) => held % subgroup === 0);

/** The one that leaves least of the last HELD empty. */
const heldVectors = (inner: number): number =>
  HELD.reduce((best, held) => (padded(inner, held) < padded(inner, best) ? held : best));
const padded = (inner: number, held: number): number => Math.ceil(inner / held) * held;

export interface HeldProduct extends MatrixProduct {
  readonly kernel: 'matmul-rows' | 'conv2d-rows';
  /** As in tiled.ts. */
  readonly phases?: number;
  readonly params?: Readonly<Record<string, number>>;
}

/** y = x · wᵀ + bias, w being a matrix of width 4. */
export function heldProduct({
  kernel,
  x,
  w,
  bias,
  shape,
  type,
  rowsPerImage,
  phases = 1,
  params,
}: HeldProduct): Tensor {
  const graph = graphOf(x);
  const { subgroup, device } = graph.gpu;
  const columns = w.rows;
  const rows = elementCount(shape) / columns / phases;
  const inner = w.inner / 4 / phases;
  const held = heldVectors(inner);
  const isWhole = inner <= held;
  const rowGroups = Math.ceil(rows / (subgroup * LANE_ROWS)) * phases;
  const most = Math.min(MOST_COLUMNS, Math.floor(device.limits.maxComputeWorkgroupStorageSize / (subgroup * 16)));
  const wanted = Math.min(Math.ceil(WORKGROUPS / rowGroups), Math.floor(columns / FEWEST_COLUMNS));
  const columnGroups = Math.max(wanted, isWhole ? 1 : Math.ceil(columns / most));
  const product: Product = { kernel, rows: rows * phases, columns, inner: inner * 4 };
  return call(graph, {
    kernel,
    product: { ...product, tile: `${subgroup * LANE_ROWS}x${held * 4}`, splits: 1 },
    inputs: { x, w: w.data, bias },
    shape,
    type,
    epilogue: { activation: true, add: true },
    dispatch: (node) => ({
      variant: {
        width: 4,
        weights: w.packed ? 'pairs' : 'numbers',
        subgroup,
        constants: { ...heldConstants(subgroup, held, isWhole ? 0 : most), ...epilogueConstants(node), PHASES: phases },
      },
      params: {
        rows,
        columns,
        inner,
        rows_per_image: rowsPerImage / phases,
        group_columns: Math.ceil(columns / columnGroups),
        held,
        ...params,
      },
      workgroups: [columnGroups, Math.min(rowGroups, 65535), Math.ceil(rowGroups / 65535)],
    }),
  });
}

/** What held-rows.wgsl has to know, of `waiting` columns whose sums wait at once. */
export const heldConstants = (subgroup: number, held: number, waiting: number) => ({
  HELD: held,
  READS: held / subgroup,
  WHOLE: waiting === 0,
  WAITING: Math.max(1, waiting * subgroup),
});
