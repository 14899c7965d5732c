/** Every way to cut a product computes the same; the search keeps the fastest, and nothing that is wrong. */
import {
  type Gpu,
  generate,
  loadModel,
  openModelFolder,
  type Product,
  productName,
  type Tiling,
  tuningFrom,
} from '@diffusion-soup/core';
import { beforeAll, expect, test, vi } from 'vitest';
import { diskFolder } from '../../packages/cli/src/files.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { conv2d } from '../../packages/core/src/ops/conv2d.ts';
import { matmul, plainTilings } from '../../packages/core/src/ops/matmul.ts';
import { layerNorm } from '../../packages/core/src/ops/norms.ts';
import { defaultTiling, tilingsBy } from '../../packages/core/src/ops/tiles.ts';
import { compareWhole, searchTilings, type Trial } from '../../packages/core/src/tuning/search.ts';
import { PANTRY } from '../support/files.ts';
import { asGraphicsCard, matrix, random, runOp, testGpu, vector } from '../support/gpu.ts';

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

test('a matrix product is the same under every tiling', async () => {
  const [x, w] = [random([2, 37, 24], 1), matrix(gpu, random([70, 24], 2), 1, false)];
  const product = (tuning?: Gpu['tuning']) => runOp({ ...gpu, tuning }, { x }, ({ x }) => matmul(x!, w));
  const own = await product();
  expect(plainTilings().length).toBeGreaterThan(5);
  for (const tiling of plainTilings()) expect(await product(() => tiling), tiling.tile).toEqual(own);
  expect(await product(() => ({ tile: 'unheard of', splits: 9 }))).toEqual(own);
});

test('so is a convolution', async () => {
  const [x, w] = [random([1, 9, 7, 8], 1), matrix(gpu, random([33, 8, 3, 3], 2), 3, false)];
  const product = (tuning?: Gpu['tuning']) => runOp({ ...gpu, tuning }, { x }, ({ x }) => conv2d(x!, w));
  const own = await product();
  for (const tiling of plainTilings()) expect(await product(() => tiling), tiling.tile).toEqual(own);
});

const BYTES = 49152;
const product = (rows: number, columns: number, inner: number): Product => ({
  ...{ kernel: 'matmul-tensor', rows, columns, inner },
});

test.each([
  [2, 1280, 320],
  [8192, 320, 2880],
  [512, 1280, 11520],
  [1, 1, 32],
  [262144, 128, 1152],
])('of %i x %i x %i on matrix units, the choice is one of those that there are', (rows, columns, inner) => {
  const one = product(rows, columns, inner);
  const all = tilingsBy(one, BYTES);
  expect(all).toContainEqual(defaultTiling(one, BYTES));
  expect(tilingsBy(one, 16384).length).toBeLessThan(all.length);
});

test('small products are split, large ones are not', () => {
  expect(defaultTiling(product(512, 1280, 11520), BYTES).splits).toBeGreaterThan(1);
  expect(defaultTiling(product(4096, 4096, 4096), BYTES).splits).toBe(1);
});

/** A device on which times and results are as they are said to be. */
function pretend(ms: (tiling: Tiling | undefined) => number, values: (tiling?: Tiling) => number = () => 1) {
  const one: Product = { kernel: 'matmul', rows: 4, columns: 4, inner: 4 };
  const trial: Trial = async () => {
    const tiling = gpu.tuning!(one);
    const used = { ...one, ...(tiling ?? { tile: '8x128', splits: 1 }) };
    const times = [
      { kernel: 'matmul', shape: [4, 4], product: used, beginMs: 5, endMs: 5 + ms(tiling) },
      { kernel: 'add', shape: [4, 4], beginMs: 9, endMs: 99 },
    ];
    return { values: Float32Array.of(values(tiling)), times };
  };
  return { one, search: (options = {}) => searchTilings(gpu, trial, options) };
}

test('the fastest is kept', async () => {
  const before = () => undefined;
  gpu.tuning = before;
  const { one, search } = pretend((tiling) => (tiling?.tile === '16x64' ? 1 : tiling ? 1.5 : 2));
  const { measured, products: tuned } = await search();
  expect(measured).toEqual([expect.objectContaining(one)]);
  expect(tuned).toEqual([
    { product: expect.objectContaining(one), tiling: { tile: '16x64', splits: 1 }, before: 2, after: 1 },
  ]);
  expect(tuningFrom(tuned)(one)).toEqual({ tile: '16x64', splits: 1 });
  expect(tuningFrom(tuned)({ ...one, rows: 5 })).toBeUndefined();
  expect(gpu.tuning).toBe(before);
});

