/**
 * Single ops at the sizes of SD 1.x at 512 px, on data that lies on the GPU already: an op is recorded several times
 * over, so that submitting and waiting are shared by as many runs as the caller asks for.
 */
import { f32ToF16Bits } from '../../packages/core/dist/checkpoint/dtype.js';
import { Usage } from '../../packages/core/dist/gpu/flags.js';
import { elementCount } from '../../packages/core/dist/gpu/graph.js';
import { createPlan } from '../../packages/core/dist/gpu/plan.js';
import { record, storageBytes } from '../../packages/core/dist/gpu/recording.js';
import { blendOf, bytesSource, encodeSafetensorsHeader, openSafetensors } from '../../packages/core/dist/index.js';
import { attention } from '../../packages/core/dist/ops/attention.js';
import { conv2d } from '../../packages/core/dist/ops/conv2d.js';
import { silu } from '../../packages/core/dist/ops/elementwise.js';
import { matmul } from '../../packages/core/dist/ops/matmul.js';
import { groupNorm, layerNorm } from '../../packages/core/dist/ops/norms.js';
import { bodyOf, WIDEST_TILE } from '../../packages/core/dist/ops/weights.js';
import { averagePieces } from '../../packages/core/dist/soup/averager.js';
import { averageOf } from '../../packages/core/dist/soup/blend.js';
import { flopOf } from './cases.mjs';

const MIB = 2 ** 20;

/** @type {import('./cases.mjs').Case[]} */
export const ops = [
  op('matmul 4096x320x320', ({ x, matrix, vector }) => {
    const [input, w, bias] = [x([1, 4096, 320]), matrix(320, 320), vector(320)];
    return () => matmul(input, w, bias);
  }),
  op('conv3x3 64x64x320 -> 320', ({ x, matrix, vector }) => {
    const [input, w, bias] = [x([1, 64, 64, 320]), matrix(320, 320, 3), vector(320)];
    return () => conv2d(input, w, bias);
  }),
  attentionOver(1024),
  { ...attentionOver(4096), isSlow: true },
  op('group norm + SiLU 64x64x320', ({ x, vector }) => {
    const [input, gamma, beta] = [x([1, 64, 64, 320]), vector(320), vector(320)];
    return () => silu(groupNorm(input, { gamma, beta, groups: 32, eps: 1e-5 }));
  }),
  op('layer norm 4096x320', ({ x, vector }) => {
    const [input, gamma, beta] = [x([1, 4096, 320]), vector(320), vector(320)];
    return () => layerNorm(input, { gamma, beta, eps: 1e-5 });
  }),
  average(4, 16 * MIB),
];

function attentionOver(/** @type {number} */ tokens) {
  return op(`attention ${tokens} tokens, 8 heads x 40`, ({ x }) => {
    const [q, k, v] = [1, 2, 3].map(() => x([1, tokens, 320]));
    return () => attention(q, k, v, { heads: 8 });
  });
}

/**
 * @param {string} name
 * @param {(make: ReturnType<typeof residents>) => () => import('../../packages/core/dist/gpu/graph.js').Tensor} build
 * @returns {import('./cases.mjs').Case}
 */
function op(name, build) {
  return {
    name,
    async prepare(gpu) {
      const make = residents(gpu);
      /** @type {Map<number, import('../../packages/core/dist/gpu/plan.js').Plan>} */
      const plans = new Map();
      const recorded = (/** @type {number} */ repeat) =>
        // The results are read by nobody; what is read back is four numbers, when everything before them is done.
        record(gpu, { done: [4] }, ({ done }) => {
          make.graph = done.storage.graph;
          const call = build(make);
          for (let i = 0; i < repeat; i++) call();
          return { done };
        });
      const once = recorded(1);
      const result = once.graph.nodes.findLast(({ kernel }) => kernel !== 'cast').output;
      const bytes = make.activationBytes + storageBytes(result.storage.type, result.storage.elements);
      const flop = flopOf(once);
      return {
        async run(repeat) {
          if (!plans.has(repeat)) plans.set(repeat, createPlan(gpu, recorded(repeat), name));
          await plans.get(repeat).run({ done: new Float32Array(4) });
        },
        ...(flop > 0 ? { flop } : { bytes }),
        destroy() {
          for (const plan of plans.values()) plan.destroy();
          make.destroy();
        },
      };
    },
  };
}

