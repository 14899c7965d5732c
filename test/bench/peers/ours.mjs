/** Core's own ops, recorded several times over, with weights in f32 as the peers have them. */
import { Usage } from '../../../packages/core/dist/gpu/flags.js';
import { createPlan } from '../../../packages/core/dist/gpu/plan.js';
import { record } from '../../../packages/core/dist/gpu/recording.js';
import { attention } from '../../../packages/core/dist/ops/attention.js';
import { conv2d } from '../../../packages/core/dist/ops/conv2d.js';
import { silu } from '../../../packages/core/dist/ops/elementwise.js';
import { matmul } from '../../../packages/core/dist/ops/matmul.js';
import { groupNorm } from '../../../packages/core/dist/ops/norms.js';
import { EPSILON } from './work.mjs';

/** (inner / 4, rows, 4), taps before channels: as weights are laid out when they are loaded. */
function laidOut(/** @type {import('./work.mjs').Operand} */ { shape, data }) {
  const [rows, channels, kernel = 1] = shape;
  const taps = kernel * kernel;
  const inner = channels * taps;
  const y = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < inner; i++) {
      const [tap, channel] = [Math.floor(i / channels), i % channels];
      y[(Math.floor(i / 4) * rows + row) * 4 + (i % 4)] = data[(row * channels + channel) * taps + tap];
    }
  }
  return { data: y, rows, inner, kernel };
}

/** @param {import('../cases.mjs').Gpu} gpu @param {import('./work.mjs').Work} work @returns {import('./work.mjs').Arm} */
export function ours(gpu, work) {
  /** @type {GPUBuffer[]} */
  const buffers = [];
  /** @type {Map<string, any>} */
  const plans = new Map();
  const resident = (/** @type {Float32Array<ArrayBuffer>} */ data) => {
    const buffer = gpu.createBuffer(data.byteLength, Usage.STORAGE | Usage.COPY_DST, 'operand');
    gpu.device.queue.writeBuffer(buffer, 0, data);
    buffers.push(buffer);
    return buffer;
  };
  const matrix = work.operands.w && laidOut(work.operands.w);
  const held = Object.fromEntries(
    Object.entries(work.operands).map(([name, { data }]) => [name, resident(name === 'w' ? matrix.data : data)]),
  );
  const recorded = (/** @type {number} */ repeat, /** @type {boolean} */ isRead) =>
    record(gpu, { done: [4] }, ({ done }) => {
      const { graph } = done.storage;
      const tensor = (/** @type {string} */ name) => {
        const { shape, data } = work.operands[name];
        return { shape, storage: { type: 'f32', elements: data.length, graph, buffer: held[name], label: name } };
      };
      const w = () => ({ ...matrix, data: tensor('w'), width: 4, packed: false });
      const call = {
        matmul: () => matmul(tensor('x'), w(), tensor('bias')),
        conv2d: () => conv2d(tensor('x'), w(), tensor('bias')),
        attention: () => attention(tensor('q'), tensor('k'), tensor('v'), { heads: work.heads }),
        groupNormSilu: () => {
          const norm = { gamma: tensor('gamma'), beta: tensor('beta'), groups: work.groups, eps: EPSILON };
          return silu(groupNorm(tensor('x'), norm));
        },
      }[work.op];
      let y;
      for (let i = 0; i < repeat; i++) y = call();
      return isRead ? { y } : { done };
    });
  const run = (/** @type {number} */ repeat, isRead = false) => {
    const key = `${repeat} ${isRead}`;
    if (!plans.has(key)) plans.set(key, createPlan(gpu, recorded(repeat, isRead), work.name));
    return plans.get(key).run({ done: new Float32Array(4) });
  };
  return {
    run,
    result: async () => (await run(1, true)).y,
    destroy() {
      for (const plan of plans.values()) plan.destroy();
      for (const buffer of buffers) gpu.destroyBuffer(buffer);
    },
  };
}
