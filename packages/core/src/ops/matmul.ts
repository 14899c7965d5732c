/** Matrix products: linear layers and 1x1 convolutions, and the two products of attention with wide heads. */
import { IncompatibleError } from '../errors.js';
import { activationCode } from '../gpu/activate.js';
import type { Gpu } from '../gpu/gpu.js';
import { call, elementCount, graphOf, PART_ALIGNMENT, type StorageType, show, type Tensor } from '../gpu/graph.js';
import type { Product, Tiling } from '../gpu/tuning.js';
import { epilogueParams } from './epilogue.js';
import { FEW_ROWS, fewRows } from './few-rows.js';
import { heldProduct, isHeld } from './held-rows.js';
import { tiledProduct } from './tiled.js';
import type { Beside, Matrix } from './weights.js';

/** Rows that one thread computes, and threads along the columns, 4 columns each. */
export interface PlainTile {
  readonly rows: number;
  readonly threads: number;
}

const PLAIN_TILES: ReadonlyMap<string, PlainTile> = new Map(
  [4, 8, 16].flatMap((rows) => [16, 32, 64].map((threads) => [`${rows}x${threads * 4}`, { rows, threads }])),
);
/** As many rows as keep their sums in registers. One size for all, since software drivers compile for a second. */
const PLAIN_TILE = '8x128';

export const plainTilings = (): Tiling[] => [...PLAIN_TILES.keys()].map((tile) => ({ tile, splits: 1 }));

export function plainTiling(gpu: Gpu, product: Product): { tile: PlainTile; tiling: Tiling } {
  const wanted = gpu.tuning?.(product)?.tile ?? PLAIN_TILE;
  const name = PLAIN_TILES.has(wanted) ? wanted : PLAIN_TILE;
  return { tile: PLAIN_TILES.get(name)!, tiling: { tile: name, splits: 1 } };
}

export interface MatmulOptions {
  /** What to store y as. */
  readonly type?: StorageType;
  /** Added to it; only where canBeBeside. */
  readonly beside?: Beside;
}

/** y = x · wᵀ + bias over the last dimension of x. x (..., inner), w (columns, inner), bias (columns). */
export function matmul(x: Tensor, w: Matrix, bias?: Tensor, { type, beside }: MatmulOptions = {}): Tensor {
  const inner = x.shape.at(-1)!;
  if (inner !== w.inner) {
    throw new IncompatibleError(`${w.data.storage.label} takes ${w.inner} channels; its input is ${show(x.shape)}`);
  }
  const rows = elementCount(x.shape) / inner;
  const shape = [...x.shape.slice(0, -1), w.rows];
  // rows of one image: everything behind the first dimension
  const rowsPerImage = rows / (x.shape[0] ?? 1);
  const graph = graphOf(x);
  const product = { x, w, bias, shape, type: type ?? graph.gpu.precision, rowsPerImage };
  if (w.width === 32 && w.packed && rows <= FEW_ROWS && !beside) return fewRows({ ...product, graph, rows });
  if (w.width === 32) return tiledProduct({ ...product, beside, kernel: 'matmul' });
  if (isHeld(graph.gpu, w, rowsPerImage)) return heldProduct({ ...product, kernel: 'matmul-rows' });
  return batchedMatmul(graph, {
    x,
    w: w.data,
    bias,
    shape,
    type,
    rows,
    columns: w.rows,
    inner,
    width: w.width,
    weights: w.packed ? 'pairs' : 'numbers',
    rowsPerImage,
    xStrides: { row: inner },
    wStrides: { column: w.width, inner: w.width * w.rows },
    yStrides: { row: w.rows },
  });
}

/**
 * The products of x with `count` matrices of the same size that lie one below the other in `w`, which has a width of 32; so do
 * their biases.
 */
