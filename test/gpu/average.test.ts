/** Averaging on the GPU against plain arithmetic: formats, rounding, layouts, cuts; and refusals. */
import {
  blendOf,
  bytesSource,
  checkBlend,
  type Gpu,
  layOutFile,
  mergeSafetensors,
  openSafetensors,
  outputsOf,
  type Weights,
} from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  bf16BitsToF32,
  f16BitsToF32,
  f32ToBf16Bits,
  f32ToF16Bits,
  fromFloat32,
  toFloat32,
} from '../../packages/core/src/checkpoint/dtype.ts';
import { encodeSafetensorsHeader } from '../../packages/core/src/checkpoint/safetensors-writer.ts';
import { withTier } from '../../packages/core/src/gpu/gpu.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import { gatherRows } from '../../packages/core/src/soup/gather.ts';
import { createParameters } from '../../packages/core/src/soup/parameters.ts';
import { exactHalf, stepsOf } from '../support/exact.ts';
import { matrix, random, testGpu } from '../support/gpu.ts';

type Float = 'F32' | 'F16' | 'BF16';
interface Entry {
  readonly name: string;
  readonly dtype: Float | 'I64';
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

const entry = (name: string, dtype: Float, shape: readonly number[], data: Float32Array): Entry => ({
  name,
  dtype,
  shape,
  bytes: fromFloat32(data, dtype),
});

async function weights(name: string, entries: readonly Entry[]): Promise<Weights> {
  const { header, offsets, size } = encodeSafetensorsHeader(
    entries.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
  );
  const file = new Uint8Array(size);
  file.set(header);
  for (const { name, bytes } of entries) file.set(bytes, offsets.get(name)!);
  return openSafetensors(bytesSource(file, name));
}

async function merged(gpu: Gpu, blend: ReturnType<typeof blendOf>): Promise<Weights> {
  const pieces: Uint8Array[] = [];
  for await (const piece of mergeSafetensors(gpu, layOutFile(outputsOf(blend)))) pieces.push(piece.slice());
  const file = new Uint8Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    file.set(piece, at);
    at += piece.length;
  }
  return openSafetensors(bytesSource(file, 'merged'));
}

async function numbers(of: Weights, name: string): Promise<Float32Array> {
  const info = of.tensors.get(name)!;
  const bytes = new Uint8Array(info.byteLength);
  await info.source.readInto(bytes, info.offset);
  return toFloat32(bytes, info.dtype);
}

const round: Record<Float, (v: number) => number> = {
  F32: Math.fround,
  F16: (v) => f16BitsToF32(f32ToF16Bits(v)),
  BF16: (v) => bf16BitsToF32(f32ToBf16Bits(v)),
};

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

