/** Pictures painted from the GPU are those that are read from it. */
import { createPainter, generate, loadModel, openModelFolder, toImage } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { Usage } from '../../packages/core/src/gpu/flags.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import { diskFolder, PANTRY } from '../support/files.ts';
import { random, testGpu, vector } from '../support/gpu.ts';

const RENDER_ATTACHMENT = 0x10;
const COPY_SRC = 0x1;
const ROW = 256;

async function canvasOf(gpu: Awaited<ReturnType<typeof testGpu>>, width: number, height: number) {
  const size = { width, height };
  const target = gpu.device.createTexture({ size, format: 'rgba8unorm', usage: RENDER_ATTACHMENT | COPY_SRC });
  const read = async () => {
    const pitch = Math.ceil((width * 4) / ROW) * ROW;
    const buffer = gpu.createBuffer(pitch * height, Usage.COPY_DST | Usage.COPY_SRC, 'canvas');
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyTextureToBuffer({ texture: target }, { buffer, bytesPerRow: pitch }, size);
    gpu.device.queue.submit([encoder.finish()]);
    const rows = new Uint8Array(await readBuffer(gpu, buffer, pitch * height, 'reading the canvas'));
    return Uint8Array.from({ length: width * height * 4 }, (_, i) => {
      const row = Math.floor(i / (width * 4));
      return rows[row * pitch + (i % (width * 4))]!;
    });
  };
  return { target, read };
}

/** Formats may round halves either way. */
const furthest = (a: Uint8Array, b: Uint8Array) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i]!)), 0);

test.each([
  [1, 1, 3],
  [7, 5, 3],
  [3, 11, 1],
  [13, 2, 4],
])('%i x %i pixels of %i channels', async (width, height, channels) => {
  const gpu = await testGpu();
  const { data } = random([height, width, channels], 7);
  const x = data.map((value) => value * 1.5); // beyond black and white, too
  const { target, read } = await canvasOf(gpu, width, height);
  const { buffer } = vector(gpu, { shape: [x.length], data: x }).storage;
  createPainter(gpu, 'rgba8unorm').paint(target, { buffer: buffer!, width, height, channels });
  const pixels = await gpu.settled(read(), 'painting');
  expect(furthest(pixels, toImage(x, width, height).pixels)).toBeLessThanOrEqual(1);
  expect(new Set(pixels).size).toBeGreaterThan(width * height > 20 ? 15 : 1);
});

test('a preview and the picture, as they are decoded', async () => {
  const gpu = await testGpu();
  const model = await loadModel(gpu, [{ folder: await openModelFolder(diskFolder(`${PANTRY}/base`)), weight: 1 }]);
  const painter = createPainter(gpu, 'rgba8unorm');
  const { target, read } = await canvasOf(gpu, 64, 32);
  let painted: Promise<Uint8Array> | undefined;
  const onDecoded = (picture: Parameters<typeof painter.paint>[1]) => {
    painter.paint(target, picture);
    painted = read();
  };
  const request = {
    prompt: 'pizza',
    seed: 1,
    steps: 2,
    guidance: 4,
    width: 64,
    height: 32,
    previewEvery: 1,
    onDecoded,
  };
  const seen = [];
  for await (const event of generate(model, request)) {
    const image = event.type === 'step' ? event.previews?.[0] : event.type === 'image' ? event.image : undefined;
    if (!image) continue;
    seen.push(event.type);
    expect(furthest(await painted!, image.pixels)).toBeLessThanOrEqual(1);
  }
  expect(seen).toEqual(['step', 'step', 'image']);
});
