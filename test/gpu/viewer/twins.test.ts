/** Tensors that the page's models share: fetched once, held once, averaged once, and the same pictures. */
import { createHash } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { type Gpu, generate, type Model, type OpenRecipe } from '@diffusion-soup/core';
import { beforeAll, expect, test, vi } from 'vitest';
import { Pot } from '../../../packages/viewer/src/engine/pot.ts';
import { KnownHashes } from '../../../packages/viewer/src/files/known-hashes.ts';
import { Library } from '../../../packages/viewer/src/files/library.ts';
import { openBlend } from '../../../packages/viewer/src/files/recipe.ts';
import { survey } from '../../../packages/viewer/src/files/survey.ts';
import { twinsIn } from '../../../packages/viewer/src/files/twins.ts';
import { PANTRY } from '../../support/files.ts';
import { testGpu } from '../../support/gpu.ts';

vi.setConfig({ testTimeout: 600_000, hookTimeout: 300_000 });

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

const BLEND = {
  portions: [
    { name: 'one', weight: '1' },
    { name: 'two', weight: '2' },
  ],
};
const SITE = 'https://models.test/';
const sizeOf = (path: string) => statSync(`${PANTRY}/${path}`).size;
const read = new Map<string, Buffer>();
function bytesOf(path: string): Buffer {
  const bytes = read.get(path) ?? readFileSync(`${PANTRY}/${path}`);
  read.set(path, bytes);
  return bytes;
}
const SHARED = sizeOf('base/vae/diffusion_pytorch_model.safetensors') + sizeOf('base/text_encoder/model.safetensors');

/** Two whole models whose UNets differ; all else is the base's. `etag`: as the server of files says it. */
function site(etag: (path: string) => string) {
  const asked = new Map<string, number>();
  const ask = async (url: string, { method, headers }: RequestInit): Promise<Response> => {
    const [name, ...rest] = url.slice(SITE.length).split('/');
    const path = `${name === 'two' && rest[0] === 'unet' ? 'noto' : 'base'}/${rest.join('/')}`;
    const file = `${PANTRY}/${path}`;
    if (!statSync(file, { throwIfNoEntry: false })?.isFile()) return new Response(null, { status: 404 });
    const facts = { etag: etag(path), 'content-length': `${sizeOf(path)}` };
    if (method === 'HEAD') return new Response(null, { headers: facts });
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec(new Headers(headers).get('range')!)!;
    const bytes = new Uint8Array(bytesOf(path).subarray(Number(from), Number(to) + 1));
    if (path.endsWith('.safetensors')) asked.set(path, (asked.get(path) ?? 0) + bytes.length);
    const range = `bytes ${from}-${to}/${sizeOf(path)}`;
    return new Response(bytes, { status: 206, headers: { ...facts, 'content-range': range } });
  };
  /** Fetched of what both have, whichever of them was asked. */
  const shared = () => [...asked].reduce((sum, [path, bytes]) => sum + (path.includes('/unet/') ? 0 : bytes), 0);
  return { ask, shared, clear: () => asked.clear() };
}

async function open(hashes: KnownHashes, { ask }: ReturnType<typeof site>) {
  const library = new Library({ page: SITE, fetch: ask, overhear: (file) => hashes.overhear(file) });
  const models = ['one', 'two'].map((name) => ({ name, place: { type: 'url', url: `${SITE}${name}` } as const }));
  const known = await library.setModels(models);
  expect(known.map(({ problem }) => problem)).toEqual([undefined, undefined]);
  return { library, recipe: await openBlend(library, BLEND) };
}

async function drawn(recipe: OpenRecipe, hashes: KnownHashes) {
  const pot = new Pot(gpu);
  const before = gpu.memory.used;
  const options = { signal: new AbortController().signal, onProgress() {} };
  const model: Model = await pot.cook(recipe, { ...options, hashesOf: (recipe) => twinsIn(recipe, hashes) });
  const bytes = gpu.memory.used - before;
  const settings = { width: 32, height: 32, steps: 1, guidance: 1, seed: 1 };
  for await (const event of generate(model, { prompt: 'red apple', ...settings })) {
    if (event.type === 'image') {
      await pot.empty();
      return { bytes, pixels: Buffer.from(event.image.pixels).toString('base64') };
    }
  }
  throw new Error('no picture');
}

test('what was read before is known, and is fetched, held and averaged once from then on', async () => {
  const served = site((path) => `"${path.length}-${sizeOf(path)}"`);
  const hashes = new KnownHashes();
  const first = await open(hashes, served);
  const cost = await survey(gpu, first.library, hashes, BLEND);
  served.clear();
  const before = await drawn(first.recipe, hashes);
  expect(served.shared()).toBeGreaterThan(1.5 * SHARED);
  await hashes.settled();

  served.clear();
  const second = await open(hashes, served);
  served.clear();
  const after = await drawn(second.recipe, hashes);
  expect(after.pixels).toBe(before.pixels);
  expect(served.shared()).toBeLessThan(1.1 * SHARED);
  expect(before.bytes - after.bytes).toBeGreaterThan(1.6 * SHARED); // neither of the two is kept to be averaged again
  const cheaper = await survey(gpu, second.library, hashes, BLEND);
  expect(cost.bytes - cheaper.bytes).toBeGreaterThan(0.9 * SHARED);
  expect(cost.gpuResident - cheaper.gpuResident).toBeGreaterThan(1.6 * SHARED);
});

test('a server that says the hash of its files is believed at the first visit', async () => {
  const sha256 = (path: string) => createHash('sha256').update(bytesOf(path)).digest('hex');
  const served = site((path) => `"${sha256(path)}"`);
  const hashes = new KnownHashes();
  const { recipe } = await open(hashes, served);
  served.clear();
  await drawn(recipe, hashes);
  expect(served.shared()).toBeLessThan(1.1 * SHARED);
});
