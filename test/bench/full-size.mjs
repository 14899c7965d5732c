/**
 * Stable Diffusion 2.1 at its own size, with random weights: a step of the UNet, a decode, a large product, other weights of
 * four models, a picture. No files are needed but the pantry's tokenizer. Prints JSON, and with --profile where the time
 * goes, kernel by kernel. With --tune best the fastest tiles are searched for first, as `soup tune` does; --tune all prints
 * what every tiling took; --variants averages other weights in other ways as well; --leave-out says what steps take less without
 * each kind of kernels, or each kernel of a size.
 *
 *   node test/bench/full-size.mjs [--only PATTERN] [--profile] [--leave-out kinds|kernels] [--tune best|all] [--variants]
 *                                 [--no-matrix-units] [--no-tiles] [--precision f32|f16] [--runs N]
 */
import { parseArgs } from 'node:util';
import { adapterName } from '../../packages/cli/dist/gpu.js';
import { openGpu } from '../../packages/cli/dist/index.js';
import { Usage } from '../../packages/core/dist/gpu/flags.js';
import { compile, createPlan } from '../../packages/core/dist/gpu/plan.js';
import { record } from '../../packages/core/dist/gpu/recording.js';
import { productName } from '../../packages/core/dist/gpu/tuning.js';
import {
  blendOf,
  encodeSafetensorsHeader,
  generate,
  loadModel,
  openSafetensors,
  parseUNetConfig,
  parseVaeConfig,
} from '../../packages/core/dist/index.js';
import { unet } from '../../packages/core/dist/model/unet.js';
import { vaeDecoder } from '../../packages/core/dist/model/vae.js';
import { matmul } from '../../packages/core/dist/ops/matmul.js';
import { bodyOf, WIDEST_TILE } from '../../packages/core/dist/ops/weights.js';
import { createParameters } from '../../packages/core/dist/soup/parameters.js';
import { searchTilings, tuningFrom } from '../../packages/core/dist/tuning/search.js';
import { randomModel, randomSource } from './full-model.mjs';
import { KEYS, leaveOut, line, sized } from './leave-out.mjs';
import { reblendUnets } from './reblend.mjs';
import { median } from './report.mjs';
import { namesOf, UNET_CONFIG, VAE_CONFIG } from './sd21.mjs';
import { inARow, onHost, warm } from './warm.mjs';

const { values: options } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    profile: { type: 'boolean', default: false },
    tune: { type: 'string', default: '' },
    'leave-out': { type: 'string', default: '' },
    'no-matrix-units': { type: 'boolean', default: false },
    'no-tiles': { type: 'boolean', default: false },
    precision: { type: 'string', default: 'auto' },
    runs: { type: 'string', default: '20' },
    variants: { type: 'boolean', default: false },
  },
});

if (!['', ...Object.keys(KEYS)].includes(options['leave-out'])) {
  console.error(`--leave-out ${options['leave-out']}: expected ${Object.keys(KEYS).join(' or ')}`);
  process.exit(2);
}

async function randomWeights(
  /** @type {import('../../packages/core/dist/index.js').TensorSpec[]} */ tensors,
  seed = 1,
) {
  const { header, size } = encodeSafetensorsHeader(tensors, { format: 'pt' });
  return openSafetensors(randomSource(header, size, seed));
}

/** A network with its weights on the GPU. */
async function network(gpu, build, shapes, steady) {
  const weights = await randomWeights(namesOf(build));
  const blend = blendOf([weights]);
  const parameters = createParameters(gpu, blend);
  const forward = build(parameters.scope);
  const begun = performance.now();
  await parameters.load(blend);
  const loadMs = performance.now() - begun;
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      return [name, Float32Array.from({ length: count }, (_, i) => Math.sin(i * 12.9898) * 2)];
    }),
  );
  const again = () => record(gpu, shapes, forward, { steady });
  const make = async () => {
    const recording = again();
    await compile(gpu, recording); // shaders side by side
    return createPlan(gpu, recording, 'benchmark');
  };
  if (options.tune) await tune(gpu, make, inputs);
  const plan = await make();
  return { plan, inputs, parameters, loadMs, again };
}

