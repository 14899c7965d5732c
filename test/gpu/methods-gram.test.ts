/** Gram matrices measured on the GPU against f64 sums: formats, odd sizes, many ingredients, cuts, order. */
import type { Gpu, Weights } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { type GramKind, measure } from '../../packages/core/src/methods/gram.ts';
import { random, testGpu } from '../support/gpu.ts';
import { type Float, numbersOf, tensor, weightsOf } from '../support/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

/** Σ a b, and Σ |a b|, which the error is measured by. Differences are rounded to f32, as they may be. */
async function reference(kind: GramKind, key: string, [a, b]: readonly Weights[], base?: Weights) {
  const [x, y, origin] = [await numbersOf(a!, key), await numbersOf(b!, key), base && (await numbersOf(base, key))];
  let [sum, size] = [0, 0];
  for (let i = 0; i < x.length; i++) {
    const product =
      kind === 'products'
        ? x[i]! * y[i]!
        : kind === 'deltas'
          ? (x[i]! - origin![i]!) * (y[i]! - origin![i]!)
          : (x[i]! - y[i]!) ** 2;
    sum += product;
    size += Math.abs(product);
  }
  return { sum, size };
}

const ingredient = (name: string, dtype: Float, count: number, seed: number, scale = 1): Weights =>
  weightsOf(name, {
    w: tensor(
      dtype,
      random([count], seed).data.map((v) => v * scale),
    ),
  });

async function check(kind: GramKind, ingredients: readonly Weights[], base?: Weights, stageBytes?: number) {
  const grams = await measure(gpu, ingredients, kind, { base, stageBytes });
  for (const key of ingredients[0]!.tensors.keys()) {
    const gram = grams.get(key)!;
    for (const [i, a] of ingredients.entries()) {
      for (const [j, b] of ingredients.entries()) {
        const { sum, size } = await reference(kind, key, [a, b], base);
        expect(Math.abs(gram[i]![j]! - sum), `${key} ${i} ${j}`).toBeLessThanOrEqual(2 ** -19 * size);
        expect(gram[i]![j]).toBe(gram[j]![i]);
      }
    }
  }
}

const KINDS: GramKind[] = ['products', 'deltas', 'distances'];

describe.each(KINDS)('%s', (kind) => {
  test.each<[Float, Float, number]>([
    ['F16', 'F16', 1],
    ['F16', 'BF16', 63],
    ['BF16', 'F32', 1021],
    ['F32', 'F16', 1024],
    ['F32', 'F32', 100_003],
  ])('of %s and %s, %i elements', async (a, b, count) => {
    const ingredients = [ingredient('a', a, count, 1), ingredient('b', b, count, 2), ingredient('c', a, count, 3)];
    await check(kind, ingredients, ingredient('base', b, count, 4));
  });

  test('of subnormal halves', async () => {
    const ingredients = [1, 2].map((seed) => ingredient(`i${seed}`, 'F16', 777, seed, 2 ** -16));
    await check(kind, ingredients, ingredient('base', 'F16', 777, 4, 2 ** -16));
  });

  test('of 13 ingredients, in pieces as in one', async () => {
    const ingredients = Array.from({ length: 13 }, (_, i) => ingredient(`i${i}`, 'F16', 5000, i));
    const base = ingredient('base', 'F16', 5000, 99);
    await check(kind, ingredients, base, 2 ** 18);
    const [whole, cut] = [
      await measure(gpu, ingredients, kind, { base }),
      await measure(gpu, ingredients, kind, { base, stageBytes: 1 }),
    ];
    expect(cut).toEqual(whole);
  });

  test('in any order of the ingredients, bit by bit', async () => {
    const ingredients = Array.from({ length: 6 }, (_, i) => ingredient(`i${i}`, 'F32', 3000, i));
    const base = ingredient('base', 'F16', 3000, 99);
    const order = [4, 1, 5, 0, 3, 2];
    const plain = (await measure(gpu, ingredients, kind, { base })).get('w')!;
    const mixed = (
      await measure(
        gpu,
        order.map((i) => ingredients[i]!),
        kind,
        { base },
      )
    ).get('w')!;
    expect(mixed).toEqual(order.map((i) => order.map((j) => plain[i]![j])));
  });
});

test('many small tensors at once, scalars and empty ones among them', async () => {
  const entries = (seed: number) => ({
    ...Object.fromEntries(
      Array.from({ length: 700 }, (_, i) => [`t${i}`, tensor('F16', random([(i % 7) + 1], seed + i).data)]),
    ),
    scalar: tensor('F32', [seed], []),
    empty: tensor('F16', [], [0, 3]),
    ids: { dtype: 'I64' as const, shape: [1], bytes: new Uint8Array(8) },
  });
  const ingredients = [weightsOf('a', entries(1)), weightsOf('b', entries(1000))];
  const grams = await measure(gpu, ingredients, 'products');
  expect(grams.size).toBe(702);
  expect(grams.has('ids')).toBe(false);
  expect(grams.get('empty')).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect(grams.get('scalar')).toEqual([
    [1, 1000],
    [1000, 1_000_000],
  ]);
  for (const key of ['t0', 't6', 't511', 't512', 't699']) {
    const { sum, size } = await reference('products', key, ingredients);
    expect(Math.abs(grams.get(key)![0]![1]! - sum)).toBeLessThanOrEqual(2 ** -19 * size);
  }
});

test('infinities are refused by name, and so are too many ingredients', async () => {
  const [good, bad] = [
    weightsOf('good', { w: tensor('F16', [1, 2]) }),
    weightsOf('bad', { w: tensor('F16', [1, Infinity]) }),
  ];
  await expect(measure(gpu, [good, bad], 'products')).rejects.toThrow(/bad: tensor "w" holds infinities/);
  await expect(measure(gpu, Array(65).fill(good), 'products')).rejects.toThrow(/65 ingredients .* 1 to 64/);
  await expect(measure(gpu, [good], 'deltas')).rejects.toThrow(/there is no base/);
});
