/** Sums of slices on the device against a slow reference in double; and what is refused. */
import type { Gpu } from '@diffusion-soup/core';
import { beforeAll, expect, test } from 'vitest';
import { createMixer } from '../../packages/core/src/gpu/mixer.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import type { Slice } from '../../packages/core/src/gpu/slice.ts';
import { random, relativeL2, testGpu, vector } from '../support/gpu.ts';

/** One kernel in f32: see README.md. */
const BOUND = 2e-6;

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

/** Numbers on the device, with `before` others in front of them in the buffer. */
function slice(data: Float32Array, before = 0): Slice {
  const all = new Float32Array(before + data.length).fill(99);
  all.set(data, before);
  const { buffer } = vector(gpu, { shape: [all.length], data: all }).storage;
  return { buffer: buffer!, first: before, count: data.length };
}

const read = async ({ buffer, first, count }: Slice) =>
  new Float32Array(await readBuffer(gpu, buffer, (first + count) * 4, 'reading')).subarray(first);

const sum = (terms: readonly (readonly [number, Float32Array])[], length: number) =>
  Float64Array.from({ length }, (_, i) => terms.reduce((total, [weight, x]) => total + weight * x[i]!, 0));

const WEIGHTS = [0.3, -1.7, 12.5, -0.001, 2];

test.each([
  [1, 1],
  [2, 255],
  [3, 257],
  [4, 1000],
  [5, 513],
  [5, 70_000],
])('%i terms of %i numbers, each from a place of its own', async (count, length) => {
  const mixer = createMixer(gpu);
  const terms = WEIGHTS.slice(0, count).map((weight, k) => [weight, random([length], k + 1).data] as const);
  const y = slice(new Float32Array(length), 3);
  mixer.mix(
    y,
    terms.map(([weight, x], k) => [weight, slice(x, 5 * k)]),
  );
  mixer.flush();
  expect(relativeL2(await read(y), sum(terms, length))).toBeLessThan(BOUND);
  expect((await read({ ...y, first: 0, count: 3 }))[2]).toBe(99); // nothing is written before its place
  mixer.destroy();
});

test('what has no weight has no say, and nothing is zero', async () => {
  const mixer = createMixer(gpu);
  const x = random([7], 1).data;
  const ruined = slice(Float32Array.from(x, (_, i) => (i % 2 ? Number.NaN : Number.POSITIVE_INFINITY)));
  const [y, z] = [slice(new Float32Array(7)), slice(new Float32Array(7).fill(3))];
  mixer.mix(y, [
    [0, ruined],
    [2, slice(x)],
  ]);
  mixer.mix(z, [[0, ruined]]);
  mixer.flush();
  expect([...(await read(y))]).toEqual([...x.map((v) => 2 * v)]);
  expect([...(await read(z))]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  mixer.destroy();
});

test('sums see those before them, however many are submitted at once', async () => {
  const mixer = createMixer(gpu);
  const turns = [slice(Float32Array.of(1, -2, 0.5)), slice(new Float32Array(3))];
  const sums = 101;
  for (let i = 0; i < sums; i++) mixer.mix(turns[(i + 1) % 2]!, [[1.01, turns[i % 2]!]]);
  mixer.flush();
  const expected = [1, -2, 0.5].map((v) => v * 1.01 ** sums);
  expect(relativeL2(await read(turns[sums % 2]!), Float64Array.from(expected))).toBeLessThan(sums * 1e-7);
  mixer.destroy();
});

test('other lengths and too many terms are refused; memory is given back', () => {
  const { used } = gpu.memory;
  const mixer = createMixer(gpu);
  const y = slice(new Float32Array(4));
  expect(() => mixer.mix(y, [[1, slice(new Float32Array(5))]])).toThrow('5 numbers cannot be added to 4');
  const six = Array.from({ length: 6 }, () => [1, slice(new Float32Array(4))] as const);
  expect(() => mixer.mix(y, six)).toThrow('6 terms in one sum; at most 5');
  mixer.destroy();
  expect(gpu.memory.used).toBe(used);
});
