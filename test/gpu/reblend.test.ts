/** Other weights for a loaded soup: only what changes is read, and the result is that of loading it so from the start. */
import {
  blendOf,
  createGpu,
  createVae,
  type Gpu,
  generate,
  loadModel,
  type Model,
  openModelFolder,
  parseFraction,
} from '@diffusion-soup/core';
import { beforeAll, expect, test, vi } from 'vitest';
import { diskFolder } from '../../packages/cli/src/files.ts';
import { PANTRY, REFERENCE } from '../support/files.ts';
import { random, testGpu } from '../support/gpu.ts';
import { weightsOf } from '../support/safetensors.ts';

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
  readonly residents?: boolean;
  readonly on?: Gpu;
  readonly blocks?: readonly (Readonly<Record<string, typeof ONE>> | undefined)[];
}

async function load(
  weights: readonly number[],
  { names = ['noto', 'ink'], blocks = [], residents, on = gpu }: LoadOptions = {},
): Promise<Model> {
  const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const ingredients = await Promise.all(
    names.map(async (name, i) => ({ folder: await open(name), weight: weights[i], blocks: blocks[i] })),
  );
  return loadModel(on, ingredients, { base: await open('base'), residents });
}

const latents = (model: Model) => draw(model, 64);

async function draw(model: Model, side: number): Promise<Float32Array> {
  const small = { width: side, height: side, steps: 1, guidance: 1 };
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

/** A device of its own with so much memory, of which nothing is used yet. */
const budgeted = async (budget: number): Promise<Gpu> => createGpu((await testGpu()).device, { budget });

test('residents make the same weights as files do, and read none', async () => {
  const resident = await load([1, 1], { residents: true });
  const read = await load([1, 1]);
  expect(await latents(resident)).toEqual(await latents(read));
  const changes: [number[], Parameters<Model['reblend']>[1]?][] = [
    [[2, 1]],
    [[1, 0]],
    [[0.3, 0.7]],
    [[0.001, 0.999]], // sums of which some are large
    [[2, 1], { blocks: [{ BASE: ONE }, HALF] }],
    [[1, 1], { blocks: [undefined, undefined] }],
  ];
  for (const [weights, options] of changes) {
    expect(await reblend(resident, weights, options)).toBe(0);
    await read.reblend(weights, options);
    expect(await latents(resident)).toEqual(await latents(read));
  }
  await read.destroy();
  await resident.destroy();
});

test('without room for residents weights are read, and residents give way to a picture', async () => {
  const { memory } = gpu;
  const before = memory.used;
  const probe = await load([1, 1]);
  const bare = memory.used - before;
  await probe.destroy();
  const both = await load([1, 1], { residents: true });
  const kept = memory.used - before - bare;
  await both.destroy();
  expect(kept).toBeGreaterThan(15_000_000); // two shards
  expect(memory.used).toBe(before);

  // Many take more room than what they are read through.
  const names = Array(10).fill(['noto', 'ink']).flat();
  const equal = names.map(() => 1);
  const small = await budgeted(bare + 160_000_000);
  const reading = await load(equal, { names, residents: true, on: small });
  expect(await reblend(reading, [2, ...equal.slice(1)])).toBeGreaterThan(100_000_000);
  await reading.destroy();

  const tight = await budgeted(bare + kept + 18_000_000);
  const model = await load([1, 1], { residents: true, on: tight });
  expect(tight.memory.used).toBeGreaterThan(bare + kept - 1000);
  await draw(model, 256);
  const pool = tight.activations.reduce((sum, { size }) => sum + size, 0);
  expect(pool).toBeGreaterThan(18_000_000); // more than what was free
  expect(tight.memory.used - pool).toBeLessThan(bare + kept / 2);
  await model.destroy();
});

/** A device that has memory for a few resident buffers, and then none. */
function exhausted(device: GPUDevice): GPUDevice {
  let asked = 0;
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name === 'popErrorScope') {
        return async () => (await target.popErrorScope()) ?? (++asked === 2 ? { message: 'no memory left' } : null);
      }
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a device without memory for residents reads, and gives back what it took for them', async () => {
  const on = createGpu(exhausted((await testGpu()).device));
  const names = Array(6).fill(['noto', 'ink']).flat();
  const equal = names.map(() => 1);
  const model = await load(equal, { names, residents: true, on });
  expect(on.memory.used).toBe(model.bytes);
  expect(await reblend(model, [2, ...equal.slice(1)])).toBeGreaterThan(100_000_000);
  await model.destroy();
});

test('what a decoder has made of its weights is made anew from others', async () => {
  const folder = await openModelFolder(diskFolder(`${REFERENCE}/sd21-tiny`));
  const own = (await folder.weights('vae'))!;
  const other = await weightsOf(
    'other',
    [...own.tensors.values()].map(({ name, shape }, i) => {
      const { data } = random(shape, i + 1);
      return { name, shape, dtype: 'F32' as const, bytes: new Uint8Array(data.map((x) => x / 16).buffer) };
    }),
  );
  const config = await folder.vaeConfig();
  const decoder = async (weights: typeof own) => {
    const vae = createVae(gpu, config, blendOf([own])); // whose type says how weights lie
    await vae.load(blendOf([weights]));
    return vae;
  };
  const decode = async (vae: Awaited<ReturnType<typeof decoder>>) =>
    (await vae.decode({ images: 1, height: 6, width: 5 }, random([1, 4, 6, 5]).data)).image;
  const [vae, fresh] = [await decoder(own), await decoder(other)];
  await decode(vae);
  await vae.load(blendOf([other]));
  expect(await decode(vae)).toEqual(await decode(fresh));
  vae.destroy();
  fresh.destroy();
});
