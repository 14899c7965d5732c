/**
 * Products on the matrix units ("tensor cores"): which tile of the result a workgroup computes, and in how many parts
 * the inner dimension is summed up. matmul.ts and conv2d.ts come here when their weights lie in blocks of 32.
 */
import { activationCode } from '../gpu/activate.js';
import { call, elementCount, graphOf, type StorageType, spread, type Tensor } from '../gpu/graph.js';
import { epilogueParams } from './epilogue.js';
import { type Matrix, WIDEST_TILE } from './weights.js';

/** What a workgroup computes, by how many subgroups side by side, and how much of the inner dimension it stages. */
export interface Tile {
  readonly rows: number;
  readonly columns: number;
  readonly rowGroups: number;
  readonly columnGroups: number;
  readonly depth: 32 | 64;
}

/** Measured on an H200 (bench/README.md): large tiles reuse more of what they stage, small ones give everybody work. */
const LARGE: Tile = { rows: 128, columns: WIDEST_TILE, rowGroups: 2, columnGroups: 2, depth: 32 };
const TALL: Tile = { rows: 128, columns: 64, rowGroups: 2, columnGroups: 2, depth: 32 };
const SMALL: Tile = { rows: 64, columns: 64, rowGroups: 2, columnGroups: 2, depth: 32 };
const DEEP: Tile = { rows: 128, columns: 64, rowGroups: 2, columnGroups: 2, depth: 64 };

/** Workgroups that fill a large GPU twice over. WebGPU does not tell how many it runs at once. */
const ENOUGH = 264;
/** Of a split, steps of 64 that are worth the start. */
const FEWEST_STEPS = 8;

/** Workgroup memory that tensor-tile.wgsl takes, in bytes. */
const workgroupBytes = ({ rows, columns, rowGroups, columnGroups, depth }: Tile): number =>
  Math.max((rows + columns) * (depth + 8) * 2, rowGroups * columnGroups * 16 * (columns / columnGroups + 4) * 4);

const tiles = (tile: Tile, rows: number, columns: number): number =>
  Math.ceil(rows / tile.rows) * Math.ceil(columns / tile.columns);

export function tileFor(
  rows: number,
  columns: number,
  inner: number,
  mostBytes: number,
): { tile: Tile; split: number; splits: number } {
  const whole = { split: inner, splits: 1 };
  const fitsLarge = columns % LARGE.columns === 0 && workgroupBytes(LARGE) <= mostBytes;
  if (fitsLarge && tiles(LARGE, rows, columns) >= ENOUGH) return { tile: LARGE, ...whole };
  if (tiles(TALL, rows, columns) >= ENOUGH) return { tile: TALL, ...whole };
  if (inner % DEEP.depth !== 0) return { tile: SMALL, ...whole };
  const steps = inner / DEEP.depth;
  const wanted = Math.floor((2 * ENOUGH) / tiles(DEEP, rows, columns));
  const perSplit = Math.ceil(steps / Math.max(1, Math.min(wanted, Math.floor(steps / FEWEST_STEPS))));
  return { tile: DEEP, split: perSplit * DEEP.depth, splits: Math.ceil(steps / perSplit) };
}

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
    X_SLOTS: rows * chunks,
    W_SLOTS: columns * chunks,
  };
}

export interface TensorProduct {
  readonly kernel: 'matmul-tensor' | 'conv2d-tensor';
  readonly x: Tensor;
  readonly w: Matrix;
  readonly bias?: Tensor;
  /** Shape of the result; its last dimension is the columns. */
  readonly shape: readonly number[];
  readonly type: StorageType;
  readonly rowsPerImage: number;
  readonly params?: Readonly<Record<string, number>>;
  readonly constants?: Readonly<Record<string, boolean>>;
}

/** y = x · wᵀ + bias, w being a matrix of width 32. */
export function tensorProduct({ kernel, x, w, bias, shape, type, rowsPerImage, ...own }: TensorProduct): Tensor {
  const graph = graphOf(x);
  const columns = w.rows;
  const rows = elementCount(shape) / columns;
  const { tile, split, splits } = tileFor(
    rows,
    columns,
    w.inner,
    graph.gpu.device.limits.maxComputeWorkgroupStorageSize,
  );
  const width = columns % 4 === 0 ? 4 : 1;
  const product = call(graph, {
    kernel,
    inputs: { x, w: w.data, ...(splits === 1 && { bias }) },
    shape: splits === 1 ? shape : [splits, rows, columns],
    type: splits === 1 ? type : 'f32',
    epilogue: splits === 1 ? { activation: true, add: true } : {},
    dispatch: (node) => ({
      variant: {
        width,
        matrixUnits: true,
        constants: {
          ...tileConstants(tile),
          ACTIVATION: activationCode(node.activation),
          ...own.constants,
        },
      },
      params: {
        ...epilogueParams(node),
        rows,
        columns,
        inner: w.inner,
        split,
        rows_per_image: rowsPerImage,
        ...own.params,
      },
      workgroups: [Math.ceil(columns / tile.columns), Math.ceil(rows / tile.rows), splits],
    }),
  });
  if (splits === 1) return product;
  const size = (rows * columns) / width;
  return call(graph, {
    kernel: 'sum-splits',
    inputs: { x: product, bias },
    shape,
    type,
    epilogue: { activation: true, add: true },
    dispatch: (node) => ({
      variant: { width, constants: { ACTIVATION: activationCode(node.activation) } },
      params: {
        ...epilogueParams(node),
        columns: columns / width,
        size,
        splits,
        per_image: (rowsPerImage * columns) / width,
      },
      workgroups: spread(size, 256),
    }),
  });
}
