/** A reference model, module by module, where all that can goes through the matrix units; they are emulated. */
import { conform, golden, goldenFile, openModelFolder, openSafetensors } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { diskFolder, fileSource, REFERENCE } from '../support/files.ts';
import { emulatedGpu } from '../support/matrix-emulation.ts';

const MODEL = `${REFERENCE}/sd21-tiny`;

/** What differs from the reference, how much was compared, and by which kernels it was made. */
async function conformed(component: 'unet' | 'text_encoder', bound = Number.POSITIVE_INFINITY) {
  const gpu = await emulatedGpu();
  const file = golden(await openSafetensors(await fileSource(`${MODEL}/${goldenFile(component)}`)));
  const results = [];
  for await (const result of conform(gpu, await openModelFolder(diskFolder(MODEL)), component, file))
    results.push(result);
  return {
    wrong: results.filter(({ ok, relativeL2 }) => !ok || relativeL2 > bound),
    count: results.length,
    kernels: [...new Set([...gpu.pipelines.values()].map(({ name }) => name))],
  };
}

const hasF16 = process.env.SOUP_TEST_F16 !== 'no'; // SwiftShader has none

test.runIf(hasF16)(
  'UNet',
  async () => {
    const { wrong, count, kernels } = await conformed('unet');
    expect([wrong, count]).toEqual([[], 22]);
    expect(kernels).toEqual(expect.arrayContaining(['matmul-tensor', 'conv2d-tensor', 'attention-tensor', 'few-rows']));
  },
  900_000,
);

test.runIf(hasF16)(
  'text encoder, as precisely as in f32',
  async () => {
    const { wrong, count, kernels } = await conformed('text_encoder', 1e-5);
    expect([wrong, count]).toEqual([[], 7]);
    expect(kernels).toContain('matmul-tensor');
  },
  900_000,
);
