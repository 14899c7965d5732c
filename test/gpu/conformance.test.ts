/** Both reference models, every named tensor of every golden file, in the precision tiers that the adapter has. */
import {
  conform,
  type Gpu,
  golden,
  goldenFile,
  goldenKinds,
  openModelFolder,
  openSafetensors,
  type Precision,
} from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { diskFolder, fileSource, REFERENCE } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';

/** So that a tensor which is no longer compared is noticed. */
const TENSORS = { text_encoder: 6, unet: 22, vae: 11, pipeline: 10 };
const models = process.env.SOUP_TEST_MODELS?.split(',') ?? ['sd15-tiny', 'sd21-tiny'];
const tiers: Precision[] = process.env.SOUP_TEST_F16 === 'no' ? ['f32'] : ['f32', 'f16'];

describe.each(tiers)('%s', (precision) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = await testGpu(precision);
  });

  describe.each(models)('%s', (model) => {
    test.each(goldenKinds)(
      '%s',
      async (kind) => {
        const path = `${REFERENCE}/${model}`;
        const file = async (name: typeof kind) =>
          golden(await openSafetensors(await fileSource(`${path}/${goldenFile(name)}`)));
        const folder = await openModelFolder(diskFolder(path));
        const results = [];
        for await (const result of conform(gpu, folder, kind, await file(kind), await file('text_encoder'))) {
          results.push(result);
        }
        expect(results.filter(({ ok }) => !ok)).toEqual([]);
        expect(results.length).toBe(TENSORS[kind] + (model === 'sd21-tiny' && kind === 'text_encoder' ? 1 : 0));
      },
      900_000,
    );
  });
});

test('a wrong weight is noticed', async () => {
  const gpu = await testGpu('f32');
  const folder = await openModelFolder(diskFolder(`${REFERENCE}/sd15-tiny`));
  const file = golden(await openSafetensors(await fileSource(`${REFERENCE}/sd15-tiny/${goldenFile('unet')}`)));
  const spoiled = {
    ...folder,
    // another epsilon in every norm: a mistake of one config value
    unetConfig: async () => ({ ...(await folder.unetConfig()), normEps: 1e-3 }),
  };
  const results = [];
  for await (const result of conform(gpu, spoiled, 'unet', file)) results.push(result);
  expect(results.find(({ name }) => name === 'output')?.ok).toBe(false);
  expect(results.find(({ name }) => name === 'conv_in')?.ok).toBe(true);
});
