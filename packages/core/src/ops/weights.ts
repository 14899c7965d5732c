/** What resident weights look like to the ops: see soup/parameters.ts for how they get there. */
import type { Gpu } from '../gpu/gpu.js';
import type { StorageType, Tensor } from '../gpu/graph.js';

/** Columns of the widest tile: behind a matrix of width 32 lies memory for a whole one (tiles.ts). */
export const WIDEST_TILE = 160;
/** What tiles stage of the inner dimension at once, at most. */
export const DEEPEST_TILE = 64;

/**
 * A matrix, or a convolution seen as one: `rows` outputs by `inner` = taps * channels inputs, stored as
 * (inner / width, rows, width): neighbouring outputs lie beside each other. `inner` runs over taps, and over channels
 * within each; of width 32 it runs over blocks of channels, and over taps within each.
 */
export interface Matrix {
  readonly data: Tensor;
  readonly rows: number;
  readonly inner: number;
  /** Kernel height and width; 1 for a linear layer. */
  readonly kernel: number;
  /** 32 for tiles (tiles.ts); else 4 where the channels allow reading four at once, else 1. */
  readonly width: 1 | 4 | 32;
  /** Whether two f16 share a u32; else f32. */
  readonly packed: boolean;
}

/** What multiplies: matrix units, or lanes. */
export type Body = 'tensor' | 'lanes';

/** What multiplies such matrices on a device; undefined where products are not computed by tiles. */
export function bodyOf(
  { matrixUnits, precision, tiles }: Pick<Gpu, 'matrixUnits' | 'precision' | 'tiles'>,
  { kernel, packed }: Pick<Matrix, 'kernel' | 'packed'>,
): Body | undefined {
  // Matrix units multiply halves, and convolutions on them round their input to halves.
  const canUseUnits = packed && (precision === 'f16' || kernel === 1);
  if (matrixUnits !== 'none' && canUseUnits) return 'tensor';
  return tiles ? 'lanes' : undefined;
}

/** Results that the columns of a product are of, as many each; y then has one after the other, so many elements apart. */
export interface Parts {
  readonly count: number;
  readonly pitch: number;
}

/** Another product of as many rows and columns, over the last dimension of x. */
export interface Beside {
  readonly x: Tensor;
  readonly w: Matrix;
}

/** Whether both products can be one: on the matrix units alone, and where no panel has numbers of both. */
export const canBeBeside = (gpu: Gpu, w: Matrix, beside: Matrix): boolean =>
  gpu.precision === 'f16' &&
  [w, beside].every((one) => one.inner % DEEPEST_TILE === 0 && one.width === 32 && bodyOf(gpu, one) === 'tensor');

/** y = x · wᵀ + bias over the last dimension of x, or over the window of a convolution. */
export interface MatrixProduct {
  readonly x: Tensor;
  readonly w: Matrix;
  readonly bias?: Tensor;
  /** Shape of the result; its last dimension is the columns. */
  readonly shape: readonly number[];
  readonly type: StorageType;
  readonly rowsPerImage: number;
}