async function tune(gpu, make, inputs) {
  let plan;
  let planned = gpu;
  const all = new Map();
  const { products: tuned } = await searchTilings(gpu, async () => {
    if (planned !== gpu.tuning) {
      plan?.destroy();
      plan = await make();
      planned = gpu.tuning;
    }
    const [values] = Object.values(await plan.run(inputs));
    const times = await plan.profile(inputs);
    for (const { kernel, product, beginMs, endMs } of times) {
      if (!product || kernel === 'sum-splits') continue;
      const key = `${productName(product)} ${product.tile} ${product.splits}`;
      all.set(key, Math.min(all.get(key) ?? Infinity, endMs - beginMs));
    }
    return { values, times };
  });
  plan?.destroy();
  for (const { product, tiling, before, after } of tuned) {
    console.log(
      `tuned ${productName(product)}: ${before.toFixed(3)} to ${after.toFixed(3)} ms with ${tiling.tile}, ${tiling.splits}`,
    );
  }
  if (options.tune === 'all') for (const [key, ms] of [...all].sort()) console.log(`tried ${key}: ${ms.toFixed(4)} ms`);
  gpu.tuning = tuningFrom(tuned);
}

/** Kernels by what they take together. */
function summary(times) {
  const rows = new Map();
  for (const { kernel, shape, product, beginMs, endMs } of times) {
    const key = sized(kernel, shape, product);
    const row = rows.get(key) ?? { key, count: 0, ms: 0 };
    row.count++;
    row.ms += endMs - beginMs;
    rows.set(key, row);
  }
  return [...rows.values()].sort((a, b) => b.ms - a.ms);
}

/** `flop`: of the network as it is written, whatever is computed once, or folded. */
async function measure(name, gpu, build, shapes, flop, steady = []) {
  const { plan, inputs, parameters, loadMs, again } = await network(gpu, build, shapes, steady);
  const compiling = performance.now();
  await plan.run(inputs);
  const firstMs = performance.now() - compiling;
  await warm(() => plan.run(inputs));
  const times = [];
  for (let i = 0; i < Number(options.runs); i++) {
    const begun = performance.now();
    await plan.run(inputs);
    times.push(performance.now() - begun);
  }
  const profile = await plan.profile(inputs);
  const gpuMs = profile.at(-1).endMs - profile[0].beginMs;
  const busyMs = profile.reduce((sum, { beginMs, endMs }) => sum + endMs - beginMs, 0);
  const ms = median(times);
  const out = await plan.run(inputs);
  const first = Object.values(out)[0];
  const inARowMs = await inARow(gpu, plan, inputs, 10);
  const host = await onHost(gpu, plan, inputs, 10);
  const row = {
    ...{ name, ms, inARowMs, ...host, fastestMs: Math.min(...times), firstMs, loadMs },
    ...{ kernels: profile.length, gpuMs, busyMs },
    ...{ tflops: flop / ms / 1e9, finite: first.every(Number.isFinite), bytes: parameters.bytes },
  };
  console.log(JSON.stringify(row));
  if (options.profile) {
    for (const row of summary(profile).slice(0, 45)) console.log(line(row));
  }
  const keyOf = KEYS[options['leave-out']];
  if (keyOf) {
    for (const row of await leaveOut(gpu, again, inputs, keyOf)) console.log(line(row));
  }
  plan.destroy();
  parameters.destroy();
  for (const buffer of gpu.activations.splice(0)) gpu.destroyBuffer(buffer);
}

/** y = x · wᵀ, both n x n, on data that lies on the GPU. */
async function product(gpu, /** @type {number} */ n, repeat = 20) {
  const width = bodyOf(gpu, { kernel: 1, packed: true }) ? 32 : 4;
  const make = (/** @type {number} */ bytes) =>
    gpu.createBuffer(bytes, Usage.STORAGE | Usage.COPY_DST, 'benchmark operand');
  const halves = Uint16Array.from({ length: n * n }, (_, i) => 0x2c00 + ((i * 2654435761) % 1024) + (i & 1) * 0x8000);
  const [x, w] = [make(n * n * 2), make(n * n * 2 + WIDEST_TILE * 64)];
  for (const buffer of [x, w]) gpu.device.queue.writeBuffer(buffer, 0, halves);
  const recording = record(gpu, { done: [4] }, ({ done }) => {
    const graph = done.storage.graph;
    const input = { shape: [n, n], storage: { type: 'f16', elements: n * n, graph, buffer: x, label: 'x' } };
    const data = { shape: [n, n], storage: { type: 'f16', elements: n * n, buffer: w, label: 'w' } };
    for (let i = 0; i < repeat; i++) matmul(input, { data, rows: n, inner: n, kernel: 1, width, packed: true });
    return { done };
  });
  await compile(gpu, recording);
  const plan = createPlan(gpu, recording, 'product');
  const done = new Float32Array(4);
  await warm(() => plan.run({ done }));
  const times = [];
  for (let i = 0; i < Number(options.runs); i++) times.push((await inARow(gpu, plan, { done }, 5)) / repeat);
  const ms = median(times);
  console.log(
    JSON.stringify({ name: `matmul ${n}^3`, ms, fastestMs: Math.min(...times), tflops: (2 * n ** 3) / ms / 1e9 }),
  );
  plan.destroy();
}