describe('merging', () => {
  test.each<[Float, Float, number]>([
    ['F16', 'F16', 1],
    ['F16', 'F16', 1001],
    ['BF16', 'BF16', 37],
    ['F32', 'F32', 64],
    ['F16', 'F32', 13],
    ['F32', 'BF16', 13],
  ])('%s with %s, %i numbers, is the mean rounded once, to F32 if the types differ', async (a, b, count) => {
    const [x, y] = [random([count], 1).data, random([count], 2).data];
    const ingredients = [
      await weights('a', [entry('w', a, [count], x)]),
      await weights('b', [entry('w', b, [count], y)]),
    ];
    const result = await merged(gpu, blendOf(ingredients, [3, 1]));
    const type = a === b ? a : 'F32';
    expect(result.tensors.get('w')?.dtype).toBe(type);
    const expected = x.map((v, i) => round[type](round[a](v) * 0.75 + round[b](y[i]!) * 0.25));
    const actual = await numbers(result, 'w');
    expect(actual).toEqual(expected);
  });

  test('every finite half survives a soup of one, and of two of itself, but for the sign of zero', async () => {
    const bits = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((b) => (b & 0x7c00) !== 0x7c00);
    const all = { name: 'w', dtype: 'F16', shape: [bits.length], bytes: new Uint8Array(bits.buffer) } as const;
    const one = await weights('all', [all]);
    for (const blend of [blendOf([one]), blendOf([one, one])]) {
      const result = (await merged(gpu, blend)).tensors.get('w')!;
      const bytes = new Uint8Array(result.byteLength);
      await result.source.readInto(bytes, result.offset);
      expect(new Uint16Array(bytes.buffer)).toEqual(
        blend.ingredients.length === 1 ? bits : bits.map((b) => (b === 0x8000 ? 0 : b)),
      );
    }
  });

  test('rounds to the nearest half, ties to even, down to the subnormals', async () => {
    const interesting = [1, 2, 3, 0x3ff, 0x400, 0x401, 0x3bff, 0x3c00, 0x3c01, 0x7bfe, 0x7bff, 0x8001, 0xbc01];
    const pairs = interesting.flatMap((a) => interesting.map((b) => [a, b] as const));
    const file = (name: string, which: 0 | 1) =>
      weights(name, [
        {
          name: 'w',
          dtype: 'F16',
          shape: [pairs.length],
          bytes: new Uint8Array(Uint16Array.from(pairs, (p) => p[which]).buffer),
        },
      ]);
    const result = await numbers(await merged(gpu, blendOf([await file('a', 0), await file('b', 1)])), 'w');
    expect([...result]).toEqual(pairs.map(([a, b]) => round.F16((f16BitsToF32(a) + f16BitsToF32(b)) / 2)));
  });

  test.each([
    [3, 1],
    [1, 4],
    [7, 4],
    [5, 1018],
    [1023, 1021],
    [1, 999_982],
  ])('every half averaged with any other, %i to %i, is rounded as whole numbers say', async (p, q) => {
    const finite = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((b) => (b & 0x7c00) !== 0x7c00);
    // Another order of the same: neighbours of any size meet.
    const others = finite.map((_, i) => finite[(i * 40503 + 7919) % finite.length]!);
    const file = (name: string, halves: Uint16Array) =>
      weights(name, [{ name: 'w', dtype: 'F16', shape: [finite.length], bytes: new Uint8Array(halves.buffer) }]);
    const blend = blendOf([await file('a', finite), await file('b', others)], [p, q]);
    const expected = finite.map((a, i) => exactHalf(p * stepsOf(a) + q * stepsOf(others[i]!), p + q).bits);
    const actual = Uint16Array.from(await numbers(await merged(gpu, blend), 'w'), f32ToF16Bits);
    expect(actual.findIndex((bits, i) => bits !== expected[i])).toBe(-1);
  });

  test('a tensor larger than one chunk is cut and joined', async () => {
    const count = 4 * 2 ** 20 + 3;
    const x = random([count], 1).data;
    const result = await numbers(
      await merged(gpu, blendOf([await weights('a', [entry('w', 'F16', [count], x)])])),
      'w',
    );
    expect(result.length).toBe(count);
    expect(result.every((v, i) => v === round.F16(x[i]!))).toBe(true);
  });

  test('scalars and empty tensors pass through', async () => {
    const one = await weights('a', [
      entry('scalar', 'F32', [], Float32Array.of(2.5)),
      entry('empty', 'F16', [0, 3], new Float32Array(0)),
    ]);
    const result = await merged(gpu, blendOf([one, one]));
    expect(await numbers(result, 'scalar')).toEqual(Float32Array.of(2.5));
    expect(result.tensors.get('empty')?.shape).toEqual([0, 3]);
  });

  test('whole numbers are copied when equal and refused when not', async () => {
    const ids = (last: number): Entry => ({
      name: 'position_ids',
      dtype: 'I64',
      shape: [2],
      bytes: new Uint8Array(BigInt64Array.of(0n, BigInt(last)).buffer),
    });
    const [a, b] = [await weights('a', [ids(1)]), await weights('b', [ids(2)])];
    await expect(merged(gpu, blendOf([a, a]))).resolves.toBeDefined();
    await expect(merged(gpu, blendOf([a, b]))).rejects.toThrow(/position_ids \(I64\) differs between a and b/);
  });
});

