/**
 * Runs of tensors on their way to a kernel: the same elements of several tensors, read side by side into memory behind
 * a small table that says where each begins and how it is stored. For the kernels that look at tensors (gram.wgsl,
 * magnitude-histogram.wgsl) or change them (task-vectors.wgsl); averages have a ring of their own (soup/averager.ts).
 */
import { printable } from '../checkpoint/printable.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { align4, stagedBytes } from '../soup/staging.js';

/** How stored-number.wgsl calls the formats; F64 is narrowed to F32 on the way. */
const FORMATS: Readonly<Record<string, number>> = { F32: 0, F16: 1, BF16: 2, F64: 0 };

export interface Stage {
  /** The kernel's binding `x`. */
  readonly buffer: GPUBuffer;
  /** Whether `count` elements of each tensor still fit. */
  fits(tensors: readonly TensorInfo[], count: number): boolean;
  /**
   * Reads elements `first` to `first + count` of each tensor. Gives the word of the table's first entry; an entry has
   * the first word of the numbers, their format, and what `extra` holds for it.
   */
  add(
    tensors: readonly TensorInfo[],
    first: number,
    count: number,
    extra?: readonly (readonly number[])[],
  ): Promise<number>;
  /** Sends what was added; kernels submitted from now on see it. The stage is empty again. */
  upload(): void;
  destroy(): void;
}

/** Words of an entry that every kernel has: where the numbers begin, and their format. */
const ENTRY = 2;
/** The most that a kernel adds to an entry. */
const MOST_EXTRA = 4;

const bytesOf = (tensors: readonly TensorInfo[], count: number): number =>
  tensors.reduce((sum, info) => sum + align4(count * stagedBytes(info)) + (ENTRY + MOST_EXTRA) * 4, 0);

/** The most elements of these tensors that fit `bytes`, in whole steps; at least one step. */
export function elementsThatFit(tensors: readonly TensorInfo[], bytes: number, step = 1): number {
  const perElement = tensors.reduce((sum, info) => sum + stagedBytes(info), 0);
  const room = bytes - bytesOf(tensors, 0) - 4 * tensors.length;
  return Math.max(1, Math.floor(room / perElement / step)) * step;
}

export function createStage(gpu: Gpu, stageBytes: number): Stage {
  const size = align4(stageBytes);
  const buffer = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_DST, 'staged tensors');
  const host = new Uint32Array(size / 4);
  let filled = 0;
  return {
    buffer,
    fits: (tensors, count) => filled + bytesOf(tensors, count) <= size,
    async add(tensors, first, count, extra = []) {
      const table = filled / 4;
      const words = ENTRY + (extra[0]?.length ?? 0);
      let at = filled + tensors.length * words * 4;
      const reads = tensors.map((info, i) => {
        const start = at;
        at += align4(count * stagedBytes(info));
        host.set([start / 4, formatOf(info), ...(extra[i] ?? [])], table + i * words);
        return () => readNumbers(info, first, count, host.buffer, start);
      });
      if (at > size) throw new RangeError(`${count} elements of ${tensors.length} tensors do not fit ${size} bytes`);
      filled = at;
      await Promise.all(reads.map((read) => read()));
      return table;
    },
    upload() {
      gpu.device.queue.writeBuffer(buffer, 0, host, 0, filled / 4);
      filled = 0;
    },
    destroy: () => gpu.destroyBuffer(buffer),
  };
}

function formatOf({ dtype, name, source, offset }: TensorInfo): number {
  const format = FORMATS[dtype];
  if (format !== undefined) return format;
  throw new CheckpointError(
    `${printable(source.name, 1000)}: tensor "${printable(name)}" is ${dtype}; weights are read as F16, BF16, F32 or ` +
      'F64. Convert the checkpoint first.',
    { file: source.name, tensor: name, byte: offset },
  );
}

async function readNumbers(info: TensorInfo, first: number, count: number, host: ArrayBufferLike, start: number) {
  if (info.dtype === 'F64') {
    const wide = new Float64Array(count);
    await info.source.readInto(new Uint8Array(wide.buffer), info.offset + first * 8);
    new Float32Array(host, start, count).set(wide);
    return;
  }
  const bytes = stagedBytes(info);
  await info.source.readInto(new Uint8Array(host, start, count * bytes), info.offset + first * bytes);
}
