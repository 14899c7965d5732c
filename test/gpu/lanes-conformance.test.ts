/** A reference model, tensor by tensor, as graphics cards without matrix units compute it. */
import { conform, golden, goldenFile, openModelFolder, openSafetensors, type Precision } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { diskFolder, fileSource, REFERENCE } from '../support/files.ts';
import { asGraphicsCard, testGpu } from '../support/gpu.ts';

const MODEL = `${REFERENCE}/sd21-tiny`;
const hasF16 = process.env.SOUP_TEST_F16 !== 'no'; // SwiftShader has none
const PRODUCTS = ['matmul-lanes', 'few-rows', 'attention-lanes'];

test.each([
  ['text_encoder', 'f32', 7, PRODUCTS.filter((name) => name !== 'few-rows')],
  ['unet', 'f32', 22, [...PRODUCTS, 'conv2d-lanes']],
  ['vae', 'f32', 11, ['matmul-lanes', 'conv2d-lanes']],
  ...(hasF16 ? [['unet', 'f16', 22, [...PRODUCTS, 'conv2d-lanes']] as const] : []),
] as const)(
  '%s, in %s',
  async (component, precision: Precision, count, kernels) => {
    const gpu = asGraphicsCard(await testGpu(precision));
    const file = golden(await openSafetensors(await fileSource(`${MODEL}/${goldenFile(component)}`)));
    const results = [];
    for await (const result of conform(gpu, await openModelFolder(diskFolder(MODEL)), component, file))
      results.push(result);
    expect(results.filter(({ ok }) => !ok)).toEqual([]);
    expect(results.length).toBe(count);
    expect([...gpu.pipelines.values()].map(({ name }) => name)).toEqual(expect.arrayContaining([...kernels]));
  },
  900_000,
);
