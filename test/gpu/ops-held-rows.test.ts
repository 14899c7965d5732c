/**
 * Products as processors compute them (held-rows.wgsl), against slow references: rows and columns that fill no workgroup, inner
 * dimensions that are held whole, in several parts, and in parts that are not full. On devices whose lanes share nothing these
 * are the plain products.
 */
import type { Gpu, Precision } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { conv2d } from '../../packages/core/src/ops/conv2d.ts';
import { add, addPerImage, silu } from '../../packages/core/src/ops/elementwise.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { matrix, random, relativeL2, runOp, testGpu, vector } from '../support/gpu.ts';
import * as reference from '../support/reference.ts';

// As in ops.test.ts.
const TOLERANCE: Record<Precision, number> = { f32: 2e-6, f16: 2e-3 };

const hasF16 = process.env.SOUP_TEST_F16 !== 'no';

describe.each<Precision>(hasF16 ? ['f32', 'f16'] : ['f32'])('%s', (precision) => {
  let gpu: Gpu;
  const close = (result: Float32Array, expected: ArrayLike<number>, isPacked = false) =>
    expect(relativeL2(result, expected)).toBeLessThan(TOLERANCE[isPacked ? 'f16' : precision]);
  beforeAll(async () => {
    gpu = await testGpu(precision);
  });

  test.each([
    // rows, inner, columns
    [64, 4, 1],
    [67, 64, 37],
    [97, 92, 70],
    [131, 132, 259], // the last part has one vector; more columns than wait at once
    [256, 520, 33],
  ])('matmul %i x %i x %i, with all that a product adds', async (rows, inner, columns) => {
    const images = rows % 2 === 0 ? 2 : 1;
    const [x, w, bias] = [random([images, rows / images, inner], 1), random([columns, inner], 2), random([columns], 3)];
    const [shift, residual] = [random([images, columns], 4), random([images, rows / images, columns], 5)];
    const plain = reference.matmul(x.data, w.data, rows, columns, inner, bias.data);
    for (const packed of [false, true]) {
      const [weight, b] = [matrix(gpu, w, 1, packed), vector(gpu, bias)];
      close(await runOp(gpu, { x }, ({ x }) => matmul(x!, weight, b)), plain, packed);
      const y = await runOp(gpu, { x, shift, residual }, ({ x, shift, residual }) =>
        add(residual!, silu(addPerImage(matmul(x!, weight, b), shift!))),
      );
      const perImage = (rows / images) * columns;
      const expected = plain.map((v, i) => {
        const shifted = v + shift.data[Math.floor(i / perImage) * columns + (i % columns)]!;
        return residual.data[i]! + reference.activation.silu(shifted);
      });
      close(y, expected, packed);
    }
  });

  const half = (kernel: number) => (kernel - 1) / 2;
  test.each([
    // images, height, width, channels, outChannels, kernel, stride, upsampleTo
    [1, 9, 11, 4, 3, 3, 1, undefined],
    [2, 7, 9, 12, 33, 3, 1, undefined],
    [1, 17, 19, 8, 5, 3, 2, undefined],
    [1, 9, 8, 20, 7, 5, 1, undefined],
    [2, 5, 6, 28, 9, 3, 1, [10, 12]],
    [2, 9, 8, 28, 9, 3, 1, [18, 16]],
    [1, 13, 17, 64, 35, 3, 1, [26, 34]],
    [3, 11, 7, 4, 5, 3, 1, [22, 14]],
    [1, 13, 17, 8, 3, 3, 1, [26, 33]],
    [1, 7, 5, 4, 300, 3, 1, [9, 11]],
  ] as const)(
    'conv2d of %i images %i x %i, %i -> %i, kernel %i, stride %i, scaled to %j',
    async (images, height, width, channels, outChannels, kernel, stride, upsampleTo) => {
      const x = random([images, height, width, channels], 1);
      const w = random([outChannels, channels, kernel, kernel], 2);
      const bias = random([outChannels], 3);
      const y = await runOp(gpu, { x }, ({ x }) =>
        conv2d(x!, matrix(gpu, w, kernel, false), vector(gpu, bias), { stride, ...(upsampleTo && { upsampleTo }) }),
      );
      const [inHeight, inWidth] = upsampleTo ?? [height, width];
      const pad = half(kernel);
      const scaled = upsampleTo ? reference.upsample(x.data, x.shape, upsampleTo) : x.data;
      const conv = { images, height: inHeight, width: inWidth, channels, outChannels, kernel, stride };
      close(y, reference.conv2d(scaled, w.data, bias.data, { ...conv, padding: [pad, pad, pad, pad] }));
    },
  );
});
