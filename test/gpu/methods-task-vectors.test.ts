/** TIES and DARE on the GPU, bit by bit against exact arithmetic; and what must hold whatever the numbers are. */
import { type Gpu, parseFraction, type Weights } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { randomKey } from '../../packages/core/src/methods/random-key.ts';
import { dareWeights, type TaskVectorOptions, tiesWeights } from '../../packages/core/src/methods/task-vectors.ts';
import type { Half } from '../support/exact.ts';
import { random, testGpu } from '../support/gpu.ts';
import { type Bits, merged, philox, type Ratio, threshold } from '../support/task-vectors.ts';
import { tensor, weightsOf } from '../support/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const fractions = (weights: readonly Ratio[]) => weights.map(([n, d]) => parseFraction(`${n}/${d}`));

async function bitsOf(weights: Weights, key = 'w'): Promise<Bits & { bits: number[] }> {
  const info = weights.tensors.get(key)!;
  const bytes = new Uint8Array(info.byteLength);
  await info.source.readInto(bytes, info.offset);
  const type = info.dtype as Half;
  return { type, bits: [...(type === 'F32' ? new Uint32Array(bytes.buffer) : new Uint16Array(bytes.buffer))] };
}

/** With 0 for -0: where a zero is computed it is 0, as in a + (b - a). */
const plain = ({ type, bits }: Bits) => Array.from(bits, (b) => (b === (type === 'F32' ? 2 ** 31 : 2 ** 15) ? 0 : b));

/** Coarse numbers differ from the base by the same amount in many places; fine ones are spread over the exponents. */
const numbers = (count: number, seed: number, kind: 'coarse' | 'fine') =>
  random([count], seed).data.map((v, i) => (kind === 'coarse' ? Math.round(v * 8) / 8 : v ** 5 * 2 ** -(i % 9)));

const one = (name: string, type: Half, data: Float32Array | readonly number[]): Weights =>
  weightsOf(name, { w: tensor(type, data) });

interface Case {
  readonly types: readonly Half[];
  readonly base: Half;
  readonly result?: Half;
  readonly count: number;
  readonly weights: readonly Ratio[];
  readonly kind: 'coarse' | 'fine';
  readonly lambda?: Ratio;
}

