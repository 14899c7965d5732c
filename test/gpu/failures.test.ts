/** What happens when the GPU or the user says no: a lost device, a small budget, a picture too large, a cancelled run. */
import {
  CancelledError,
  DeviceError,
  type Gpu,
  generate,
  loadModel,
  MemoryError,
  openModelFolder,
  UsageError,
} from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { decodeLatents, decodeTiled, tileSize } from '../../packages/core/src/pipeline/decode.ts';
import { createLatentSpace } from '../../packages/core/src/pipeline/latents.ts';
import { diskFolder, PANTRY } from '../support/files.ts';
import { random, relativeL2, testGpu } from '../support/gpu.ts';

const base = () => openModelFolder(diskFolder(`${PANTRY}/base`));
const load = async (gpu: Gpu) => loadModel(gpu, [{ folder: await base(), weight: 1 }]);
const REQUEST = { prompt: 'pizza', seed: 1, steps: 3, guidance: 4 };

test('a lost device ends the run with a sentence, and another device works', async () => {
  const gpu = await testGpu('f32');
  const model = await load(gpu);
  const run = generate(model, REQUEST);
  await run.next();
  gpu.device.destroy();
  await expect(run.next()).rejects.toThrow(DeviceError);
  const other = await load(await testGpu('f32'));
  const events = [];
  for await (const event of generate(other, { ...REQUEST, steps: 1 })) events.push(event.type);
  expect(events).toEqual(['start', 'step', 'image']);
});

test.each([
  ['is lost', (gpu: Gpu) => gpu.device.destroy(), /lost while drawing/],
  ['refuses a command', (gpu: Gpu) => gpu.device.createBuffer({ size: 4, usage: 0 }), /refused a command while/],
])('a device that %s between two steps ends the run, whether the next was submitted or not', async (_, fail, says) => {
  const gpu = await testGpu('f32');
  const model = await load(gpu);
  const small = { ...REQUEST, width: 64, height: 32 };
  for await (const _ of generate(model, small));
  const { used } = gpu.memory;
  const steps: number[] = [];
  const run = (async () => {
    for await (const event of generate(model, { ...small, steps: 30 })) {
      if (event.type === 'step') steps.push(event.step);
      if (event.type === 'step' && event.step === 5) fail(gpu);
    }
  })();
  await expect(run).rejects.toThrow(DeviceError);
  await expect(run).rejects.toThrow(says);
  expect(steps.slice(0, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(steps.length).toBeLessThan(8);
  expect(gpu.memory.used).toBe(used);
});

test.each([1e6, 2e7])('a budget of %i bytes is refused before the device fails', async (budget) => {
  const gpu = await testGpu('f32', budget);
  await expect(
    load(gpu).then(async (model) => {
      for await (const _ of generate(model, { ...REQUEST, width: 512, height: 512 }));
    }),
  ).rejects.toThrow(MemoryError);
});

test('cancelling stops within a step', async () => {
  const model = await load(await testGpu('f32'));
  const controller = new AbortController();
  const run = generate(model, { ...REQUEST, steps: 50, signal: controller.signal });
  await run.next();
  expect((await run.next()).value).toMatchObject({ type: 'step', step: 1 });
  controller.abort();
  await expect(run.next()).rejects.toThrow(CancelledError);
});

test('nothing is left on the device after a model is destroyed but what plans share', async () => {
  const gpu = await testGpu('f32');
  const model = await load(gpu);
  for await (const _ of generate(model, { ...REQUEST, steps: 1 }));
  await model.destroy();
  const shared = gpu.activations.reduce((sum, { size }) => sum + size, 0);
  expect(gpu.memory.used).toBe(shared);
});

test('tiles differ from the whole picture by no more than their norms do', async () => {
  const { vae } = await load(await testGpu('f32'));
  const size = { images: 1, height: 16, width: 24 };
  const latents = random([1, vae.config.latentChannels, 16, 24], 3).data;
  const space = createLatentSpace(vae.gpu, size, vae.config.latentChannels);
  const [whole] = await decodeLatents(vae, space, space.upload(latents));
  const unscaled = latents.map((x) => x / vae.config.scalingFactor);
  const same = await decodeTiled(vae, size, unscaled, { height: 16, width: 24 });
  expect(relativeL2(same, whole!)).toBeLessThan(1e-6); // one tile is the picture
  const tiled = await decodeTiled(vae, size, unscaled, { height: 16, width: 16 });
  expect(tiled.length).toBe(whole!.length);
  expect(relativeL2(tiled, whole!)).toBeLessThan(0.5); // noise for latents: the worst case for norms of a part
});

test('a picture whose tensors pass the binding limit is cut into tiles that fit', async () => {
  const { vae } = await load(await testGpu('f32'));
  const limit = vae.gpu.device.limits.maxStorageBufferBindingSize;
  const tile = tileSize(vae, 256, 256);
  expect(vae.decodeFootprint({ images: 1, ...tile }).largest).toBeLessThanOrEqual(limit);
});

test.each([
  [{ steps: 0 }, /steps is 0/],
  [{ width: 100 }, /width is 100; this model draws multiples of 8, such as 104/],
  [{ sampler: 'euler-ancestra' }, /Did you mean euler-ancestral/],
  [{ guidance: Number.NaN }, /guidance is NaN/],
  [{ count: 65 }, /count is 65/],
])('a request of %j is refused before anything runs', async (part, message) => {
  const model = await load(await testGpu('f32'));
  const run = generate(model, { ...REQUEST, ...part }).next();
  await expect(run).rejects.toThrow(UsageError);
  await expect(run).rejects.toThrow(message);
});
