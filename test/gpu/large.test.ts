/**
 * Activations near the end of what f16 holds (65504), as Stable Diffusion 2.1's attention and the VAE have them: scores and
 * sums are f32, and what cannot be stored becomes the largest half, not infinity, so that the next norm brings it back.
 */
import type { Gpu } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { f16BitsToF32, f32ToF16Bits } from '../../packages/core/src/checkpoint/dtype.ts';
import { attention } from '../../packages/core/src/ops/attention.ts';
import { conv2d } from '../../packages/core/src/ops/conv2d.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { groupNorm, layerNorm } from '../../packages/core/src/ops/norms.ts';
import { matrix, type Numbers, random, relativeL2, runOp, testGpu, vector } from '../support/gpu.ts';
import { emulatedGpu } from '../support/matrix-emulation.ts';
import * as reference from '../support/reference.ts';

const LARGEST = 65504;

/** Random halves of up to `size`. */
function halves(shape: readonly number[], size: number, seed: number): Numbers {
  return { shape, data: random(shape, seed).data.map((v) => f16BitsToF32(f32ToF16Bits(v * size))) };
}

const saturated = (values: ArrayLike<number>) => Array.from(values, (v) => Math.min(LARGEST, Math.max(-LARGEST, v)));

describe.runIf(process.env.SOUP_TEST_F16 !== 'no')('f16', () => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await testGpu('f16');
  });

  test.each(['lanes', 'matrix units'])('attention whose scores no half could hold, on %s', async (how) => {
    const on = how === 'lanes' ? gpu : await emulatedGpu();
    const shape = [1, 40, 16];
    const [q, k, v] = [halves(shape, 200, 1), halves(shape, 200, 2), halves(shape, 1, 3)];
    const y = await runOp(on, { q, k, v }, ({ q, k, v }) => attention(q!, k!, v!, { heads: 1 }));
    const options = { images: 1, queries: 40, keys: 40, channels: 16, heads: 1, causal: false };
    const product = (a: number, b: number) => {
      let sum = 0;
      for (let i = 0; i < 16; i++) sum += q.data[a * 16 + i]! * k.data[b * 16 + i]!;
      return Math.abs(sum);
    };
    const largest = Math.max(...Array.from({ length: 40 * 40 }, (_, i) => product(Math.floor(i / 40), i % 40)));
    expect(largest).toBeGreaterThan(2 * LARGEST);
    expect(relativeL2(y, reference.attention(q.data, k.data, v.data, options))).toBeLessThan(2e-3);
  });

  test('sums that no half can hold become the largest half', async () => {
    const [x, w] = [halves([5, 64], 30_000, 1), halves([8, 64], 1, 2)];
    const y = await runOp(gpu, { x }, ({ x }) => matmul(x!, matrix(gpu, w, 1, true)));
    const exact = reference.matmul(x.data, w.data, 5, 8, 64);
    expect(Math.max(...Array.from(exact, Math.abs))).toBeGreaterThan(2 * LARGEST);
    expect(relativeL2(y, saturated(exact))).toBeLessThan(2e-3);

    const [picture, kernel] = [halves([1, 6, 6, 8], 30_000, 3), halves([4, 8, 9], 1, 4)];
    const convolved = await runOp(gpu, { picture }, ({ picture }) => conv2d(picture!, matrix(gpu, kernel, 3, true)));
    expect(convolved.every((value) => Math.abs(value) <= LARGEST)).toBe(true);
    expect(convolved.filter((value) => Math.abs(value) === LARGEST).length).toBeGreaterThan(10);
  });

  test('norms of them are what they are in float64', async () => {
    const x = halves([1, 8, 8, 64], LARGEST, 1);
    const [gamma, beta] = [random([64], 2), random([64], 3)];
    const norm = { gamma: vector(gpu, gamma), beta: vector(gpu, beta) };
    const grouped = await runOp(gpu, { x }, ({ x }) => groupNorm(x!, { ...norm, eps: 1e-6, groups: 32 }));
    const groups = { images: 1, pixels: 64, channels: 64, groups: 32, eps: 1e-6 };
    const expected = reference.groupNorm(x.data, gamma.data, beta.data, groups);
    expect(relativeL2(grouped, expected)).toBeLessThan(2e-3);
    const rows = { ...x, shape: [1, 64, 64] };
    const layered = await runOp(gpu, { x: rows }, ({ x }) => layerNorm(x!, { ...norm, eps: 1e-5 }));
    expect(relativeL2(layered, reference.layerNorm(x.data, gamma.data, beta.data, 64, 64, 1e-5))).toBeLessThan(2e-3);
  });
});
