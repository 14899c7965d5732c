/**
 * What the adapter can do at most, measured by kernels that do nothing else: multiplications and additions of f32, those of
 * the matrix units where there are any, and bytes copied on the device. A row's floor is what its work would take then.
 */
import { Usage } from '../../packages/core/dist/gpu/flags.js';

const GROUPS = 4096;
const THREADS = 64;
/** Sums at once: enough that none waits for the one before, and few enough for registers. */
const CHAINS = [1, 2, 4, 8];
const TURNS = 64;
const COPIED = 64 * 2 ** 20;
const RUNS = 5;
const SHORTEST_MS = 20;

const each = (/** @type {number} */ count, /** @type {(i: number) => string} */ line) =>
  Array.from({ length: count }, (_, i) => line(i)).join('\n');

/** Vectors of four, so that compilers for processors have no excuse. */
const multiplyAdds = (/** @type {number} */ chains) => `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>;
@compute @workgroup_size(${THREADS}) fn main(@builtin(local_invocation_index) thread: u32) {
  let a = y[thread];
  ${each(chains, (i) => `var s${i} = a * ${i}.5;`)}
  for (var k = 0; k < ${TURNS}; k++) {
    ${each(chains, (i) => each(8, () => `s${i} = s${i} * a + a;`))}
  }
  ${each(chains, (i) => `if (s${i}.x == 1234.5) { y[thread] = s${i}; }`)}
}`;

/** 16 x 16 x 16 of a subgroup each; operands stay in registers. */
const matrices = (/** @type {number} */ chains) => `
enable f16; enable subgroups; enable chromium_experimental_subgroup_matrix;
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
var<workgroup> halves: array<f16, 256>;
var<workgroup> sums: array<f32, 512>;
@compute @workgroup_size(${THREADS}) fn main(@builtin(local_invocation_index) thread: u32, @builtin(subgroup_id) subgroup: u32) {
  for (var i = thread; i < 256; i += ${THREADS}) { halves[i] = f16(y[i]); }
  workgroupBarrier();
  let a = subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>, row_major>(&halves, 0, 16);
  let b = subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>, row_major>(&halves, 0, 16);
  ${each(chains, (i) => `var s${i}: subgroup_matrix_result<f32, 16, 16>;`)}
  for (var k = 0; k < ${TURNS}; k++) {
    ${each(chains, (i) => `s${i} = subgroupMatrixMultiplyAccumulate(a, b, s${i});`)}
  }
  ${each(chains, (i) => `subgroupMatrixStore<row_major>(&sums, subgroup * 256, s${i}, 16); if (sums[thread] == 1234.5) { y[${i}] = sums[thread]; }`)}
}`;

/** @typedef {{ flops: number, matrixFlops?: number, bytes: number }} Peaks  per millisecond */

/** @param {import('./cases.mjs').Gpu} gpu @returns {Promise<Peaks>} */
export async function measurePeaks(gpu) {
  const y = gpu.createBuffer(4096, Usage.STORAGE | Usage.COPY_DST, 'peaks');
  const [from, to] = [1, 2].map(() => gpu.createBuffer(COPIED, Usage.COPY_SRC | Usage.COPY_DST, 'peaks'));
  try {
    const most = async (/** @type {(chains: number) => string} */ code, /** @type {number} */ work) => {
      const rates = [];
      for (const chains of CHAINS) rates.push(await rate(gpu, dispatching(gpu, code(chains), y), chains * work));
      return Math.max(...rates);
    };
    const flops = await most(multiplyAdds, 2 * 4 * 8 * TURNS * THREADS * GROUPS);
    const matrixFlops =
      gpu.matrixUnits === 'none' ? undefined : await most(matrices, 2 * 16 ** 3 * TURNS * (THREADS / 32) * GROUPS);
    const copy = (/** @type {GPUCommandEncoder} */ encoder) => encoder.copyBufferToBuffer(from, 0, to, 0, COPIED);
    return { flops, ...(matrixFlops && { matrixFlops }), bytes: await rate(gpu, copy, 2 * COPIED) };
  } finally {
    for (const buffer of [y, from, to]) gpu.destroyBuffer(buffer);
  }
}

/** @param {import('./cases.mjs').Gpu} gpu @param {string} code @param {GPUBuffer} buffer */
function dispatching({ device }, code, buffer) {
  const compute = { module: device.createShaderModule({ code }), entryPoint: 'main' };
  const pipeline = device.createComputePipeline({ layout: 'auto', compute });
  const entries = [{ binding: 0, resource: { buffer } }];
  const group = device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
  return (/** @type {GPUCommandEncoder} */ encoder) => {
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(GROUPS);
    pass.end();
  };
}

/** The most work in a millisecond, of several runs that are long enough for submitting and waiting not to count. */
async function rate(
  /** @type {import('./cases.mjs').Gpu} */ gpu,
  /** @type {(encoder: GPUCommandEncoder) => void} */ encode,
  /** @type {number} */ work,
) {
  const once = async (/** @type {number} */ repeat) => {
    const begun = performance.now();
    const encoder = gpu.device.createCommandEncoder();
    for (let i = 0; i < repeat; i++) encode(encoder);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'measuring what the adapter can do');
    return performance.now() - begun;
  };
  await once(1); // compiles
  const repeat = Math.max(1, Math.ceil(SHORTEST_MS / (await once(1))));
  let best = 0;
  for (let run = 0; run < RUNS; run++) best = Math.max(best, (repeat * work) / (await once(repeat)));
  return best;
}

/**
 * What a row's work would take, in ms: its operations by the units that do them, or its bytes, whichever is longer.
 * @param {Peaks} peaks
 * @param {{ flop?: number, bytes?: number }} work
 * @param {boolean} onMatrices
 */
export function floorOf({ flops, matrixFlops = flops, bytes }, work, onMatrices) {
  const floor = Math.max((work.flop ?? 0) / (onMatrices ? matrixFlops : flops), (work.bytes ?? 0) / bytes);
  return floor > 0 ? floor : undefined;
}
