/** Single files: what is written is read back byte for byte, and what is read is what a folder would say. */
import { configMetadata, openSingleFile } from '@diffusion-soup/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { PANTRY, REFERENCE } from '../../support/files.ts';
import { source } from '../../support/safetensors.ts';
import { bytesOf, type Loaded, loadFolder, PARTS, singleFileOf } from '../../support/single-file.ts';

const MODELS = {
  'pantry/base': `${PANTRY}/base`,
  'sd15-tiny': `${REFERENCE}/sd15-tiny`,
  'sd21-tiny': `${REFERENCE}/sd21-tiny`,
};

describe.each(Object.entries(MODELS))('%s', (_, path) => {
  let model: Loaded;
  let bytes: Uint8Array;
  beforeAll(async () => {
    model = await loadFolder(path);
    bytes = await singleFileOf(model);
  });
  afterAll(() => model.close());

  it('comes back byte for byte', async () => {
    const single = await openSingleFile(source(bytes), { configs: model.configs });
    for (const part of PARTS) {
      const [found, wanted] = [(await single.weights(part))!.tensors, model.parts[part].tensors];
      expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
      for (const [key, info] of wanted) {
        expect(found.get(key)).toMatchObject({ name: key, dtype: info.dtype, shape: info.shape });
        expect(Buffer.compare(await bytesOf(found.get(key)!), await bytesOf(info)), key).toBe(0);
      }
    }
    expect(single.ignored).toEqual([]);
    expect([...single.components]).toEqual(['unet', 'vae', 'text_encoder', 'scheduler']);
  });

  it('keeps its configs in the metadata', async () => {
    const single = await openSingleFile(source(await singleFileOf(model, configMetadata(model.configs))));
    expect(await single.unetConfig()).toEqual(await model.folder.unetConfig());
    expect(await single.vaeConfig()).toEqual(await model.folder.vaeConfig());
    expect(await single.textEncoderConfig()).toEqual(await model.folder.textEncoderConfig());
    const { raw: _, ...scheduler } = await single.schedulerConfig();
    expect(await model.folder.schedulerConfig()).toMatchObject(scheduler);
    expect(single.notes).toEqual([]);
  });
});
