/** Averages are exact: every bit as in integer arithmetic of any size, in every order, for every type. */

import { createHash } from 'node:crypto';
import {
  type Blend,
  type Gpu,
  layOutFile,
  type Mix,
  mergeSafetensors,
  openSafetensors,
  outputsOf,
} from '@diffusion-soup/core';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { bytesSource } from '../../packages/core/src/checkpoint/source.ts';
import { exactAverage, type Half, isFinite16 } from '../support/exact.ts';
import { testGpu } from '../support/gpu.ts';
import { weightsOf } from '../support/safetensors.ts';
import '../support/properties.ts';

interface Numbers {
  readonly type: Half;
  readonly bits: readonly number[] | Uint16Array | Uint32Array;
}

const bytesOf = ({ type, bits }: Numbers): Uint8Array =>
  new Uint8Array((type === 'F32' ? Uint32Array.from(bits) : Uint16Array.from(bits)).buffer);

const blendOfNumbers = async (
  ingredients: readonly Numbers[],
  mix: Mix,
  more: Partial<Blend> = {},
): Promise<Blend> => ({
  ingredients: await Promise.all(
    ingredients.map((one, i) =>
      weightsOf(`ingredient ${i}`, [{ name: 'w', dtype: one.type, shape: [one.bits.length], bytes: bytesOf(one) }]),
    ),
  ),
  mix: () => mix,
  ...more,
});

async function merged(gpu: Gpu, blend: Blend, stagingBytes?: number): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  const file = layOutFile(outputsOf(blend));
  for await (const piece of mergeSafetensors(gpu, file, { stagingBytes })) pieces.push(Buffer.from(piece));
  return new Uint8Array(Buffer.concat(pieces)); // a copy: small Buffers share memory
}

async function bitsOf(file: Uint8Array): Promise<Uint16Array | Uint32Array> {
  const info = (await openSafetensors(bytesSource(file, 'merged'))).tensors.get('w')!;
  const bytes = file.slice(info.offset, info.offset + info.byteLength).buffer;
  return info.dtype === 'F32' ? new Uint32Array(bytes) : new Uint16Array(bytes);
}

/** The first place where the GPU and the reference differ, in words. */
async function difference(
  gpu: Gpu,
  ingredients: readonly Numbers[],
  mix: Mix,
  dtype: Half,
): Promise<string | undefined> {
  const actual = await bitsOf(
    await merged(gpu, await blendOfNumbers(ingredients, mix, { dtype, allowNonFinite: true })),
  );
  for (const [i, bits] of actual.entries()) {
    const terms = ingredients.map(({ type, bits }, k) => ({ bits: bits[i]!, type, p: mix.p[k]! }));
    const expected = exactAverage(terms, mix.q, dtype);
    if (bits !== expected)
      return `${JSON.stringify(terms)} / ${mix.q}: ${bits.toString(16)}, not ${expected.toString(16)}`;
  }
  return undefined;
}

const finiteHalves = Uint16Array.from({ length: 65536 }, (_, i) => i).filter(isFinite16);
/** The same numbers in an order of their own, so that pairs of all kinds meet. */
const shuffled = (step: number): Uint16Array =>
  finiteHalves.map((_, i) => finiteHalves[(i * step) % finiteHalves.length]!);

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

describe('every finite half', () => {
  test.each<[string, Mix, number[]]>([
    ['alone', { p: [1], q: 1 }, [1]],
    ['with itself', { p: [1, 1], q: 2 }, [1, 1]],
    ['with another', { p: [1, 1], q: 2 }, [1, 7919]],
    ['with two others', { p: [1, 1, 1], q: 3 }, [1, 7919, 104729]],
    ['with weights of large denominators', { p: [333333, 714286], q: 1047619 }, [1, 7919]],
    ['in a difference', { p: [2, -1], q: 1 }, [1, 104729]],
    ['in 1 - 0.3 + 0.3', { p: [7, 3], q: 10 }, [1, 15485863]],
    ['among seven', { p: [1, 1, 1, 1, 1, 1, 1], q: 7 }, [1, 3, 7, 11, 13, 17, 19]],
    ['added without dividing', { p: [1, 1], q: 1 }, [1, 7919]],
  ])('%s', async (_, mix, steps) => {
    const ingredients = steps.map((step): Numbers => ({ type: 'F16', bits: shuffled(step) }));
    expect(await difference(gpu, ingredients, mix, 'F16')).toBeUndefined();
  });

  test('stored as F32 and as BF16', async () => {
    const pair = [1, 7919].map((step): Numbers => ({ type: 'F16', bits: shuffled(step).subarray(0, 9999) }));
    expect(await difference(gpu, pair, { p: [2, 1], q: 3 }, 'F32')).toBeUndefined();
    expect(await difference(gpu, pair, { p: [2, 1], q: 3 }, 'BF16')).toBeUndefined();
  });
});

