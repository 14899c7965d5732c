/** Small decompositions against what defines them. */
import { describe, expect, test } from 'vitest';
import { randomizedSvd } from '../../../packages/core/src/lora/randomized-svd.ts';
import { type Columns, combine, dot, jacobiSvd, orthonormal } from '../../../packages/core/src/lora/small-svd.ts';
import { random } from '../../support/gpu.ts';

const matrix = (rows: number, columns: number, seed = 1): Columns =>
  Array.from({ length: columns }, (_, j) => Float64Array.from(random([rows], seed * 1000 + j).data));

const product = (a: Columns, x: Columns): Columns => x.map((column) => combine(a, column));
const transposed = (a: Columns): Columns =>
  Array.from({ length: a[0]!.length }, (_, i) => Float64Array.from(a, (column) => column[i]!));
const far = (a: Columns, b: Columns): number =>
  Math.max(...a.flatMap((column, j) => [...column].map((x, i) => Math.abs(x - b[j]![i]!))));
const identity = (n: number): Columns =>
  Array.from({ length: n }, (_, j) => Float64Array.from({ length: n }, (_, i) => Number(i === j)));
const scaled = (a: Columns, s: ArrayLike<number>): Columns => a.map((column, j) => column.map((x) => x * s[j]!));

describe.each([
  [1, 1],
  [7, 3],
  [17, 17],
  [64, 24],
])('%i x %i', (rows, columns) => {
  const a = matrix(rows, columns);

  test('Q is orthonormal, and Q R is the matrix', () => {
    const { q, r } = orthonormal(a);
    expect(far(product(transposed(q), q), identity(columns))).toBeLessThan(1e-14);
    expect(far(product(q, transposed(r)), a)).toBeLessThan(1e-14);
  });

  test('U S Vᵀ is the matrix, U and V are orthonormal, S falls', () => {
    const { u, s, v } = jacobiSvd(a);
    expect(far(product(scaled(u, s), transposed(v)), a)).toBeLessThan(1e-13);
    expect(far(product(transposed(u), u), identity(columns))).toBeLessThan(1e-13);
    expect(far(product(transposed(v), v), identity(columns))).toBeLessThan(1e-13);
    expect([...s]).toEqual([...s].sort((x, y) => y - x));
  });
});

test('dependent columns become zeros, not noise', () => {
  const [a, b] = matrix(9, 2) as [Float64Array, Float64Array];
  const { q, r } = orthonormal([a, a.map((x) => 2 * x), b, new Float64Array(9)]);
  expect(q.map((column) => Math.round(dot(column, column)))).toEqual([1, 0, 1, 0]);
  expect(far(product(q, transposed(r)), [a, a.map((x) => 2 * x), b, new Float64Array(9)])).toBeLessThan(1e-14);
  expect([...jacobiSvd([a, a]).s].map((x) => x > 1e-9)).toEqual([true, false]);
});

test('the randomised one finds the largest singular values, and all of them where it may', async () => {
  const a = matrix(40, 30);
  const exact = jacobiSvd(a);
  const operator = {
    rows: 40,
    columns: 30,
    times: async (x: Columns) => product(a, x),
    transposeTimes: async (x: Columns) => product(transposed(a), x),
  };
  const some = await randomizedSvd(operator, { rank: 5, iterations: 8 });
  for (const [i, s] of some.s.entries()) expect(s / exact.s[i]!).toBeCloseTo(1, 4);
  const all = await randomizedSvd(operator, { rank: 100 });
  expect(all.s).toHaveLength(30);
  expect(far(product(scaled(all.u, all.s), transposed(all.v)), a)).toBeLessThan(1e-12);
  expect(await randomizedSvd(operator, { rank: 5 })).toEqual(await randomizedSvd(operator, { rank: 5 }));
});
