/** What a plan leaves out when it runs again, and what it must not. */
import type { Gpu } from '@diffusion-soup/core';
import { beforeAll, expect, test, vi } from 'vitest';
import type { Tensor } from '../../packages/core/src/gpu/graph.ts';
import { createPlan } from '../../packages/core/src/gpu/plan.ts';
import { createPlanCache } from '../../packages/core/src/gpu/plan-cache.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import { footprint, record } from '../../packages/core/src/gpu/recording.ts';
import { add, silu } from '../../packages/core/src/ops/elementwise.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { matrix, random, relativeL2, testGpu, vector } from '../support/gpu.ts';
import * as reference from '../support/reference.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const [w, other] = [random([8, 8], 1), random([8, 8], 2)];
const shapes = { x: [5, 8], text: [5, 8] };
const weights = () => matrix(gpu, w, 1, false);

/** y = x · wᵀ + silu(text · wᵀ) · wᵀ, of which the second part is the text's. */
const expected = (x: Float32Array, text: Float32Array, of = w.data) => {
  const product = (a: ArrayLike<number>) => reference.matmul(a, of, 5, 8, 8);
  const inner = product(text).map((v) => v / (1 + Math.exp(-v)));
  const outer = product(inner);
  return product(x).map((v, i) => v + outer[i]!);
};

test('what depends on a steady input alone comes first, and is computed again when that is another', async () => {
  const weight = weights();
  const forward = ({ x, text }: Record<string, Tensor>) => {
    const ofText = matmul(silu(matmul(text!, weight)), weight);
    return { y: add(ofText, matmul(x!, weight)) };
  };
  const recording = record(gpu, shapes, forward, { steady: ['text'] });
  expect([recording.steady.nodes, recording.graph.nodes.length]).toEqual([2, 3]);
  expect(footprint(recording).peak).toBeGreaterThanOrEqual(2 * 5 * 8 * 4);
  const plan = createPlan(gpu, recording, 'test');
  const text = random([5, 8], 3).data;
  const check = async (seed: number, of = w.data) => {
    const x = random([5, 8], seed).data;
    expect(relativeL2((await plan.run({ x, text })).y!, expected(x, text, of))).toBeLessThan(1e-5);
  };
  for (const seed of [4, 5, 6]) await check(seed);
  text.set(random([5, 8], 7).data); // the same array with other numbers
  for (const seed of [8, 9]) await check(seed);

  // Another array of the same numbers is no other text; another one is.
  const x = random([5, 8], 10).data;
  for (const given of [text.slice(), random([5, 8], 11).data, text]) {
    expect(relativeL2((await plan.run({ x, text: given })).y!, expected(x, given))).toBeLessThan(1e-5);
  }

  // Timing runs everything, of other inputs even; what comes after must not believe that its own are there.
  await plan.profile({ x, text: random([5, 8], 12).data });
  await check(13);

  gpu.device.queue.writeBuffer(weight.data.storage.buffer!, 0, laidOut(other.data));
  plan.forget();
  await check(14, other.data);
  plan.destroy();
});

test('then what depends on one input alone, side by side, and the numbers stay what they are', async () => {
  const weight = weights();
  const recording = record(gpu, { ...shapes, time: [5, 8] }, ({ x, text, time }) => {
    const both = add(matmul(x!, weight), matmul(text!, weight)); // the text's product adds that of x
    return { y: add(both, matmul(silu(matmul(time!, weight)), weight)) };
  });
  const read = recording.graph.nodes.map(({ inputs }) =>
    ['x', 'text', 'time'].filter((name) => inputs.x?.storage === recording.inputs[name]!.storage).join(),
  );
  expect(read).toEqual(['x', 'time', 'text', '']);
  const plan = createPlan(gpu, recording, 'test');
  const [x, text, time] = [3, 4, 5].map((seed) => random([5, 8], seed).data) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  const product = (a: ArrayLike<number>) => reference.matmul(a, w.data, 5, 8, 8);
  const ofTime = product(product(time).map((v) => v / (1 + Math.exp(-v))));
  const ofText = product(text);
  const y = product(x).map((v, i) => v + ofText[i]! + ofTime[i]!);
  expect(relativeL2((await plan.run({ x, text, time })).y!, y)).toBeLessThan(1e-5);
  plan.destroy();
});

test('what is submitted from the device is the same, one after the other, without waiting', async () => {
  const weight = weights();
  const forward = ({ x, text }: Record<string, Tensor>) => ({
    y: add(matmul(silu(matmul(text!, weight)), weight), matmul(x!, weight)),
  });
  const plan = createPlan(gpu, record(gpu, shapes, forward, { steady: ['text'] }), 'test');
  const texts = [random([5, 8], 1).data, random([5, 8], 2).data];
  const stored = random([3 * 40], 3);
  const { buffer } = vector(gpu, stored).storage;
  const slice = (first: number, count: number) => ({ buffer: buffer!, first, count });
  // Of each run: its text, and the slices that x is made of.
  const runs = [
    { text: texts[0]!, x: [slice(0, 40)] },
    { text: texts[0]!, x: [slice(47, 40)] },
    { text: texts[0]!, x: [slice(100, 16), slice(9, 24)] },
    { text: texts[1]!, x: [slice(80, 40)] },
    { text: texts[1]!, x: [slice(3, 20), slice(3, 20)] },
  ];
  const read: Promise<ArrayBuffer>[] = [];
  for (const run of runs) {
    const { y } = await plan.submit(run);
    expect(y).toMatchObject({ first: 0, count: 40 });
    read.push(readBuffer(gpu, y!.buffer, 160, 'reading')); // copied before the next run, looked at after all
  }
  const wanted = runs.map(({ text, x }) => {
    const values = x.flatMap(({ first, count }) => [...stored.data.subarray(first, first + count)]);
    return expected(Float32Array.from(values), text);
  });
  for (const [i, bytes] of (await Promise.all(read)).entries()) {
    expect(relativeL2(new Float32Array(bytes), wanted[i]!)).toBeLessThan(1e-5);
  }
  const x = random([5, 8], 5).data;
  expect(relativeL2((await plan.run({ x, text: texts[1]! })).y!, expected(x, texts[1]!))).toBeLessThan(1e-5);
  await expect(plan.submit({ x: [slice(0, 39)], text: texts[0]! })).rejects.toThrow('test x has 39 numbers');
  await expect(plan.run({ text: texts[0]! })).rejects.toThrow('test x has no numbers');
  plan.destroy();
});

/** As matrix() lays numbers out. */
function laidOut(data: Float32Array): Float32Array<ArrayBuffer> {
  const y = new Float32Array(64);
  for (let row = 0; row < 8; row++)
    for (let i = 0; i < 8; i++) y[(Math.floor(i / 4) * 8 + row) * 4 + (i % 4)] = data[row * 8 + i]!;
  return y;
}

test('what a plan takes is worked out once for a shape, and anew with another tuning', () => {
  const tuned = { ...gpu, tuning: () => undefined };
  const forward = vi.fn(({ x }: Record<string, Tensor>) => ({ y: silu(x!) }));
  const cache = createPlanCache(tuned, 'test', forward);
  const [small, large] = [{ x: [5, 8] }, { x: [6, 8] }] as const;
  expect(cache.footprint(small)).toEqual(footprint(record(gpu, small, forward)));
  forward.mockClear();
  for (const shapes of [small, large, small, large]) cache.footprint(shapes);
  expect(forward).toHaveBeenCalledTimes(1);
  tuned.tuning = () => undefined;
  cache.footprint(small);
  expect(forward).toHaveBeenCalledTimes(2);
});