/** Numbers of every size: an exponent and a mantissa, each uniform; with zeros, subnormals, the largest. */
const anyBits = (type: Half): fc.Arbitrary<number> => {
  const [m, e] = { F16: [10, 5], BF16: [7, 8], F32: [23, 8] }[type] as [number, number];
  return fc
    .tuple(fc.boolean(), fc.integer({ min: 0, max: 2 ** e - 2 }), fc.integer({ min: 0, max: 2 ** m - 1 }))
    .map(([negative, exponent, fraction]) => (negative ? 2 ** (m + e) : 0) + exponent * 2 ** m + fraction);
};

const LENGTH = 64;
const anyNumbers = fc
  .constantFrom<Half>('F16', 'BF16', 'F32')
  .chain((type) => fc.array(anyBits(type), { minLength: LENGTH, maxLength: LENGTH }).map((bits) => ({ type, bits })));
const anyMix = (n: number): fc.Arbitrary<Mix> =>
  fc
    .tuple(
      fc.array(fc.integer({ min: -9999, max: 99999 }), { minLength: n, maxLength: n }),
      fc.integer({ min: 1, max: 2 ** 20 }),
    )
    .filter(([p]) => p.some((one) => one !== 0))
    .map(([p, q]) => ({ p, q }));

test('numbers of every type and size, with any weights', async () => {
  const soup = fc
    .array(anyNumbers, { minLength: 1, maxLength: 5 })
    .chain((ingredients) =>
      fc.tuple(fc.constant(ingredients), anyMix(ingredients.length), fc.constantFrom<Half>('F16', 'BF16', 'F32')),
    );
  await fc.assert(
    fc.asyncProperty(soup, async ([ingredients, mix, dtype]) => {
      expect(await difference(gpu, ingredients, mix, dtype)).toBeUndefined();
    }),
    { numRuns: 150 },
  );
});

test('the file is the same in every order of the ingredients, and however it is cut', async () => {
  const mix = { p: [5, 2, 1, 3], q: 11 };
  const ingredients = [1, 7919, 104729, 13].map((step): Numbers => ({ type: 'F16', bits: shuffled(step) }));
  const hashes = new Set<string>();
  for (const order of [
    [0, 1, 2, 3],
    [3, 2, 1, 0],
    [2, 0, 3, 1],
    [1, 3, 0, 2],
  ]) {
    const blend = await blendOfNumbers(
      order.map((i) => ingredients[i]!),
      { p: order.map((i) => mix.p[i]!), q: mix.q },
      { allowNonFinite: true },
    );
    for (const stagingBytes of [undefined, 4096, 100_000]) {
      hashes.add(
        createHash('sha256')
          .update(await merged(gpu, blend, stagingBytes))
          .digest('hex'),
      );
    }
  }
  expect(hashes.size).toBe(1);
});

