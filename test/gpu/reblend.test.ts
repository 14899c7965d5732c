/** Other weights for a loaded soup: only what changes is read, and the result is that of loading it so from the start. */
import { type Gpu, generate, loadModel, type Model, openModelFolder, parseFraction } from '@diffusion-soup/core';
import { beforeAll, expect, test, vi } from 'vitest';
import { diskFolder } from '../../packages/cli/src/files.ts';
import { PANTRY } from '../support/files.ts';
import { testGpu } from '../support/gpu.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000, hookTimeout: 300_000 });

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

const ONE = parseFraction(1);
const HALF = { BASE: ONE, M00: parseFraction('1/2') };

interface LoadOptions {
  readonly names?: readonly string[];
  readonly blocks?: readonly (Readonly<Record<string, typeof ONE>> | undefined)[];
}

async function load(
  weights: readonly number[],
  { names = ['noto', 'ink'], blocks = [] }: LoadOptions = {},
): Promise<Model> {
  const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(
    names.map(async (name, i) => ({ folder: await open(name), weight: weights[i], blocks: blocks[i] })),
  );
  return loadModel(gpu, ingredients, { base: await open('base') });
}

async function latents(model: Model): Promise<Float32Array> {
  const small = { width: 64, height: 64, steps: 1, guidance: 1 };
  for await (const event of generate(model, { prompt: 'red apple', seed: 1, ...small })) {
    if (event.type === 'image') return event.latents;
  }
  throw new Error('no picture');
}

/** Bytes that other weights cost. */
async function reblend(model: Model, weights: readonly number[], options: Parameters<Model['reblend']>[1] = {}) {
  let bytes = 0;
  const onProgress = (_: unknown, done: number) => {
    bytes = done;
  };
  await model.reblend(weights, { ...options, onProgress });
  return bytes;
}

test('the same weights cost nothing, one block little, and others what they weigh', async () => {
  const model = await load([1, 1]);
  const all = await reblend(model, [2, 1]);
  expect(all).toBeGreaterThan(10_000_000);
  expect(await reblend(model, [4, 2])).toBe(0);
  const block = await reblend(model, [2, 1], { blocks: [{ BASE: ONE }, HALF] });
  expect(block).toBeGreaterThan(0);
  expect(block).toBeLessThan(all / 2);

  const fresh = await load([2, 1], { blocks: [{ BASE: ONE }, HALF] });
  expect(await latents(model)).toEqual(await latents(fresh));
  expect(await reblend(model, [2, 1], { blocks: [undefined, undefined] })).toBe(block);
  await fresh.destroy();
  const plain = await load([2, 1]);
  expect(await latents(model)).toEqual(await latents(plain));
  await plain.destroy();
  await model.destroy();
});

test('what was broken off is averaged again', async () => {
  // Too many to be averaged at once, so that the first of them are written when the others are not.
  const names = Array(4).fill(['noto', 'ink', 'fluent', 'twemoji', 'paragon']).flat();
  const equal = names.map(() => 1);
  const model = await load(equal, { names });
  const stop = new AbortController();
  const broken = model.reblend([9, ...equal.slice(1)], { signal: stop.signal, onProgress: () => stop.abort() });
  await expect(broken).rejects.toThrow(/stopped/);
  await reblend(model, equal);
  const fresh = await load(equal, { names });
  expect(await latents(model)).toEqual(await latents(fresh));
  await fresh.destroy();
  await model.destroy();
});
