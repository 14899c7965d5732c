/**
 * A soup as bytes: every tensor of a blend, averaged on the GPU and rounded once to its storage type, in the order
 * and layout of a safetensors file. The bytes are handed out as they are made; memory does not grow with the model.
 */

import { encodeSafetensorsHeader } from '../checkpoint/safetensors-writer.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { CancelledError, IncompatibleError } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { readBuffer } from '../gpu/read-buffer.js';
import { createAverager, pieceBytes, stagedBytes } from './averager.js';
import { type Blend, checkBlend, isFloat, tensorsOf } from './blend.js';

export interface MergeOptions {
  /** `__metadata__` of the file. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Bytes written so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Bytes of each ingredient that are averaged at once. */
const CHUNK_BYTES = 8 * 2 ** 20;

/** Yields a safetensors file piece by piece. */
export async function* mergeSafetensors(
  gpu: Gpu,
  blend: Blend,
  { metadata = {}, signal, onProgress }: MergeOptions = {},
): AsyncGenerator<Uint8Array> {
  checkBlend(blend);
  const { tensors } = blend[0]!.weights;
  const { header, offsets, size } = encodeSafetensorsHeader(
    [...tensors.values()].map(({ name, dtype, shape }) => ({ name, dtype: stored(dtype), shape })),
    { format: 'pt', ...metadata },
  );
  const inFileOrder = [...tensors.keys()].sort((a, b) => offsets.get(a)! - offsets.get(b)!);
  let done = header.byteLength;
  yield header;
  for (const key of inFileOrder) {
    for await (const bytes of isFloat(tensors.get(key)!) ? averaged(gpu, blend, key) : copied(blend, key)) {
      if (signal?.aborted) throw new CancelledError('stopped on request', {}, { cause: signal.reason });
      yield bytes;
      done += bytes.byteLength;
      onProgress?.(done, size);
    }
  }
}

/** f64 is read as f32, and so written as f32. */
const stored = (dtype: TensorInfo['dtype']): TensorInfo['dtype'] => (dtype === 'F64' ? 'F32' : dtype);

async function* averaged(gpu: Gpu, blend: Blend, key: string): AsyncGenerator<Uint8Array> {
  const tensors = tensorsOf(blend, key);
  const { info } = tensors[0]!;
  const count = info.shape.reduce((a, b) => a * b, 1);
  const width = stagedBytes(info);
  const perChunk = CHUNK_BYTES / width;
  const chunk = Math.min(perChunk, count);
  if (count === 0) return;
  const whole = { tensors, rows: chunk, channels: 1, taps: 1 };
  const averager = createAverager(gpu, pieceBytes(whole));
  const target = gpu.createBuffer(
    Math.ceil((chunk * width) / 4) * 4,
    Usage.STORAGE | Usage.COPY_SRC,
    `average of ${key}`,
  );
  try {
    for (let first = 0; first < count; first += chunk) {
      const rows = Math.min(chunk, count - first);
      await averager.add({ ...whole, firstRow: first, rows, allRows: count, target, width: 0, packed: width === 2 });
      await averager.flush();
      const bytes = await readBuffer(gpu, target, Math.ceil((rows * width) / 4) * 4, `averaging ${key}`);
      yield new Uint8Array(bytes, 0, rows * width);
    }
  } finally {
    averager.destroy();
    gpu.destroyBuffer(target);
  }
}

/** Whole numbers, such as position_ids, must be the same everywhere; they are copied. */
async function* copied(blend: Blend, key: string): AsyncGenerator<Uint8Array> {
  const [first, ...others] = tensorsOf(blend, key);
  const read = ({ info }: { info: TensorInfo }) => readBytes(info.source, info.offset, info.byteLength);
  const bytes = await read(first!);
  for (const [i, other] of others.entries()) {
    const theirs = await read(other);
    if (bytes.some((byte, at) => byte !== theirs[at])) {
      throw new IncompatibleError(
        `${key} (${first!.info.dtype}) differs between ${blend[0]!.weights.name} and ${blend[i + 1]!.weights.name}. ` +
          'Whole numbers are not averaged; they must be equal.',
        { tensor: key },
      );
    }
  }
  yield bytes;
}
