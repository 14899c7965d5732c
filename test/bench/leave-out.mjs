/**
 * What kernels take within a plan that runs many times in a row: how much less it takes without them. By themselves, with a pass each,
 * they take other times, which mislead (bench/README.md). What they would have written is left as it is.
 */
import { Usage } from '../../packages/core/dist/gpu/flags.js';
import { removeNodes, writtenBy } from '../../packages/core/dist/gpu/graph.js';
import { compile, createPlan } from '../../packages/core/dist/gpu/plan.js';
import { bytesOf } from '../../packages/core/dist/gpu/recording.js';
import { inARow } from './warm.mjs';

/** @typedef {import('../../packages/core/dist/gpu/graph.js').Node} Node */

/** A kernel with its result's shape, and of a product the inner dimension and how it is cut. */
export const sized = (kernel, /** @type {readonly number[]} */ shape, product) =>
  `${kernel} [${shape.join(', ')}]${product ? ` x ${product.inner}, ${product.tile}, ${product.splits}` : ''}`;

/** A line of what kernels took together. */
export const line = (/** @type {{ ms: number, count: number, key: string }} */ { ms, count, key }) =>
  `${ms.toFixed(3).padStart(9)} ms  ${String(count).padStart(3)} x ${key}`;

/** By what kernels are left out. */
export const KEYS = {
  kinds: (/** @type {Node} */ { kernel }) => kernel,
  kernels(/** @type {Node} */ { kernel, output, product, inputs, isGated }) {
    const keys = inputs.k ? `, ${inputs.k.shape[1]} keys` : '';
    const also = Object.keys(inputs).filter((name) => inputs[name] && ['residual', 'beside'].includes(name));
    return [
      `${sized(kernel, output.shape, product)}${keys}`,
      ...(isGated ? ['gated'] : []),
      ...also,
      output.storage.type,
    ].join(', ');
  },
};

const ROUNDS = 5;
const RUNS = 10;

/**
 * Milliseconds that each takes, of all its calls together, the most first. Nodes that depend on steady inputs alone are not looked at.
 * @param {import('./cases.mjs').Gpu} gpu
 * @param {() => import('../../packages/core/dist/gpu/recording.js').Recording} make records the same again
 * @param {import('../../packages/core/dist/gpu/plan.js').Inputs} inputs
 * @param {(node: Node) => string} keyOf
 */
export async function leaveOut(gpu, make, inputs, keyOf) {
  const counts = new Map();
  const full = make();
  for (const node of full.graph.nodes.slice(full.steady.nodes)) {
    counts.set(keyOf(node), (counts.get(keyOf(node)) ?? 0) + 1);
  }
  await compile(gpu, full);
  const whole = createPlan(gpu, full, 'all of it');
  const rows = [];
  let before = await least(gpu, whole, inputs);
  for (const [key, count] of counts) {
    const { recording, buffers } = without(gpu, make(), (node) => keyOf(node) === key);
    const plan = createPlan(gpu, recording, `without ${key}`);
    const ms = await least(gpu, plan, inputs);
    plan.destroy();
    for (const buffer of buffers) gpu.destroyBuffer(buffer);
    const after = await least(gpu, whole, inputs);
    rows.push({ ms: (before + after) / 2 - ms, count, key });
    before = after;
  }
  whole.destroy();
  return rows.sort((a, b) => b.ms - a.ms);
}

/** A recording without these nodes, and where their results are read from. */
function without(gpu, recording, isLeftOut) {
  const { graph, steady } = recording;
  const gone = new Set(graph.nodes.filter((node, i) => i >= steady.nodes && isLeftOut(node)));
  const kept = new Set(Object.values(recording.outputs).map(({ storage }) => storage));
  const buffers = [];
  for (const { storage } of [...gone].flatMap((node) => Object.values(writtenBy(node)))) {
    if (kept.has(storage)) continue; // the plan has memory for it
    storage.buffer = gpu.createBuffer(bytesOf(storage), Usage.STORAGE | Usage.COPY_SRC, 'left out');
    buffers.push(storage.buffer);
  }
  removeNodes(graph, gone);
  return { recording, buffers };
}

async function least(gpu, plan, inputs) {
  const times = [];
  for (let i = 0; i < ROUNDS; i++) {
    await plan.run(inputs); // what is steady is there
    times.push(await inARow(gpu, plan, inputs, RUNS));
  }
  return Math.min(...times);
}
