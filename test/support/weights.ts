/** Weights in memory, for tests of what happens to them. */
import { bytesSource, type DType, type TensorInfo, type Weights } from '@diffusion-soup/core';
import { fromFloat32, toFloat32 } from '../../packages/core/src/checkpoint/dtype.ts';

export type Float = 'F32' | 'F16' | 'BF16';

export interface Entry {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly bytes: Uint8Array;
}

/** A tensor of these values, rounded to its type; one dimension unless a shape is given. */
export const tensor = (dtype: Float, data: Float32Array | readonly number[], shape?: readonly number[]): Entry => ({
  dtype,
  shape: shape ?? [data.length],
  bytes: fromFloat32(Float32Array.from(data), dtype),
});

/** Like a file: all tensors in one source, one after the other. */
export function weightsOf(name: string, entries: Readonly<Record<string, Entry>>): Weights {
  const size = Object.values(entries).reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
  const all = new Uint8Array(size);
  const source = bytesSource(all, name);
  const tensors = new Map<string, TensorInfo>();
  let offset = 0;
  for (const [key, { dtype, shape, bytes }] of Object.entries(entries)) {
    all.set(bytes, offset);
    tensors.set(key, { name: key, dtype, shape, source, offset, byteLength: bytes.byteLength });
    offset += bytes.byteLength;
  }
  return { name, tensors, metadata: {} };
}

/** The numbers of a tensor. */
export async function numbersOf(weights: Weights, key: string): Promise<Float32Array> {
  const info = weights.tensors.get(key)!;
  const bytes = new Uint8Array(info.byteLength);
  await info.source.readInto(bytes, info.offset);
  return toFloat32(bytes, info.dtype);
}
