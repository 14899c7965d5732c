/** Both towers of CLIP against transformers and against slow loops, and the folders that transformers writes. */
import { readFile } from 'node:fs/promises';
import {
  bytesSource,
  type ClipInput,
  clipInput,
  cosine,
  type Gpu,
  golden,
  type Image,
  loadClip,
  openClipFolder,
  openSafetensors,
  toChannelsFirst,
  toChannelsLast,
} from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { CLIP_CONFIG, clipFile, clipTensors, clipTextReference, clipVisionReference, SIDE } from '../support/clip.ts';
import { diskFolder, REFERENCE } from '../support/files.ts';
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

/** Of clip-tiny-*: see test/reference/make-clip.py. */
const referenceOf = async (name: string) =>
  golden(
    await openSafetensors(bytesSource(await readFile(`${REFERENCE}/${name}/golden-clip.safetensors`), 'golden-clip')),
  );

describe.each(['clip-tiny-quick', 'clip-tiny-gelu'])('%s, as transformers computes it', (name) => {
  test('pictures are scaled, cropped and normalised as by Pillow and by its processor', async () => {
    const file = await referenceOf(name);
    const { preprocessing } = await openClipFolder(diskFolder(`${REFERENCE}/${name}`));
    for (const reference of ['pixel_values', 'pixel_values.transformers']) {
      const { shape, data } = await file.tensor(reference);
      const each = data.length / shape[0]!;
      for (let k = 0; k < 2; k++) {
        const ours = toChannelsFirst(clipInput(await pictureOf(file, k), preprocessing as ClipInput), 1, 3);
        const theirs = data.subarray(k * each, (k + 1) * each);
        // One step of 255 is 0.015: the bytes are the same.
        expect(Math.max(...ours.map((x, i) => Math.abs(x - theirs[i]!)))).toBeLessThan(1e-5);
      }
    }
  });

  test('every layer of both towers, the embeddings and the logits', async () => {
    const file = await referenceOf(name);
    const clip = await loadClip(gpu, diskFolder(`${REFERENCE}/${name}`));
    const wanted = [...file.weights.tensors.keys()].filter((key) => /^(vision|text)(_model)?[._]/.test(key));
    const pixels = await file.tensor('pixel_values');
    const seen = await clip.vision!.run(2, toChannelsLast(pixels.data, 2, 3), {
      all: true,
      wantsTap: (tap) => wanted.includes(tap),
    });
    const ids = await file.tensor('input_ids');
    const [rows, length] = ids.shape as [number, number];
    const tokens = Array.from({ length: rows }, (_, i) => [...ids.data.subarray(i * length, (i + 1) * length)]);
    const read = await clip.text!.run(tokens, {
      wantsTap: (tap) => wanted.includes(`text_model.${tap}`) || wanted.includes(tap),
    });
    const ours = new Map<string, Float32Array>([
      ['image_embeds', seen.embeds],
      ['text_embeds', read.embeds],
    ]);
    for (const [key, x] of Object.entries(seen)) ours.set(key.replace(/^hidden/, 'vision.hidden'), x);
    for (const [key, x] of Object.entries(read)) ours.set(key.replace(/^hidden/, 'text.hidden'), x);
    ours.set('vision_model.post_layernorm', seen.pooler_output!);
    ours.set('text_model.final_layer_norm', read.last_hidden_state!);
    const off: [string, number][] = [];
    for (const key of [...wanted, 'image_embeds', 'text_embeds']) {
      const { shape, data } = await file.tensor(key);
      const x = ours.get(key);
      const found = x && shape.length === 4 ? toChannelsFirst(x, shape[0]!, shape[1]!) : x;
      off.push([key, found ? relativeL2(found, data) : Number.NaN]);
    }
    expect(off.filter(([, distance]) => !(distance < BOUND))).toEqual([]);
    expect(off.length).toBe(name === 'clip-tiny-quick' ? 29 : 39);

    const logits = await file.tensor('logits_per_image');
    const images = rowsOf(seen.embeds, 2);
    const texts = rowsOf(read.embeds, rows);
    const cosines = images.flatMap((image) => texts.map((text) => cosine(image, text)));
    const scale = Math.exp(2.66015625); // logit_scale, 2.6592 in f16
    const computed = Float32Array.from(cosines, (value) => scale * value);
    expect(relativeL2(computed, logits.data)).toBeLessThan(BOUND);
    await clip.destroy();
  }, 60_000);

  test('the halves by themselves', async () => {
    const file = await referenceOf(name);
    const pixels = await file.tensor('pixel_values');
    const vision = await loadClip(gpu, diskFolder(`${REFERENCE}/${name}/vision`));
    const seen = await vision.vision!.run(2, toChannelsLast(pixels.data, 2, 3));
    expect(relativeL2(seen.embeds, (await file.tensor('image_embeds')).data)).toBeLessThan(BOUND);
    const text = await loadClip(gpu, diskFolder(`${REFERENCE}/${name}/text`));
    const ids = await file.tensor('input_ids');
    const read = await text.text!.run(rowsOf(ids.data, ids.shape[0]!).map((row) => [...row]));
    expect(relativeL2(read.embeds, (await file.tensor('text_embeds')).data)).toBeLessThan(BOUND);
    await expect(text.embedImages([picture(9, 9)])).rejects.toThrow('has no vision tower');
    await vision.destroy();
    await text.destroy();
  }, 60_000);
});

test('a checkpoint with its tokenizer reads words: the same ids, the same embedding', async () => {
  const clip = await loadClip(gpu, diskFolder(`${REFERENCE}/clip-tiny-quick`));
  const [abacus] = await clip.embedTexts(['abacus']);
  const file = await referenceOf('clip-tiny-quick');
  const { data } = await file.tensor('text_embeds');
  expect(relativeL2(abacus!, rowsOf(data, 3)[0]!)).toBeLessThan(BOUND);
  await clip.destroy();
});

const rowsOf = (x: Float32Array, count: number): Float32Array[] =>
  Array.from({ length: count }, (_, i) => x.slice((i * x.length) / count, ((i + 1) * x.length) / count));

async function pictureOf(file: Awaited<ReturnType<typeof referenceOf>>, k: number): Promise<Image> {
  const { shape, source, offset, byteLength } = file.weights.tensors.get(`picture.${k}`)!;
  const bytes = new Uint8Array(byteLength);
  await source.readInto(bytes, offset);
  const [height, width] = shape as [number, number];
  const pixels = Uint8Array.from({ length: width * height * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : bytes[(i >> 2) * 3 + (i % 4)]!,
  );
  return { width, height, pixels };
}
