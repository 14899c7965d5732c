/**
 * How products are cut into tiles, which is worth a factor of two and differs from one GPU to the next. Kernels have a
 * choice that is safe everywhere (ops/tensor.ts, ops/matmul.ts); what a search found to be faster on one device
 * (tuning/search.ts) is asked first.
 */
import type { ShaderName } from './shaders.gen.js';

/** y (rows, columns) = x (rows, inner) · w (columns, inner); of a convolution, rows are pixels and inner has the taps. */
export interface Product {
  readonly kernel: ShaderName;
  readonly rows: number;
  readonly columns: number;
  readonly inner: number;
}

export interface Tiling {
  /** What a workgroup computes: a name of the kernel's own. */
  readonly tile: string;
  /** Parts that the inner dimension is summed up in, apart. */
  readonly splits: number;
}

/** Undefined where the kernel's own choice stands. */
export type Tuning = (product: Product) => Tiling | undefined;

export const productName = ({ kernel, rows, columns, inner }: Product): string =>
  `${kernel} ${rows} x ${columns} x ${inner}`;
