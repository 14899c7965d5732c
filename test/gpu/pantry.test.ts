/** The shipped models end to end against diffusers: prompts in, latents and pictures out, for shards and soups. */
import { type Gpu, generate, golden, loadModel, openModelFolder, openSafetensors } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { diskFolder, fileSource, PANTRY, REFERENCE } from '../support/files.ts';
import { relativeL2, testGpu } from '../support/gpu.ts';

const PROMPTS = ['red apple', 'cat face', 'rocket', 'pizza'];
/** Twenty steps, each on the last one's result, let differences in f32 rounding grow. */
const LATENTS_BOUND = 2e-2;
/** Of a mean absolute difference, in steps of 8-bit colour. */
const IMAGE_BOUND = 2;

const RECIPES: Record<string, string[]> = {
  base: ['base'],
  noto: ['noto'],
  twemoji: ['twemoji'],
  fluent: ['fluent'],
  ink: ['ink'],
  soup: ['noto', 'twemoji', 'fluent', 'ink'],
  'soup-ink-twemoji': ['ink', 'twemoji'],
  'soup-noto-fluent': ['noto', 'fluent'],
  'soup-without-ink': ['noto', 'twemoji', 'fluent'],
};

const folder = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));

describe('the pantry', () => {
  let gpu: Gpu;
  let reference: ReturnType<typeof golden>;
  beforeAll(async () => {
    gpu = await testGpu('f32');
    reference = golden(await openSafetensors(await fileSource(`${REFERENCE}/golden-emoji.safetensors`)));
  });

  test.each(Object.entries(RECIPES))(
    '%s',
    async (name, ingredients) => {
      const folders = await Promise.all(ingredients.map(folder));
      const model = await loadModel(
        gpu,
        folders.map((one) => ({ folder: one, weight: 1 })),
        { base: await folder('base') },
      );
      try {
        const latents = await reference.tensor(`${name}.latents`);
        const images = await reference.tensor(`${name}.image`);
        for (const [i, prompt] of PROMPTS.entries()) {
          for await (const event of generate(model, { prompt, seed: 42, steps: 20, guidance: 4 })) {
            if (event.type !== 'image') continue;
            const each = latents.data.length / PROMPTS.length;
            expect(relativeL2(event.latents, latents.data.subarray(i * each, (i + 1) * each))).toBeLessThan(
              LATENTS_BOUND,
            );
            if (i >= images.shape[0]!) continue; // pictures are kept of the first two
            const { pixels, width, height } = event.image;
            const plane = width * height;
            const start = i * 3 * plane;
            let difference = 0;
            for (let p = 0; p < plane; p++) {
              for (let c = 0; c < 3; c++)
                difference += Math.abs(pixels[p * 4 + c]! - images.data[start + c * plane + p]!);
            }
            expect(difference / plane / 3).toBeLessThan(IMAGE_BOUND);
          }
        }
      } finally {
        await model.destroy();
      }
    },
    600_000,
  );
});
