/**
 * LoRAs as part of a model: the weights of a checkpoint with low-rank changes added, computed on the GPU when they are
 * read. What comes out are weights like any other's, which can be averaged, merged and loaded.
 */

import { DTYPE_BITS } from '../checkpoint/dtype.js';
import { printable } from '../checkpoint/printable.js';
import { readBytes, type Source } from '../checkpoint/source.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { IncompatibleError, UsageError } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import { type Applied, type Factors, readFactors } from './factors.js';
import type { LoraComponent } from './format.js';
import type { Lora } from './read.js';
import { matchLora } from './targets.js';

export interface LoadedLora {
  readonly lora: Lora;
  /** 1 is as it was trained; any finite number, also negative. */
  readonly strength: number;
}

/** Bytes of a buffer, a little below what every WebGPU device binds (128 MiB). */
const MOST_BYTES = 128 * 2 ** 20;
/** Bytes computed at once: small enough to stay below that with any rank. */
const CHUNK_BYTES = 16 * 2 ** 20;

const FORMATS = { F32: 0, F16: 1, BF16: 2 } as const;

/**
 * W' = W + Σ strength * alpha / rank * up @ down, rounded once to the type of W; tensors without a change stay as they
 * are. Sums are f32, so that a result may be the neighbour of the exact one. The order of the LoRAs does not matter.
 */
export function withLoras(gpu: Gpu, component: LoraComponent, weights: Weights, loras: readonly LoadedLora[]): Weights {
  const changes = new Map<string, Applied[]>();
  for (const { lora, strength } of [...loras].sort(inOrder)) {
    if (!Number.isFinite(strength)) {
      throw new UsageError(`the strength of ${printable(lora.name)} is ${strength}; expected a number, such as 0.8`);
    }
    for (const [key, module] of matchLora(lora, component, weights)) {
      if (strength !== 0) changes.set(key, [...(changes.get(key) ?? []), { module, strength }]);
    }
  }
  if (changes.size === 0) return weights;
  const tensors = new Map(weights.tensors);
  const factorsOf = cacheOfOne(changes);
  for (const key of changes.keys()) tensors.set(key, computed(gpu, weights.tensors.get(key)!, factorsOf));
  const names = loras.map(({ lora, strength }) => `${lora.name}:${strength}`);
  return { name: [weights.name, ...names].join(' + '), tensors, metadata: weights.metadata };
}

const inOrder = (a: LoadedLora, b: LoadedLora): number =>
  a.lora.name === b.lora.name ? a.strength - b.strength : a.lora.name < b.lora.name ? -1 : 1;

/** The factors of the tensor that is being read; a large one is read in pieces. */
function cacheOfOne(changes: ReadonlyMap<string, readonly Applied[]>): (key: string) => Promise<Factors> {
  let last: { key: string; factors: Promise<Factors> } | undefined;
  return (key) => {
    if (last?.key !== key) last = { key, factors: readFactors(changes.get(key)!) };
    return last.factors;
  };
}

function computed(gpu: Gpu, info: TensorInfo, factorsOf: (key: string) => Promise<Factors>): TensorInfo {
  const { dtype } = info;
  if (!(dtype in FORMATS)) {
    throw new IncompatibleError(
      `${printable(info.name)} in ${printable(info.source.name, 1000)} is ${dtype}; LoRAs are added to F16, BF16 and F32. ` +
        'Convert the checkpoint first.',
      { tensor: info.name, dtype },
    );
  }
  const size = DTYPE_BITS[dtype] / 8;
  const source: Source = {
    name: info.source.name,
    size: info.byteLength,
    async readInto(target, offset) {
      const factors = await factorsOf(info.name);
      const end = offset + target.byteLength;
      for (let at = Math.floor(offset / 4) * 4; at < end; at += CHUNK_BYTES) {
        const length = Math.min(CHUNK_BYTES, Math.ceil((end - at) / size) * size, info.byteLength - at);
        const bytes = await bake(gpu, info, factors, at / size, length);
        const from = Math.max(offset, at);
        target.set(bytes.subarray(from - at, Math.min(end, at + length) - at), from - offset);
      }
    },
    close: async () => info.source.close?.(),
  };
  return { ...info, source, offset: 0 };
}

/** Elements `first`.. of the changed tensor; `first` is at the start of a word. */
async function bake(gpu: Gpu, info: TensorInfo, factors: Factors, first: number, length: number): Promise<Uint8Array> {
  const { columns, rank } = factors;
  const size = DTYPE_BITS[info.dtype] / 8;
  const bytes = await readBytes(info.source, info.offset + first * size, length);
  const elements = length / size;
  const firstRow = Math.floor(first / columns);
  const rows = Math.floor((first + elements - 1) / columns) - firstRow + 1;
  const up = factors.up.subarray(firstRow * rank, (firstRow + rows) * rank);
  const words = Math.ceil(length / 4);
  const padded = new Uint8Array(words * 4);
  padded.set(bytes);
  const made: GPUBuffer[] = [];
  const make = (data: Uint8Array<ArrayBuffer> | Float32Array<ArrayBuffer>, usage: number, label: string) => {
    if (data.byteLength > MOST_BYTES) {
      throw new UsageError(
        `the LoRAs of ${printable(info.name)} have ranks of ${rank} in all, too many to add at once; bake some of them first`,
        { tensor: info.name, rank },
      );
    }
    const buffer = gpu.createBuffer(data.byteLength, usage | Usage.COPY_DST, `${label} of ${info.name}`);
    made.push(buffer);
    gpu.device.queue.writeBuffer(buffer, 0, data);
    return buffer;
  };
  try {
    const { pipeline, layout, source } = getPipeline(gpu, 'lora', {
      constants: { FORMAT: FORMATS[info.dtype as keyof typeof FORMATS] },
    });
    const packed = new Uint8Array(Math.ceil((source.params.length * 4) / 16) * 16);
    const values = { words, elements, first, first_row: firstRow, columns, rank };
    packParams(source, values, new DataView(packed.buffer));
    const y = gpu.createBuffer(words * 4, Usage.STORAGE | Usage.COPY_SRC, `changed ${info.name}`);
    made.push(y);
    const buffers = [
      make(packed, Usage.UNIFORM, 'parameters'),
      make(padded, Usage.STORAGE, 'weight'),
      make(up, Usage.STORAGE, 'LoRA up'),
      make(factors.down, Usage.STORAGE, 'LoRA down'),
      y,
    ];
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = gpu.device.createCommandEncoder({ label: 'lora' });
    const pass = encoder.beginComputePass({ label: 'lora' });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...spread(words, 64));
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    return new Uint8Array(await readBuffer(gpu, y, words * 4, 'adding LoRAs'), 0, length);
  } finally {
    for (const buffer of made) gpu.destroyBuffer(buffer);
  }
}