/** Random tensors that lie on the GPU, made anew in each recording but filled once. */
function residents(/** @type {import('./cases.mjs').Gpu} */ gpu) {
  /** @type {Map<string, GPUBuffer>} */
  const buffers = new Map();
  let made = 0;
  let activationBytes = 0;
  /** @type {any} */
  let graph;

  const tensor = (/** @type {number[]} */ shape, /** @type {'f32' | 'f16'} */ type) => {
    const key = `${made++} ${type} ${shape}`;
    const elements = elementCount(shape);
    let buffer = buffers.get(key);
    if (!buffer) {
      const size = storageBytes(type, elements);
      buffer = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_DST, 'benchmark input');
      buffers.set(key, buffer);
      gpu.device.queue.writeBuffer(buffer, 0, randomNumbers(elements, type));
    }
    return { shape, storage: { type, elements, graph, buffer, label: 'benchmark input' } };
  };

  return {
    /** The recording that activations are part of. */
    set graph(/** @type {any} */ value) {
      graph = value;
      made = 0;
      activationBytes = 0;
    },
    get activationBytes() {
      return activationBytes;
    },
    x(/** @type {number[]} */ shape) {
      const made = tensor(shape, gpu.precision);
      activationBytes += storageBytes(gpu.precision, made.storage.elements);
      return made;
    },
    vector: (/** @type {number} */ length) => tensor([length], 'f32'),
    /** Weights in halves, as the files of models have them, and as they lie on this device. */
    matrix: (/** @type {number} */ rows, /** @type {number} */ channels, kernel = 1) => {
      const inner = channels * kernel * kernel;
      const width = bodyOf(gpu, { kernel, packed: true }) ? /** @type {const} */ (32) : /** @type {const} */ (4);
      const data = tensor([width === 32 ? rows + WIDEST_TILE : rows, inner], 'f16');
      return { data, rows, inner, kernel, width, packed: true };
    },
    destroy() {
      for (const buffer of buffers.values()) gpu.destroyBuffer(buffer);
    },
  };
}

/** In [-1, 1): of the size that activations have, and none so small that a processor stumbles over it. */
function randomNumbers(/** @type {number} */ length, /** @type {'f32' | 'f16'} */ type) {
  let state = 1;
  const numbers = new Float32Array(length).map(() => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
  return type === 'f32' ? numbers : Uint16Array.from(numbers, f32ToF16Bits);
}

/** As many as staging memory takes at once: one is read while another is averaged. */
const PIECES = 4;

/**
 * Ingredients that lie in memory, averaged as loading does it, copy to the GPU included.
 * @returns {import('./cases.mjs').Case}
 */
function average(/** @type {number} */ ingredients, /** @type {number} */ bytesEach) {
  return {
    name: `average ${ingredients} x ${bytesEach / MIB} MiB f16`,
    isTierless: true,
    async prepare(gpu) {
      const shape = [bytesEach / 2 / 1024, 1024];
      const { header } = encodeSafetensorsHeader([{ name: 'w', dtype: 'F16', shape }]);
      const numbers = randomNumbers(bytesEach / 2, 'f16');
      const file = new Uint8Array(header.length + bytesEach);
      file.set(header);
      file.set(new Uint8Array(numbers.buffer), header.length);
      const weights = await openSafetensors(bytesSource(file, 'in memory'));
      const buffer = gpu.createBuffer(bytesEach, Usage.STORAGE, 'average');
      const target = { buffer, offset: 0, size: bytesEach };
      const [allRows, channels] = shape;
      const average = averageOf(blendOf(Array(ingredients).fill(weights)), 'w');
      const rows = allRows / PIECES;
      const pieces = Array.from({ length: PIECES }, (_, i) => ({
        ...{ average, firstRow: i * rows, rows, allRows, channels, taps: 1, target, width: 4, packed: true },
      }));
      return {
        async run(repeat) {
          for (let i = 0; i < repeat; i++) for await (const _ of averagePieces(gpu, pieces));
          await gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'averaging');
        },
        bytes: ingredients * bytesEach,
        destroy: () => gpu.destroyBuffer(buffer),
      };
    },
  };
}