export function jointMatmul(x: Tensor, w: Matrix, count: number, { bias, type }: JointOptions = {}): Tensor[] {
  const columns = w.rows / count;
  const shape = [...x.shape.slice(0, -1), columns];
  const rows = elementCount(x.shape) / w.inner;
  const pitch = Math.ceil(elementCount(shape) / PART_ALIGNMENT) * PART_ALIGNMENT;
  const product = {
    ...{ x, w, bias, shape: [count * pitch], type: type ?? graphOf(x).gpu.precision, rowsPerImage: 1 },
    parts: { count, pitch },
  };
  const isFew = w.packed && rows <= FEW_ROWS;
  const { storage } = isFew
    ? fewRows({ ...product, graph: graphOf(x), rows })
    : tiledProduct({ ...product, kernel: 'matmul' });
  return Array.from({ length: count }, (_, i) => ({ shape, storage, first: i * pitch }));
}

interface JointOptions {
  readonly bias?: Tensor;
  readonly type?: StorageType;
}

interface Strides {
  readonly row?: number;
  readonly column?: number;
  readonly inner?: number;
  readonly image?: number;
  readonly head?: number;
}

export interface BatchedMatmul {
  readonly x: Tensor;
  readonly w: Tensor;
  readonly bias?: Tensor;
  /** Shape of the result. */
  readonly shape: readonly number[];
  readonly type?: StorageType;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
  readonly width: 1 | 4;
  readonly weights: 'pairs' | 'numbers';
  readonly images?: number;
  readonly heads?: number;
  readonly rowsPerImage?: number;
  readonly scale?: number;
  /** All in elements. */
  readonly xStrides: Strides;
  readonly wStrides: Strides;
  readonly yStrides: Strides;
}

/** The general form behind `matmul`: any strides, a batch of images and heads, a scale. */
export function batchedMatmul(graph: ReturnType<typeof graphOf>, options: BatchedMatmul): Tensor {
  const { x, w, bias, shape, rows, columns, inner, width, images = 1, heads = 1, scale = 1 } = options;
  const type = options.type ?? graph.gpu.precision;
  const product: Product = { kernel: 'matmul', rows: rows * images * heads, columns, inner };
  const { tile, tiling } = plainTiling(graph.gpu, product);
  return call(graph, {
    kernel: 'matmul',
    product: { ...product, ...tiling },
    inputs: { x, w, bias },
    shape,
    type,
    epilogue: images * heads === 1 ? { activation: true, add: true } : {},
    dispatch: (node) => ({
      variant: {
        width,
        weights: options.weights,
        constants: { WORKGROUP: tile.threads, ROWS: tile.rows, ACTIVATION: activationCode(node.activation) },
        subgroup: graph.gpu.subgroup,
      },
      params: {
        ...epilogueParams(node),
        rows,
        columns,
        inner: inner / width,
        x_row: (options.xStrides.row ?? 0) / width,
        x_image: (options.xStrides.image ?? 0) / width,
        x_head: (options.xStrides.head ?? 0) / width,
        w_column: (options.wStrides.column ?? 0) / width,
        w_inner: (options.wStrides.inner ?? 0) / width,
        w_image: (options.wStrides.image ?? 0) / width,
        w_head: (options.wStrides.head ?? 0) / width,
        y_row: options.yStrides.row ?? 0,
        y_image: options.yStrides.image ?? 0,
        y_head: options.yStrides.head ?? 0,
        heads,
        rows_per_image: options.rowsPerImage ?? rows,
        row_groups: Math.ceil(rows / tile.rows),
        scale,
      },
      workgroups: rowGrid(Math.ceil(columns / (tile.threads * 4)), Math.ceil(rows / tile.rows), images * heads),
    }),
  });
}

/** Row groups go along y; past 65535 of them, into z beside the batch. */
function rowGrid(columnGroups: number, rowGroups: number, batch: number): [number, number, number] {
  return rowGroups <= 65535 ? [columnGroups, rowGroups, batch] : [columnGroups, 65535, Math.ceil(rowGroups / 65535)];
}