/** Other weights of four ingredients that are on the device, of which the first run also loads. */
async function reblend(gpu) {
  const ingredients = [];
  for (const seed of [1, 2, 3, 4]) ingredients.push({ folder: await randomModel(seed), weight: 1 });
  const loading = performance.now();
  const model = await loadModel(gpu, ingredients, { residents: true });
  const loadMs = performance.now() - loading;
  const times = [];
  let turn = 0;
  const once = () => model.reblend([1, 2, 3 + (turn++ % 7), 4]);
  await warm(once);
  for (let i = 0; i < Number(options.runs); i++) {
    const begun = performance.now();
    await once();
    times.push(performance.now() - begun);
  }
  const bytes = model.bytes * (ingredients.length + 1); // read, and written
  const ms = median(times);
  console.log(
    JSON.stringify({
      ...{ name: 're-blend of 4 models, resident', ms, fastestMs: Math.min(...times), bytes: model.bytes },
      ...{ gbPerSecond: bytes / ms / 1e6, loadMs, loadGbPerSecond: (model.bytes * ingredients.length) / loadMs / 1e6 },
    }),
  );
  await model.destroy();
}

/** Text to pixels, as `soup generate` draws it. */
async function picture(gpu, steps = 50) {
  const loading = performance.now();
  const model = await loadModel(gpu, [{ folder: await randomModel(1), weight: 1 }]);
  const loadMs = performance.now() - loading;
  const times = [];
  for (let i = 0; i < 9; i++) {
    const begun = performance.now();
    for await (const _ of generate(model, { prompt: `cat number ${i}`, seed: i, steps, width: 512, height: 512 }));
    times.push(performance.now() - begun);
  }
  const [firstMs, ...rest] = times;
  console.log(
    JSON.stringify({
      ...{
        name: `picture, 512 px, ${steps} steps`,
        ms: median(rest),
        fastestMs: Math.min(...rest),
        firstMs,
        loadMs,
        bytes: model.bytes,
      },
      loadGbPerSecond: model.bytes / loadMs / 1e6,
    }),
  );
  await model.destroy();
}

const { gpu, adapter } = await openGpu({
  precision: options.precision,
  ...(options['no-matrix-units'] && { matrixUnits: 'none' }),
  ...(options['no-tiles'] && { tiles: false }),
});
const { precision, matrixUnits, tiles } = gpu;
console.log(JSON.stringify({ adapter: adapterName(adapter), precision, matrixUnits, tiles }));
const wants = (/** @type {string} */ name) => new RegExp(options.only, 'i').test(name);

if (wants('matmul')) await product(gpu, 4096);
if (wants('unet')) {
  const config = parseUNetConfig({ ...UNET_CONFIG, sample_size: 64 });
  const shapes = { sample: [2, 64, 64, 4], timestep: [2], context: [2, 77, 1024] };
  const build = (w) => {
    const forward = unet(w, config);
    return ({ sample, timestep, context }) => ({ y: forward(sample, timestep, context) });
  };
  const tier = { ...gpu, residual: 'f32' };
  await measure('UNet step, batch 2, 64 x 64', tier, build, shapes, 1608e9);
  // As guidance asks: one picture, two texts. What does not depend on them is computed once.
  const guided = { ...shapes, sample: [1, 64, 64, 4] };
  await measure('UNet step, guided, 64 x 64', tier, build, guided, 1608e9);
  // And what depends on the texts alone at the first step of a picture only.
  await measure('UNet step, guided, 64 x 64, not the first', tier, build, guided, 1608e9, ['context']);
}
if (wants('vae')) {
  const config = parseVaeConfig(VAE_CONFIG);
  const build = (w) => {
    const forward = vaeDecoder(w, config);
    return ({ latents }) => ({ y: forward(latents) });
  };
  await measure('VAE decode 512 px', gpu, build, { latents: [1, 64, 64, 4] }, 2515e9);
}
if (wants('re-blend')) {
  await reblendUnets(gpu, { runs: Number(options.runs), all: options.variants, weights: randomWeights });
  await reblend(gpu);
}
if (wants('picture')) await picture(gpu);
process.exit(0);
