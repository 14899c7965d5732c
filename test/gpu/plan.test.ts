/** What a plan leaves out when it runs again, and what it must not. */
import type { Gpu } from '@diffusion-soup/core';
import { beforeAll, expect, test } from 'vitest';
import type { Tensor } from '../../packages/core/src/gpu/graph.ts';
import { createPlan } from '../../packages/core/src/gpu/plan.ts';
import { footprint, record } from '../../packages/core/src/gpu/recording.ts';
import { add, silu } from '../../packages/core/src/ops/elementwise.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { matrix, random, relativeL2, testGpu } from '../support/gpu.ts';
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

/** As matrix() lays numbers out. */
function laidOut(data: Float32Array): Float32Array<ArrayBuffer> {
  const y = new Float32Array(64);
  for (let row = 0; row < 8; row++)
    for (let i = 0; i < 8; i++) y[(Math.floor(i / 4) * 8 + row) * 4 + (i % 4)] = data[row * 8 + i]!;
  return y;
}
