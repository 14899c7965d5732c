/** The score ensemble against PyTorch's, in memory and streamed; and what is refused. */
import { generate, golden, loadModel, type Model, openModelFolder, openSafetensors } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { diskFolder, fileSource, PANTRY, REFERENCE } from '../support/files.ts';
import { random, relativeL2, testGpu } from '../support/gpu.ts';

const SHARDS = ['noto', 'twemoji', 'fluent', 'ink'];
/** Twenty steps, each on the last one's result, let differences in f32 rounding grow. */
const BOUND = 2e-2;

const folder = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
const ingredients = (names: readonly string[], weights: readonly number[] = names.map(() => 1)) =>
  Promise.all(names.map(async (name, i) => ({ folder: await folder(name), weight: weights[i]! })));

async function latentsOf(model: Model, steps: number, prompts = ['red apple']): Promise<Float32Array[]> {
  const batch = prompts.map((prompt) => ({ prompt, seed: 42 }));
  const latents: Float32Array[] = [];
  for await (const event of generate(model, { prompt: '', seed: 42, batch, steps, guidance: 4 })) {
    if (event.type === 'image') latents.push(event.latents);
  }
  return latents;
}

/** What the UNet says to noise. */
async function predictionOf({ unet }: Model): Promise<Float32Array> {
  const { inChannels, crossAttentionDim } = unet.config;
  const size = { images: 1, height: 8, width: 8 };
  const { output } = await unet.predict(
    size,
    random([inChannels * 64], 1).data,
    Float32Array.of(321),
    random([32 * crossAttentionDim[0]!], 2).data,
  );
  return output;
}

describe('the score ensemble', () => {
  let base: Awaited<ReturnType<typeof folder>>;
  beforeAll(async () => {
    base = await folder('base');
  });

  test('draws what PyTorch draws', async () => {
    const reference = golden(await openSafetensors(await fileSource(`${REFERENCE}/golden-emoji.safetensors`)));
    const { data, shape } = await reference.tensor('ensemble.latents');
    const model = await loadModel(await testGpu(), await ingredients(SHARDS), { base, ensemble: true });
    try {
      // One prompt of four, since each step is four networks; soups are compared on all in pantry.test.ts.
      const [latents] = await latentsOf(model, 20);
      expect(relativeL2(latents!, data.subarray(0, data.length / shape[0]!))).toBeLessThan(BOUND);
    } finally {
      await model.destroy();
    }
  });

  test('is the same when its networks take turns in one place, and other weights count as they are', async () => {
    const gpu = await testGpu();
    const all = await loadModel(gpu, await ingredients(SHARDS), { base, ensemble: true });
    const together = await latentsOf(all, 1);
    await all.reblend([0, 2, 0, 1]);
    const reweighed = await latentsOf(all, 1);
    const each = all.unet.bytes / SHARDS.length;
    const allBytes = all.bytes;
    await all.destroy();

    const one = await loadModel(gpu, await ingredients(['ink']), { base });
    await latentsOf(one, 1);
    const budget = gpu.memory.used + 2.5 * each; // for one network more, and for reading them
    await one.destroy();
    const streamed = await loadModel(await testGpu('f32', budget), await ingredients(SHARDS), { base, ensemble: true });
    expect(streamed.bytes).toBeLessThanOrEqual(allBytes - each);
    expect(relativeL2((await latentsOf(streamed, 1))[0]!, together[0]!)).toBe(0);
    await streamed.destroy();

    const pair = await loadModel(gpu, await ingredients(['twemoji', 'ink'], [2, 1]), { base, ensemble: true });
    expect(relativeL2(reweighed[0]!, (await latentsOf(pair, 1))[0]!)).toBe(0);
    const both = await predictionOf(pair);
    await pair.destroy();
    const alone: Float32Array[] = [];
    for (const name of ['twemoji', 'ink']) {
      const model = await loadModel(gpu, await ingredients([name]), { base });
      alone.push(await predictionOf(model));
      await model.destroy();
    }
    const expected = alone[0]!.map((x, i) => (2 * x + alone[1]![i]!) / 3);
    expect(relativeL2(both, expected)).toBeLessThan(1e-6);
  });

  test('refuses what has no mean of predictions', async () => {
    const gpu = await testGpu();
    const two = await ingredients(['noto', 'ink']);
    const load = (options: Parameters<typeof loadModel>[2]) =>
      loadModel(gpu, two, { base, ensemble: true, ...options });
    await expect(load({ method: 'ties' })).rejects.toThrow(/ties makes weights of its own/);
    await expect(load({ normalize: false })).rejects.toThrow(/weights add up to 1/);
    const blocks = await Promise.all([folder('noto'), folder('ink')]);
    const tables = [
      { folder: blocks[0]!, weight: 1 },
      { folder: blocks[1]!, weight: 1, blocks: 'GRAD_V' },
    ];
    await expect(loadModel(gpu, tables, { base, ensemble: true })).rejects.toThrow(/leave block weights/);
    expect(gpu.memory.used).toBe(0);
  });
});
