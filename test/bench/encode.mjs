/**
 * What the host takes to encode a step, as guidance asks for it at a picture's second step and later: of Stable Diffusion 2.1 at its own
 * size, and of the pantry's base. On Dawn's null backend, which computes nothing, so that any machine can say it; as on the matrix
 * units. Prints JSON.
 *
 *   node test/bench/encode.mjs [--runs N]
 */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { create, globals } from 'webgpu';
import { Usage } from '../../packages/core/dist/gpu/flags.js';
import { compile, createPlan } from '../../packages/core/dist/gpu/plan.js';
import { record } from '../../packages/core/dist/gpu/recording.js';
import { createGpu, parseUNetConfig, wantedFeatures, wantedLimits } from '../../packages/core/dist/index.js';
import { unet } from '../../packages/core/dist/model/unet.js';
import { WIDEST_TILE } from '../../packages/core/dist/ops/weights.js';
import { median } from './report.mjs';
import { scopeOf, UNET_CONFIG } from './sd21.mjs';
import { onHost } from './warm.mjs';

const { values: options } = parseArgs({ options: { runs: { type: 'string', default: '400' } } });

/** Once it has been compiled by V8. */
const WARM_RUNS = 200;
const RUNS_AT_ONCE = 20;
/** Bytes of the largest matrix, and more, and of vectors: all weights lie in these, since the null backend has half a gigabyte. */
const MATRICES = 72 * 2 ** 20;
const VECTORS = 2 ** 21;

/** Places one after the other in a buffer, and then from its beginning again: what one kernel reads does not overlap. */
function places(gpu, /** @type {number} */ size) {
  const buffer = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_DST, 'weights');
  let next = 0;
  return (/** @type {number} */ bytes) => {
    if (next + bytes > size) next = 0;
    const offset = next;
    next += Math.ceil(bytes / 256) * 256;
    return { buffer, offset };
  };
}

/** Weights of any name and shape. */
function weights(gpu) {
  const [halves, floats] = [places(gpu, MATRICES), places(gpu, VECTORS)];
  const vector = (/** @type {string} */ label, /** @type {number[]} */ [elements]) => {
    const storage = { type: 'f32', elements, label, ...floats(elements * 4) };
    return { shape: [elements], storage };
  };
  const matrix = (
    /** @type {string} */ label,
    /** @type {number} */ rows,
    /** @type {number} */ channels,
    kernel = 1,
  ) => {
    const inner = channels * kernel ** 2;
    const width = channels % 32 === 0 ? 32 : 4;
    const elements = rows * inner;
    const place = halves((elements + WIDEST_TILE * 32) * 2);
    const data = { shape: [rows, inner], storage: { type: 'f16', elements, label, ...place } };
    return { data, rows, inner, kernel, width, packed: true };
  };
  return scopeOf({
    vector,
    matrix,
    joint: (/** @type {string[]} */ names, /** @type {number} */ rows, /** @type {number} */ channels) =>
      matrix(names[0], rows * names.length, channels),
    jointVector: (/** @type {string[]} */ names, /** @type {number} */ length) =>
      vector(names[0], [length * names.length]),
  });
}

Object.assign(globalThis, globals);
// Lives as long as its devices.
const instance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);

async function nullGpu() {
  const adapter = await instance.requestAdapter();
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  // What is wrong takes Dawn longer.
  device.onuncapturederror = ({ error }) => {
    console.error(error.message);
    process.exit(1);
  };
  return { ...createGpu(device, { precision: 'f16', tiles: true }), matrixUnits: 'all', residual: 'f32', lanes: 32 };
}

async function measure(/** @type {string} */ name, json, /** @type {number} */ size, /** @type {number} */ tokens) {
  const gpu = await nullGpu();
  const config = parseUNetConfig(json);
  const forward = unet(weights(gpu), config);
  const shapes = {
    sample: [1, size, size, config.inChannels],
    timestep: [2],
    context: [2, tokens, config.crossAttentionDim[0]],
  };
  const inputs = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, new Float32Array(shape.reduce((a, b) => a * b))]),
  );
  const recording = record(
    gpu,
    shapes,
    ({ sample, timestep, context }) => ({ noise: forward(sample, timestep, context) }),
    { steady: ['context'] },
  );
  await compile(gpu, recording);
  const plan = createPlan(gpu, recording, name);
  for (let i = 0; i < WARM_RUNS; i++) await plan.submit(inputs);
  const times = [];
  for (let i = 0; i < Number(options.runs); i += RUNS_AT_ONCE) {
    times.push((await onHost(gpu, plan, inputs, RUNS_AT_ONCE)).encodeMs);
  }
  const kernels = recording.graph.nodes.length - recording.steady.nodes;
  console.log(JSON.stringify({ name, kernels, encodeMs: median(times), fastestMs: Math.min(...times) }));
}

await measure('Stable Diffusion 2.1, 512 px', UNET_CONFIG, 64, 77);
const pantry = new URL('../../pantry/base/unet/config.json', import.meta.url);
await measure("the pantry's base, 128 px", JSON.parse(readFileSync(pantry, 'utf8')), 16, 77);
process.exit(0);
