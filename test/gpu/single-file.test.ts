/** Weights of a single file on the GPU: slices of q, k and v, and matrices kept as convolutions, compute the same. */
import { blendOf, createTextEncoder, createVae, type ModelFolder, openSingleFile } from '@diffusion-soup/core';
import { expect, it } from 'vitest';
import { REFERENCE } from '../support/files.ts';
import { random, testGpu } from '../support/gpu.ts';
import { source } from '../support/safetensors.ts';
import { loadFolder, singleFileOf } from '../support/single-file.ts';

it('a single file computes what its folder computes', async () => {
  const gpu = await testGpu();
  const model = await loadFolder(`${REFERENCE}/sd21-tiny`);
  const results = async (folder: ModelFolder) => {
    const text = blendOf([(await folder.weights('text_encoder'))!]);
    const encoder = createTextEncoder(gpu, await folder.textEncoderConfig(), text);
    await encoder.load(text);
    const decoding = blendOf([(await folder.weights('vae'))!]);
    const vae = createVae(gpu, await folder.vaeConfig(), decoding);
    await vae.load(decoding);
    const { data } = random([1, 4, 4, 4]);
    const { image } = await vae.decode({ images: 1, height: 4, width: 4 }, data);
    const context = await encoder.encode([[598, 1, 2, 3, 599]]);
    encoder.destroy();
    vae.destroy();
    return { context, image };
  };
  const single = await openSingleFile(source(await singleFileOf(model)), { configs: model.configs });
  const wanted = await results(model.folder);
  expect(new Set(wanted.context).size).toBeGreaterThan(100);
  expect(await results(single)).toEqual(wanted);
  await model.close();
});
