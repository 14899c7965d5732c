/** A reference model, module by module, where all that can goes through the matrix units; they are emulated. */
import {
  blendOf,
  conform,
  createUNet,
  golden,
  goldenFile,
  openModelFolder,
  openSafetensors,
} from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { diskFolder, fileSource, REFERENCE } from '../support/files.ts';
import { relativeL2 } from '../support/gpu.ts';
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
    expect(kernels).toEqual(
      expect.arrayContaining(['matmul-tensor', 'conv2d-tensor', 'attention-tensor', 'few-rows', 'fold-linears']),
    );
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

test.runIf(hasF16)(
  'a UNet of f32 weights, which lanes multiply then',
  async () => {
    const gpu = { ...(await emulatedGpu()), tiles: true };
    const folder = await openModelFolder(diskFolder(MODEL));
    const blend = { ...blendOf([(await folder.weights('unet'))!]), dtype: 'F32' as const };
    const unet = createUNet(gpu, await folder.unetConfig(), blend);
    await unet.load(blend);
    const file = golden(await openSafetensors(await fileSource(`${MODEL}/${goldenFile('unet')}`)));
    const [sample, timestep, context, expected] = await Promise.all(
      ['sample', 'timestep', 'encoder_hidden_states', 'output'].map((name) => file.tensor(name)),
    );
    const [images, , height, width] = sample!.shape as [number, number, number, number];
    const { output } = await unet.predict({ images, height, width }, sample!.data, timestep!.data, context!.data);
    expect(relativeL2(output, expected!.data)).toBeLessThan(1e-2);
    const kernels = [...gpu.pipelines.values()].map(({ name }) => name);
    expect(kernels).toEqual(expect.arrayContaining(['matmul-lanes', 'conv2d-lanes', 'attention-tensor']));
    expect(kernels.filter((name) => /^(matmul|conv2d)-tensor$/.test(name))).toEqual([]);
  },
  900_000,
);
