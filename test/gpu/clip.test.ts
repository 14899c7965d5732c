/** Both towers of CLIP against slow loops, and the folders that transformers writes. */
import { type Gpu, type Image, loadClip } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { CLIP_CONFIG, clipFile, clipTensors, clipTextReference, clipVisionReference, SIDE } from '../support/clip.ts';
import { random, relativeL2, testGpu } from '../support/gpu.ts';
import { memoryFolder, rejection } from '../support/safetensors.ts';

/** Arithmetic in f32 against double. */
const BOUND = 1e-5;

let gpu: Gpu;
const tensors = clipTensors();
const folderWith = (files: Record<string, string | Uint8Array>) => memoryFolder(files, 'clip');
const whole = { 'config.json': JSON.stringify(CLIP_CONFIG), 'model.safetensors': clipFile(tensors) };

beforeAll(async () => {
  gpu = await testGpu('f32');
});

const picture = (width: number, height: number): Image => ({
  ...{ width, height },
  pixels: Uint8Array.from({ length: width * height * 4 }, (_, i) => (i % 4 === 3 ? 255 : (i * 37) % 256)),
});

describe('a CLIPModel', () => {
  test('computes what loops compute, layer by layer, for pictures and texts', async () => {
    const { folder, open } = folderWith(whole);
    const clip = await loadClip(gpu, folder);
    const pixels = [random([SIDE, SIDE, 3], 91).data, random([SIDE, SIDE, 3], 92).data];
    const both = Float32Array.from(pixels.flatMap((one) => [...one]));
    const seen = await clip.vision!.run(2, both, { all: true });
    const expected = pixels.map((one) => clipVisionReference(tensors.table, one));
    for (const [k] of expected[0]!.states.entries()) {
      const reference = expected.flatMap(({ states }) => states[k]!);
      expect(relativeL2(seen[`hidden_states.${k}`]!, reference), `layer ${k}`).toBeLessThan(BOUND);
    }
    expect(
      relativeL2(
        seen.pooler_output!,
        expected.flatMap(({ pooled }) => pooled),
      ),
    ).toBeLessThan(BOUND);
    expect(
      relativeL2(
        seen.embeds,
        expected.flatMap(({ embeds }) => embeds),
      ),
    ).toBeLessThan(BOUND);

    const ids = [
      [0, 7, 30, 39, 39, 39, 39, 39, 39],
      [0, 5, 6, 7, 8, 12, 11, 10, 39],
    ];
    const read = await clip.text!.run(ids);
    const texts = ids.map((row) => clipTextReference(tensors.table, row));
    expect(
      relativeL2(
        read['hidden_states.2']!,
        texts.flatMap(({ states }) => states[2]!),
      ),
    ).toBeLessThan(BOUND);
    expect(
      relativeL2(
        read.embeds,
        texts.flatMap(({ embeds }) => embeds),
      ),
    ).toBeLessThan(BOUND);

    // More pictures than go through at once, each as if it were alone.
    const pictures = Array.from({ length: 9 }, (_, i) => picture(20 + i, 13));
    const embeds = await clip.embedImages(pictures);
    expect(embeds.length).toBe(9);
    const [alone] = await clip.embedImages([pictures[8]!]);
    expect(relativeL2(embeds[8]!, alone!)).toBeLessThan(1e-6);
    expect(relativeL2(embeds[7]!, alone!)).toBeGreaterThan(1e-3);
    await expect(clip.embedTexts(['a cat'])).rejects.toThrow('clip/model.safetensors has no tokenizer');
    await clip.destroy();
    expect([...open]).toEqual([]);
  }, 60_000);

  test('may be its vision tower alone', async () => {
    const config = { ...CLIP_CONFIG.vision_config, projection_dim: CLIP_CONFIG.projection_dim };
    const { folder } = folderWith({
      'config.json': JSON.stringify(config),
      'model.safetensors': clipFile(tensors, (key) => /^vis/.test(key)),
    });
    const clip = await loadClip(gpu, folder);
    const pixels = random([SIDE, SIDE, 3], 93).data;
    const { embeds } = await clip.vision!.run(1, pixels);
    expect(relativeL2(embeds, clipVisionReference(tensors.table, pixels).embeds)).toBeLessThan(BOUND);
    await expect(clip.embedTexts(['a cat'])).rejects.toThrow('has no text tower');
    await clip.destroy();
  });

  test.each([
    ['no config', { 'model.safetensors': whole['model.safetensors'] }, 'clip has no config.json'],
    ['no weights', { 'config.json': whole['config.json'] }, 'clip has no model.safetensors'],
    [
      'another kind',
      { 'config.json': '{"model_type":"siglip"}' },
      'clip/config.json: "model_type" is "siglip"; expected "clip", "clip_vision_model" or "clip_text_model"',
    ],
    [
      'another size',
      { ...whole, 'config.json': whole['config.json'].replace('"image_size":11', '"image_size":14') },
      'vision_model.embeddings.position_embedding.weight in clip/model.safetensors is [10, 12]; its config asks for [17, 12]',
    ],
    [
      'an unknown option',
      { ...whole, 'config.json': whole['config.json'].replace('"image_size"', '"window":4,"image_size"') },
      '"window" is 4; this engine does not know the option',
    ],
  ])('is refused with %s', async (_, files, message) => {
    const { folder, open } = folderWith(files as Record<string, string | Uint8Array>);
    expect(String(await rejection(loadClip(gpu, folder)))).toContain(message);
    expect([...open]).toEqual([]);
  });
});