describe('numbers that are not finite', () => {
  const soupOf = (type: Half, rows: number[][], p: number[], allowNonFinite: boolean) =>
    blendOfNumbers(
      rows.map((bits) => ({ type, bits })),
      { p, q: 2 },
      { allowNonFinite },
    );

  test.each<[Half, number, RegExp]>([
    ['F16', 0x7c00, /ingredient 1: tensor "w" holds Infinity at index 2/],
    ['F16', 0xfc00, /tensor "w" holds -Infinity at index 2/],
    ['F16', 0x7e01, /tensor "w" holds NaN at index 2/],
    ['BF16', 0x7f81, /holds NaN at index 2/],
    ['F32', 0xff800000, /holds -Infinity at index 2/],
  ])('%s %i is refused, by tensor and index', async (type, bits, message) => {
    const blend = await soupOf(
      type,
      [
        [0, 1, 2, 3],
        [0, 1, bits, 3],
      ],
      [1, 1],
      false,
    );
    await expect(merged(gpu, blend)).rejects.toThrow(message);
  });

  test('of an ingredient without weight does not matter', async () => {
    await expect(
      merged(
        gpu,
        await soupOf(
          'F16',
          [
            [0, 1],
            [0x7c00, 1],
          ],
          [2, 0],
          false,
        ),
      ),
    ).resolves.toBeDefined();
  });

  test.each<[Half, number, number, number, number]>([
    ['F16', 0x7c00, 1, 1, 0x7c00],
    ['F16', 0x7c00, 0x7c00, 1, 0x7c00],
    ['F16', 0x7c00, 0xfc00, 1, 0x7e00],
    ['F16', 0x7c00, 1, -1, 0x7c00],
    ['F16', 1, 0x7c00, -1, 0xfc00],
    ['F16', 0x7c00, 0x7d55, 1, 0x7e00],
    ['F16', 0xffff, 0, 1, 0x7e00],
    ['BF16', 0x7f80, 0x3f80, 1, 0x7f80],
    ['BF16', 0x7f80, 0xff80, 1, 0x7fc0],
    ['F32', 0x3f800000, 0xff800000, 1, 0xff800000],
    ['F32', 0x7fc12345, 0xff800000, 1, 0x7fc00000],
  ])('%s %i with %i * %i goes through as %i when it may', async (type, a, b, p, expected) => {
    expect([...(await bitsOf(await merged(gpu, await soupOf(type, [[a], [b]], [1, p], true))))]).toEqual([expected]);
  });

  test('a result that is too large is refused by name, and infinite when it may be', async () => {
    const large = [
      [0, 0x7bff],
      [0, 0x7bff],
    ];
    await expect(merged(gpu, await soupOf('F16', large, [2, 2], false))).rejects.toThrow(
      /tensor "w" would hold 131008 at index 1, which F16 cannot: .* store the result as F32/,
    );
    expect([...(await bitsOf(await merged(gpu, await soupOf('F16', large, [2, 2], true))))]).toEqual([0, 0x7c00]);
  });
});

test('a sum of halves is kept as whole numbers, taken up again, and divided at the end', async () => {
  const all = [1, 7919, 104729].map((step): Numbers => ({ type: 'F16', bits: shuffled(step) }));
  const sumOf = async (blend: Blend, sums: 1 | 2) => {
    const pieces: Buffer[] = [];
    for await (const piece of mergeSafetensors(gpu, layOutFile(outputsOf(blend), { sums })))
      pieces.push(Buffer.from(piece));
    return openSafetensors(bytesSource(Buffer.concat(pieces), 'sum'));
  };
  const two = await sumOf(await blendOfNumbers(all.slice(0, 2), { p: [1, 1], q: 1 }), 2);
  const with3 = async (sum: typeof two, p: number, q = 1): Promise<Blend> => ({
    ...(await blendOfNumbers(all.slice(2), { p: [p], q })),
    sum: { weights: sum, p: 1 },
  });
  const three = await sumOf(await with3(two, 2), 2);
  const back = await sumOf(await with3(three, -2), 2);
  const bytes = async (of: typeof two) => {
    const { source, offset, byteLength } = of.tensors.get('w')!;
    const read = new Uint8Array(byteLength);
    await source.readInto(read, offset);
    return read;
  };
  expect(await bytes(back)).toEqual(await bytes(two));
  const scratch = await merged(gpu, await blendOfNumbers(all, { p: [1, 1, 2], q: 4 }));
  expect(await merged(gpu, await with3(two, 2, 4))).toEqual(scratch);
  await expect(sumOf(await blendOfNumbers(all.slice(0, 2), { p: [1, 1], q: 1 }), 1)).rejects.toThrow(/I32/);
});