const CASES: Case[] = [
  { types: ['F16'], base: 'F16', count: 1, weights: [[1, 1]], kind: 'fine' },
  {
    types: ['F16', 'F16', 'F16'],
    base: 'F16',
    count: 1001,
    weights: [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
    kind: 'coarse',
  },
  {
    types: ['F16', 'F16', 'F16'],
    base: 'F16',
    count: 998,
    weights: [
      [3, 10],
      [1, 2],
      [1, 5],
    ],
    kind: 'fine',
    lambda: [7, 10],
  },
  {
    types: ['BF16', 'BF16'],
    base: 'BF16',
    count: 513,
    weights: [
      [1, 3],
      [-2, 7],
    ],
    kind: 'fine',
    lambda: [-3, 2],
  },
  {
    types: ['F32', 'F32'],
    base: 'F32',
    count: 300,
    weights: [
      [1, 1],
      [2, 1],
    ],
    kind: 'fine',
  },
  {
    types: ['F32', 'F16', 'BF16'],
    base: 'F16',
    result: 'F16',
    count: 777,
    weights: [
      [1, 1],
      [1, 1],
      [1, 3],
    ],
    kind: 'fine',
  },
  {
    types: ['F16', 'BF16'],
    base: 'F32',
    count: 127,
    weights: [
      [12345, 100000],
      [98765, 100000],
    ],
    kind: 'fine',
    lambda: [123, 1000],
  },
];

const inputs = ({ types, base, count, kind }: Case) => ({
  ingredients: types.map((type, i) => one(`model ${i}`, type, numbers(count, i + 1, kind))),
  base: one('base', base, numbers(count, 100, kind)),
});

const optionsOf = (some: Case): TaskVectorOptions => ({
  ...inputs(some),
  weights: fractions(some.weights),
  lambda: parseFraction((some.lambda ?? [1, 1]).join('/')),
  dtype: some.result,
});

const common = ({ types, base }: Case): Half => (types.every((type) => type === base) ? base : 'F32');

describe.each(CASES)('$count numbers of $types on $base, weights $weights', (some) => {
  const result = some.result ?? common(some);

  test.each<Ratio>([
    [1, 5],
    [1, 2],
    [1, 1],
  ])('TIES of density %i/%i', async (n, d) => {
    const options = optionsOf(some);
    const actual = await tiesWeights(gpu, { ...options, density: parseFraction(`${n}/${d}`) });
    const ingredients = await Promise.all(options.ingredients.map((of) => bitsOf(of)));
    const base = await bitsOf(options.base);
    const expected = merged(
      ingredients,
      base,
      {
        weights: some.weights,
        scale: some.lambda ?? [1, 1],
        elect: true,
        thresholds: ingredients.map((of) => threshold(of, base, [n, d])),
        isDropped: () => false,
      },
      result,
    );
    expect(await bitsOf(actual)).toEqual({ type: result, bits: expected });
    actual.destroy();
  });

  test.each<[boolean, Ratio, Ratio]>([
    [false, [9, 10], [10, 1]],
    [true, [3, 10], [10, 7]],
  ])('DARE, elect %s, drop %j', async (elect, drop, rescale) => {
    const options = optionsOf(some);
    const seed = 2n ** 40n + 7n;
    const actual = await dareWeights(gpu, { ...options, elect, drop: parseFraction(drop.join('/')), seed });
    const [n, d] = some.lambda ?? [1, 1];
    const limit = Math.floor((drop[0] / drop[1]) * 2 ** 32);
    const expected = merged(
      await Promise.all(options.ingredients.map((of) => bitsOf(of))),
      await bitsOf(options.base),
      {
        weights: some.weights,
        scale: [n * rescale[0], d * rescale[1]],
        elect,
        thresholds: some.types.map(() => 0),
        isDropped: (i, element) =>
          philox(BigInt(element) >> 2n, randomKey(seed, `model ${i}`, 'w'))[element % 4]! < limit,
      },
      result,
    );
    expect(await bitsOf(actual)).toEqual({ type: result, bits: expected });
    actual.destroy();
  });
});

test('random numbers are those of the paper, and keys those of FNV-1a', () => {
  expect(philox(0n, [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  expect(randomKey(1n, 'a', 'w')).toEqual([0x74ce2f9e, 0x2af86207]); // by another implementation
  expect(randomKey(1n, 'a', 'w')).not.toEqual(randomKey(1n, 'b', 'w'));
  expect(randomKey(1n, 'a', 'w')).not.toEqual(randomKey(2n, 'a', 'w'));
});

describe('whatever the numbers are', () => {
  const some = CASES[2]!;
  const half = parseFraction('1/2');
  const ties = (options: Partial<TaskVectorOptions> = {}, density = half) =>
    tiesWeights(gpu, { ...optionsOf(some), ...options, density });
  const dare = (options: Partial<Parameters<typeof dareWeights>[1]> = {}) =>
    dareWeights(gpu, { ...optionsOf(some), drop: half, seed: 1n, ...options });
  const order = [2, 0, 1];
  const shuffled = (options: TaskVectorOptions) => ({
    ingredients: order.map((i) => options.ingredients[i]!),
    weights: order.map((i) => options.weights[i]!),
  });

  test.each(['F16', 'BF16', 'F32'] as const)('one ingredient, all of it: that ingredient, of %s', async (type) => {
    const ingredient = one('model', type, numbers(999, 5, 'fine'));
    const base = one('base', type, numbers(999, 6, 'fine'));
    const options = { ingredients: [ingredient], base, weights: fractions([[1, 1]]) };
    const expected = plain(await bitsOf(ingredient));
    expect(plain(await bitsOf(await tiesWeights(gpu, { ...options, density: parseFraction('1') })))).toEqual(expected);
    expect(plain(await bitsOf(await dareWeights(gpu, { ...options, drop: parseFraction('0'), seed: 1n })))).toEqual(
      expected,
    );
  });

  test('equal ingredients are that ingredient, whatever their weights; as the base they stay it', async () => {
    const { ingredients, base } = inputs(some);
    const [same] = ingredients;
    const three = { ingredients: [same!, same!, same!], lambda: undefined };
    expect(plain(await bitsOf(await ties(three, parseFraction('1'))))).toEqual(plain(await bitsOf(same!)));
    const bases = { ingredients: [base, base, base] };
    expect(await bitsOf(await ties(bases))).toEqual(await bitsOf(base));
    expect(await bitsOf(await dare(bases))).toEqual(await bitsOf(base));
  });

  test('the order of ingredients does not matter', async () => {
    const options = optionsOf(some);
    expect(await bitsOf(await ties(shuffled(options)))).toEqual(await bitsOf(await ties()));
    for (const elect of [false, true]) {
      const mixed = await dare({ ...shuffled(options), elect });
      expect(await bitsOf(mixed)).toEqual(await bitsOf(await dare({ elect })));
    }
  });

  test('cut into small pieces, or read from the middle, it is the same', async () => {
    const whole = (await bitsOf(await dare({ elect: true }))).bits;
    const cut = await dare({ elect: true, stageBytes: 100 });
    expect((await bitsOf(cut)).bits).toEqual(whole);
    expect((await bitsOf(await ties({ stageBytes: 1000 }))).bits).toEqual((await bitsOf(await ties())).bits);
    const { source } = cut.tensors.get('w')!;
    const bytes = new Uint8Array(new Uint16Array(whole).buffer);
    const ranges = [
      [0, 1],
      [1, 1],
      [3, 200],
      [997, 2],
      [1000, 500],
      [bytes.length - 1, 1],
    ] as const;
    await Promise.all(
      ranges.map(async ([offset, length]) => {
        const target = new Uint8Array(length);
        await source.readInto(target, offset);
        expect(target).toEqual(bytes.slice(offset, offset + length));
      }),
    );
    await expect(source.readInto(new Uint8Array(2), bytes.length - 1)).rejects.toThrow(/wanted 2 bytes/);
  });

  test('DARE drops its part, keeps the mean, and another seed drops others', async () => {
    const count = 100_000;
    const options = {
      base: one('base', 'F32', new Float32Array(count)),
      ingredients: [one('model', 'F32', new Float32Array(count).fill(1))],
      weights: fractions([[1, 1]]),
      drop: parseFraction('0.9'),
      lambda: undefined,
    };
    const [a, b] = [await bitsOf(await dare(options)), await bitsOf(await dare({ ...options, seed: 2n }))];
    const kept = a.bits.filter((bits) => bits > 0);
    expect(new Set(kept)).toEqual(new Set([0x41200000])); // 10
    expect(Math.abs(kept.length - count / 10)).toBeLessThan(4 * Math.sqrt(count * 0.09)); // 4 sigma
    const both = a.bits.filter((bits, i) => bits > 0 && b.bits[i]! > 0).length;
    expect(Math.abs(both - count / 100)).toBeLessThan(4 * Math.sqrt(count * 0.01));
  });

  test('an element of opposite, equally heavy changes stays, and a far exponent is not lost', async () => {
    const base = one('base', 'F32', [1, 1, 1e-30, 2 ** -149, -0]);
    const a = one('a', 'F32', [1.5, 2, 3e-30, 0, -0]);
    const b = one('b', 'F32', [0.5, 2.5, -1e-30, 2 ** -148, 0]);
    const options = {
      base,
      ingredients: [a, b],
      weights: fractions([
        [1, 1],
        [1, 1],
      ]),
      density: parseFraction('1'),
    };
    const result = await bitsOf(await tiesWeights(gpu, options));
    const bits = new Uint32Array(Float32Array.of(1, 2.25, 1e-30, 2 ** -149, -0).buffer);
    expect(result.bits).toEqual([...bits]);
  });
});

describe('where numbers are large', () => {
  test('what does not go into a sum takes no room in it', async () => {
    const base = one('base', 'F32', [2 ** 100, -(2 ** 100)]);
    const model = one('model', 'F32', [1 / 3, 2 ** -40 / 3]);
    const options = { base, ingredients: [model], weights: fractions([[1, 1]]) };
    const expected = await bitsOf(model);
    expect(await bitsOf(await tiesWeights(gpu, { ...options, density: parseFraction('1') }))).toEqual(expected);
    expect(await bitsOf(await dareWeights(gpu, { ...options, drop: parseFraction('0'), seed: 1n }))).toEqual(expected);
  });

  test('element 2^32 and its neighbours draw numbers of their own', async () => {
    const elements = 2 ** 32 + 8;
    /** A file of 8 GiB with one number in it. */
    const full = (name: string, half: number): Weights => {
      const readInto = async (target: Uint8Array) =>
        new Uint16Array(target.buffer, target.byteOffset, target.length / 2).fill(half) && undefined;
      const source = { name, size: elements * 2, readInto };
      const info = { name: 'w', dtype: 'F16' as const, shape: [elements], source, offset: 0, byteLength: elements * 2 };
      return { name, tensors: new Map([['w', info]]), metadata: {} };
    };
    const options = { base: full('base', 0), ingredients: [full('model', 0x3c00)], weights: fractions([[1, 1]]) };
    const dropped = await dareWeights(gpu, { ...options, drop: parseFraction('1/2'), seed: 3n });
    const [first, count] = [2 ** 32 - 501, 1000 - 493];
    const bytes = new Uint8Array(count * 2);
    await dropped.tensors.get('w')!.source.readInto(bytes, first * 2);
    const key = randomKey(3n, 'model', 'w');
    const expected = Array.from({ length: count }, (_, i) =>
      philox(BigInt(first + i) >> 2n, key)[(first + i) % 4]! < 2 ** 31 ? 0 : 0x4000,
    );
    expect([...new Uint16Array(bytes.buffer)]).toEqual(expected);
    dropped.destroy();
  });
});

describe('refusals', () => {
  const options = () => optionsOf(CASES[1]!);
  test('parameters without meaning', async () => {
    expect(() => tiesWeights(gpu, { ...options(), density: parseFraction('0') })).toThrow(/density .* above 0/);
    expect(() => tiesWeights(gpu, { ...options(), density: parseFraction('1.1') })).toThrow(/density .* up to 1/);
    expect(() => dareWeights(gpu, { ...options(), drop: parseFraction('1'), seed: 1n })).toThrow(
      /drop rate .* below 1/,
    );
    const zero = {
      ...options(),
      weights: fractions([
        [0, 1],
        [0, 1],
        [0, 1],
      ]),
      density: parseFraction('1'),
    };
    await expect(tiesWeights(gpu, zero)).rejects.toThrow(/all weights are 0/);
    const few = { ...options(), weights: fractions([[1, 1]]), density: parseFraction('1') };
    await expect(tiesWeights(gpu, few)).rejects.toThrow(/3 ingredients and 1 weights/);
  });

  test('other tensors, and other whole numbers', async () => {
    const ids = (last: number) => ({ dtype: 'I64' as const, shape: [1], bytes: new Uint8Array(8).fill(last) });
    const withIds = (name: string, last: number) => weightsOf(name, { w: tensor('F16', [1]), ids: ids(last) });
    const rest = { weights: fractions([[1, 1]]), density: parseFraction('1') };
    const [base, same, other] = [withIds('base', 1), withIds('same', 1), withIds('other', 2)];
    const result = await tiesWeights(gpu, { base, ingredients: [same], ...rest });
    expect(result.tensors.get('ids')).toBe(base.tensors.get('ids'));
    await expect(tiesWeights(gpu, { base, ingredients: [other], ...rest })).rejects.toThrow(
      /ids \(I64\) differs between base and other/,
    );
    const shaped = one('shaped', 'F16', [1, 2]);
    await expect(tiesWeights(gpu, { base: one('base', 'F16', [1]), ingredients: [shaped], ...rest })).rejects.toThrow(
      /w is \[2\] in shaped/,
    );
  });

  test('what is not finite becomes NaN, so that nothing passes it on as a number', async () => {
    const [base, model] = [one('base', 'F16', [1, 1, Infinity]), one('model', 'F16', [NaN, 2, 1])];
    const rest = { weights: fractions([[1, 1]]), density: parseFraction('1/5') };
    const result = await bitsOf(await tiesWeights(gpu, { base, ingredients: [model], ...rest }));
    expect(result.bits.map((bits) => (bits & 0x7fff) > 0x7c00)).toEqual([true, false, true]);
  });
});