test('sums of splits are timed with their product, not with the norm that makes them otherwise', async () => {
  const card = asGraphicsCard(gpu);
  const w = matrix(card, random([68, 256]), 1, true, 32);
  const weights = { gamma: vector(card, random([68])), beta: vector(card, random([68])), eps: 1e-5 };
  const nodes = () =>
    record(card, { x: [1, 70, 256] }, ({ x }) => ({ y: layerNorm(matmul(x!, w), weights) })).graph.nodes;
  const trial: Trial = async () => ({
    values: Float32Array.of(1),
    times: nodes().map(({ kernel, product, output: { shape } }) => ({ kernel, product, shape, beginMs: 0, endMs: 1 })),
  });
  const before = () => ({ tile: '64x64x16', splits: 3 });
  card.tuning = before;
  const kernels = () => nodes().map(({ kernel }) => kernel);
  expect(kernels()).toEqual(['matmul-lanes', 'layer-norm']);
  const timed: string[][] = [];
  await searchTilings(card, async () => {
    if ((card.tuning?.(product(1, 1, 1))?.splits ?? 1) > 1) timed.push(kernels());
    return trial();
  });
  expect(timed.length).toBeGreaterThan(0);
  for (const one of timed) expect(one).toEqual(['matmul-lanes', 'sum-splits', 'layer-norm']);
  expect(kernels()).toEqual(['matmul-lanes', 'layer-norm']);
});

test('what computes something else is not, however fast', async () => {
  const is = (tiling?: Tiling) => tiling?.tile === '16x64';
  const { search } = pretend(
    (tiling) => (is(tiling) ? 0.1 : 2),
    (tiling) => (is(tiling) ? 1.1 : 1),
  );
  expect((await search()).products).toEqual([]);
});

test('noise is no gain', async () => {
  expect((await pretend((tiling) => (tiling ? 1.98 : 2)).search()).products).toEqual([]);
});

test('a whole run is timed with and without, in turns, and not while it is planned', async () => {
  const before = () => undefined;
  gpu.tuning = before;
  const tuning = () => ({ tile: '16x64', splits: 1 });
  const runs: string[] = [];
  let now = 0;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
  let planned: Gpu['tuning'];
  const run = async () => {
    const tile = gpu.tuning?.(product(4, 4, 4))?.tile ?? 'own';
    runs.push(tile);
    // Runs become faster, and planning takes longest.
    now += planned === gpu.tuning ? (tile === 'own' ? 40 : 10) - runs.length : 200;
    planned = gpu.tuning;
  };
  const whole = await compareWhole(gpu, tuning, run, 2);
  expect(runs).toEqual(['own', 'own', '16x64', '16x64', 'own', 'own', '16x64', '16x64']);
  expect(whole).toEqual({ before: 34, after: 2 });
  clock.mockRestore();
  await expect(compareWhole(gpu, tuning, () => Promise.reject(new Error('lost')))).rejects.toThrow('lost');
  expect(gpu.tuning).toBe(before);
});

test('a search can be stopped, and leaves the device as it was', async () => {
  const abort = new AbortController();
  const { search } = pretend(() => 1);
  const { tuning } = gpu;
  await expect(search({ signal: abort.signal, onProgress: () => abort.abort() })).rejects.toThrow('stopped');
  expect(gpu.tuning).toBe(tuning);
});

test('every network of a loaded model asks the tuning that its device has now, and is timed', async () => {
  const open = (name: string) => openModelFolder(diskFolder(`${PANTRY}/${name}`));
  const model = await loadModel(gpu, [{ folder: await open('base'), weight: 1 }]);
  const draw = async () => {
    for await (const _ of generate(model, { prompt: 'cat', seed: 1, steps: 1, width: 32, height: 32 }));
  };
  await draw();
  const asked = new Set<string>();
  const timed = new Map<string, number>();
  gpu.onKernels = (label, times) => timed.set(label, times.filter(({ product }) => product).length);
  gpu.tuning = (product) => {
    asked.add(productName(product));
    return undefined;
  };
  try {
    await draw();
  } finally {
    gpu.onKernels = undefined;
    gpu.tuning = undefined;
    await model.destroy();
  }
  expect([...timed.keys()].sort()).toEqual(['UNet', 'VAE', 'text encoder']);
  for (const count of timed.values()) expect(count).toBeGreaterThan(10);
  expect(asked.size).toBeGreaterThan(30);
});