describe('loading', () => {
  test.each<[Float, number, number, number]>([
    ['F16', 5, 8, 1],
    ['F16', 6, 4, 3],
    ['F16', 7, 3, 3],
    ['F32', 3, 12, 3],
    ['BF16', 4, 8, 1],
  ])('%s (%i, %i) with kernel %i is laid out as the kernels read it', async (dtype, rows, channels, kernel) => {
    const shape = kernel === 1 ? [rows, channels] : [rows, channels, kernel, kernel];
    const x = random(shape, 7);
    const blend = blendOf([await weights('a', [entry('conv.weight', dtype, shape, x.data)])]);
    const parameters = createParameters(gpu, blend);
    const loaded = parameters.scope.at('conv').matrix('weight', rows, channels, kernel);
    await parameters.load(blend);
    const rounded = { shape: [rows, channels, kernel * kernel], data: x.data.map(round[dtype]) };
    const expected = matrix(gpu, rounded, kernel, loaded.packed);
    const bytes = loaded.data.storage.elements * (loaded.packed ? 2 : 4);
    const read = (of: typeof loaded) => readBuffer(gpu, of.data.storage.buffer!, Math.ceil(bytes / 4) * 4, 'test');
    expect(new Uint8Array(await read(loaded))).toEqual(new Uint8Array(await read(expected)));
    expect(loaded.packed).toBe(dtype === 'F16' && channels % 4 === 0);
  });

  test.each([{ residents: false }, { residents: true }])(
    'matrices that lie together are each averaged to where they belong, residents: $residents',
    async ({ residents }) => {
      const names = ['q', 'k', 'v'];
      const [rows, channels] = [6, 64];
      const shape = [rows, channels];
      const file = (seed: number) =>
        weights(
          `${seed}`,
          names.map((name, i) => entry(name, 'F16', shape, random(shape, seed + i).data)),
        );
      const ingredients = [await file(1), await file(11)];
      const parameters = createParameters(withTier(gpu, { matrixUnits: 'all' }), blendOf(ingredients));
      const { data, rows: allRows } = parameters.scope.joint(names, rows, channels)!;
      parameters.refuseUnused();
      for (const shares of [
        [1, 1],
        [3, 1],
      ]) {
        await parameters.load(blendOf(ingredients, shares), { residents });
        const bytes = await readBuffer(gpu, data.storage.buffer!, allRows * channels * 2, 'test');
        const halves = new Uint16Array(bytes);
        const expected = names.flatMap((_, i) => {
          const [a, b] = [1, 11].map((seed) => random(shape, seed + i).data.map(round.F16));
          return Array.from(a!, (x, at) =>
            round.F16((shares[0]! * x + shares[1]! * b![at]!) / (shares[0]! + shares[1]!)),
          );
        });
        // (channels / 32, rows of all, 32)
        const found = expected.map((_, at) => {
          const [row, channel] = [Math.floor(at / channels), at % channels];
          return f16BitsToF32(halves[(Math.floor(channel / 32) * allRows + row) * 32 + (channel % 32)]!);
        });
        expect(found).toEqual(expected);
      }
      parameters.destroy();
    },
  );

  test.each([{ residents: false }, { residents: true }])(
    'so are vectors, which lie one behind the other, residents: $residents',
    async ({ residents }) => {
      const names = ['a', 'b', 'c'];
      const file = (seed: number) =>
        weights(
          `${seed}`,
          names.map((name, i) => entry(name, 'F16', [7], random([7], seed + i).data)),
        );
      const ingredients = [await file(1), await file(11)];
      const parameters = createParameters(gpu, blendOf(ingredients));
      const { storage, shape } = parameters.scope.jointVector(names, 7);
      parameters.refuseUnused();
      await parameters.load(blendOf(ingredients, [3, 1]), { residents });
      const bytes = await readBuffer(gpu, storage.buffer!, 21 * 4, 'test');
      const expected = names.flatMap((_, i) => {
        const [a, b] = [1, 11].map((seed) => random([7], seed + i).data.map(round.F16));
        return Array.from(a!, (x, at) => round.F16((3 * x + b![at]!) / 4));
      });
      expect([...shape, ...new Float32Array(bytes)]).toEqual([21, ...expected]);
      parameters.destroy();
    },
  );

  test('rows of a table are gathered and averaged', async () => {
    const [x, y] = [random([9, 6], 1), random([9, 6], 2)];
    const file = (name: string, { data }: typeof x) => weights(name, [entry('table', 'F16', [9, 6], data)]);
    const rows = await gatherRows(gpu, blendOf([await file('a', x), await file('b', y)]), 'table', [8, 0, 8]);
    const expected = [8, 0, 8].flatMap((row) =>
      Array.from({ length: 6 }, (_, i) =>
        round.F16((round.F16(x.data[row * 6 + i]!) + round.F16(y.data[row * 6 + i]!)) / 2),
      ),
    );
    expect([...rows]).toEqual(expected);
  });
});

describe('refusals name the first difference', () => {
  const plain = entry('w', 'F16', [2, 2], new Float32Array(4));
  test.each<[string, Entry[], RegExp]>([
    ['another shape', [entry('w', 'F16', [4], new Float32Array(4))], /w is \[2, 2\] in a but \[4\] in b/],
    ['a missing tensor', [], /a has a tensor "w" that b has not/],
    ['one too many', [plain, entry('x', 'F16', [1], new Float32Array(1))], /b has a tensor "x" that a has not/],
    [
      'another kind',
      [{ name: 'w', dtype: 'I64', shape: [2, 2], bytes: new Uint8Array(32) }],
      /w is F16 in a but I64 in b/,
    ],
  ])('%s', async (_, entries, message) => {
    const blend = blendOf([await weights('a', [plain]), await weights('b', entries)]);
    expect(() => checkBlend(blend)).toThrow(message);
  });

  test.each([
    [[1], /2 ingredients but 1 weights/],
    [[1, Number.NaN], /the weight "NaN" is no number/],
    [[1, -1], /add up to 0/],
  ])('weights %j', async (shares, message) => {
    const both = [await weights('a', [plain]), await weights('b', [plain])];
    expect(() => blendOf(both, shares)).toThrow(message);
  });
});
