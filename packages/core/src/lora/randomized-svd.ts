/**
 * The largest singular values of a matrix that is known by its products alone: randomised subspace iteration (Halko,
 * Martinsson & Tropp 2011, SIAM Review 53, arXiv 0909.4061, algorithms 4.4 and 5.1).
 */
import { cpuNoise } from '../sampler/noise-cpu.js';
import { type Columns, combine, jacobiSvd, orthonormal } from './small-svd.js';

/** A matrix (rows, columns): its products with columns, and its transpose's. */
export interface Operator {
  readonly rows: number;
  readonly columns: number;
  times(x: Columns): Promise<Columns>;
  transposeTimes(x: Columns): Promise<Columns>;
}

/** u diag(s) vᵀ; s falls. */
export interface Svd {
  readonly u: Columns;
  readonly s: Float64Array;
  readonly v: Columns;
}

export interface RandomizedOptions {
  readonly rank: number;
  /** Columns beyond the rank, which make the first ones better. */
  readonly oversampling?: number;
  /** Times that the subspace is multiplied with the matrix and its transpose; spectra that fall slowly need more. */
  readonly iterations?: number;
  readonly seed?: bigint;
}

export async function randomizedSvd(
  matrix: Operator,
  { rank, oversampling = 8, iterations = 3, seed = 0n }: RandomizedOptions,
): Promise<Svd> {
  const least = Math.min(matrix.rows, matrix.columns);
  const width = Math.min(rank + oversampling, least);
  const normal = cpuNoise(seed);
  const random = Array.from({ length: width }, () => Float64Array.from(normal(matrix.columns)));
  let { q } = orthonormal(await matrix.times(random));
  for (let i = 0; i < iterations; i++) {
    const back = orthonormal(await matrix.transposeTimes(q));
    q = orthonormal(await matrix.times(back.q)).q;
  }
  // aᵀ q = p r, so that a ≈ q qᵀ a = q rᵀ pᵀ; of the small rᵀ all singular vectors are found exactly.
  const { q: p, r } = orthonormal(await matrix.transposeTimes(q));
  const small = jacobiSvd(r.map((row) => Float64Array.from(row)));
  const kept = Math.min(rank, least);
  return {
    u: small.u.slice(0, kept).map((column) => combine(q, column)),
    s: small.s.slice(0, kept),
    v: small.v.slice(0, kept).map((column) => combine(p, column)),
  };
}
