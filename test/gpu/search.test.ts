/** A greedy soup of the pantry by how well it denoises a picture, with as little work as that can be shown with. */
import { generate, loadModel, type Model, openModelFolder } from '@diffusion-soup/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Image } from '../../packages/core/src/image/image.ts';
import { greedySoup, reconstructionLoss } from '../../packages/core/src/search/index.ts';
import { diskFolder, PANTRY } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';

const CANDIDATES = ['ink', 'noto'];
const PROMPT = 'red apple';

let model: Model;
beforeAll(async () => {
  const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(CANDIDATES.map(async (name) => ({ folder: await open(name), weight: 1 })));
  model = await loadModel(await testGpu('f32'), ingredients, { base: await open('base') });
});
afterAll(() => model?.destroy());

test('noto alone is best at what noto has drawn, and ink, black and white, does not help it', async () => {
  await model.reblend([0, 1]);
  let image: Image | undefined;
  for await (const event of generate(model, { prompt: PROMPT, seed: 1, steps: 6 })) {
    if (event.type === 'image') image = event.image;
  }
  const loss = await reconstructionLoss(model, [{ image: image!, prompt: PROMPT }], { timesteps: [300, 600] });
  const again = await loss();
  expect(await loss()).toBe(again);
  const soup = await greedySoup({
    candidates: CANDIDATES,
    goal: 'min',
    score: async (weights) => {
      await model.reblend(weights);
      return loss();
    },
  });
  expect(soup.kept).toEqual(['noto']);
  expect(soup.score).toBe(again);
  expect(soup.score).toBeGreaterThan(0);
  expect(soup.score).toBeLessThan(0.2);
  expect(soup.dependsOn).toEqual(CANDIDATES);
});

test('pictures of other sizes, and timesteps that are none, are refused', async () => {
  const image = (side: number): Image => ({ width: side, height: side, pixels: new Uint8Array(side * side * 4) });
  const refused = (sides: number[], timesteps?: number[]) =>
    reconstructionLoss(
      model,
      sides.map((side) => ({ image: image(side) })),
      { timesteps },
    );
  await expect(refused([])).rejects.toThrow(/at least one picture/);
  await expect(refused([64], [1000])).rejects.toThrow(/the timestep 1000: expected whole numbers from 0 to 999/);
  await expect(refused([60])).rejects.toThrow(/60 x 60; all must be of one size, a multiple of 8/);
  await expect(refused([64, 72], [500])).rejects.toThrow(/72 x 72; all must be of one size/);
});
