/**
 * Products by tiles that a workgroup stages (tiles.ts). matmul.ts and conv2d.ts come here when their weights lie in blocks of 32.
 */
import { call, cast, elementCount, graphOf, spread, type Tensor } from '../gpu/graph.js';
import type { Product } from '../gpu/tuning.js';
import { epilogueConstants, partParams, sumConstants } from './epilogue.js';
import { defaultTiling, isPossible, TILES } from './tiles.js';
import { type Beside, bodyOf, type MatrixProduct, type Parts } from './weights.js';

export interface TiledProduct extends MatrixProduct {
  readonly kernel: 'matmul' | 'conv2d';
  readonly beside?: Beside;
  readonly parts?: Parts;
  readonly wantsBorder?: boolean;
  /** Convolutions that the inner dimension of w has one after the other, for different rows of y (phases.wgsl). */
  readonly phases?: number;
  readonly params?: Readonly<Record<string, number>>;
  readonly constants?: Readonly<Record<string, number | boolean>>;
}

/** Parameters that are compiled in: convolutions gain less by it than it takes to compile them once for each (bench/README.md). */
const OF_NETWORK = ['columns', 'inner', 'beside', 'part_columns'];

/** y = x · wᵀ + bias, w being a matrix of width 32; and what is beside it. */
export function tiledProduct({
  kernel: op,
  x: given,
  w,
  bias,
  beside,
  shape,
  type,
  rowsPerImage,
  parts,
  phases = 1,
  ...own
}: TiledProduct): Tensor {
  const graph = graphOf(given);
  const body = bodyOf(graph.gpu, w)!;
  // On the matrix units each number of a convolution is read by every tap: rounded once, not nine times.
  const x = op === 'conv2d' && body === 'tensor' ? cast(given, 'f16') : given;
  const columns = w.rows;
  const rows = parts ? elementCount(x.shape) / w.inner : elementCount(shape) / columns;
  const mostBytes = graph.gpu.device.limits.maxComputeWorkgroupStorageSize;
  const kernel = `${op}-${body}` as const;
  // Where activations are f32, what halves cannot hold is multiplied as well.
  const isInTwo = body === 'tensor' && graph.gpu.precision === 'f32';
  const inner = (isInTwo ? w.inner * 2 : w.inner) / phases + (beside?.w.inner ?? 0);
  const product: Product = { kernel, rows, columns, inner };
  const mostSplits = parts ? 1 : Number.POSITIVE_INFINITY; // sum-splits.wgsl makes one result
  const tuned = graph.gpu.tuning?.(product);
  const isTuned = tuned && tuned.splits <= mostSplits && isPossible(tuned, product, mostBytes);
  const tiling = isTuned ? tuned : defaultTiling(product, mostBytes, mostSplits);
  const tile = TILES[body].get(tiling.tile)!;
  const steps = inner / tile.depth;
  const split = stepsOfSplit(steps, tiling.splits, phases > 1) * tile.depth;
  const splits = Math.ceil(inner / split);
  const widthOf = (count: number): 1 | 4 => (count % 4 === 0 ? 4 : 1);
  const width = widthOf(columns);
  const y = call(graph, {
    kernel,
    product: { ...product, ...tiling },
    inputs: { x, w: w.data, beside: beside?.x, beside_w: beside?.w.data, ...(splits === 1 && { bias }) },
    shape: splits === 1 ? shape : [splits, rows, columns],
    type: splits === 1 ? type : 'f32',
    epilogue: splits === 1 && !parts ? { activation: true, add: true, gate: true } : {},
    wantsBorder: own.wantsBorder ?? false,
    dispatch: (node) => ({
      variant: {
        width: node.isGated ? widthOf(columns / 2) : width,
        weights: w.packed ? 'pairs' : 'numbers',
        matrixUnits: body === 'tensor',
        constants: {
          ...tile.constants,
          ...epilogueConstants(node),
          GATED: node.isGated === true,
          JOINT: parts !== undefined,
          IN_TWO: isInTwo,
          BESIDE: beside !== undefined,
          ...(op === 'conv2d' && { BORDER: Number(node.hasBorder === true), PHASES: phases }),
          ...own.constants,
        },
      },
      params: {
        rows: rows / phases,
        columns,
        inner: inner * phases,
        split,
        rows_per_image: rowsPerImage / phases,
        ...partParams(columns, parts),
        beside: beside?.w.inner ?? 0,
        ...own.params,
      },
      fixed: kernel === 'matmul-tensor' ? OF_NETWORK : [],
      workgroups: [Math.ceil(columns / tile.columns), Math.ceil(rows / phases / tile.rows), splits * phases],
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
        variant: {
          width,
          constants: { ...sumConstants(node), GATED: node.isGated === true },
        },
        params: { columns: columns / width, size, per_image: (rowsPerImage * columns) / width },
        fixed: 'all',
        workgroups: spread(node.isGated ? size / 2 : size, 256),
      };
    },
  });
}

/** `isEven`: all splits have the same, so that there may be more of them than were asked for. */
function stepsOfSplit(steps: number, splits: number, isEven: boolean): number {
  let each = Math.ceil(steps / splits);
  while (isEven && steps % each !== 0) each--;
  return each;
}
