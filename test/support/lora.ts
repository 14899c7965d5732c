/** LoRA files and models in memory, and what baking should make of them, in doubles. */
import { fromFloat32, toFloat32 } from '../../packages/core/src/checkpoint/dtype.ts';
import { openSafetensors } from '../../packages/core/src/checkpoint/safetensors.ts';
import { encodeSafetensorsHeader } from '../../packages/core/src/checkpoint/safetensors-writer.ts';
import { bytesSource, readBytes } from '../../packages/core/src/checkpoint/source.ts';
import type { Weights } from '../../packages/core/src/checkpoint/weights.ts';
import { random } from './gpu.ts';

export type Float = 'F32' | 'F16' | 'BF16';

export interface Entry {
  readonly shape: readonly number[];
  readonly data: Float32Array;
  readonly dtype?: Float;
}

export async function fileOf(
  name: string,
  entries: Readonly<Record<string, Entry>>,
  metadata?: Record<string, string>,
): Promise<Weights> {
  const specs = Object.entries(entries).map(([key, { shape, dtype = 'F32' }]) => ({ name: key, shape, dtype }));
  const { header, offsets, size } = encodeSafetensorsHeader(specs, metadata);
  const file = new Uint8Array(size);
  file.set(header);
  for (const [key, { data, dtype = 'F32' }] of Object.entries(entries)) {
    file.set(fromFloat32(data, dtype), offsets.get(key)!);
  }
  return openSafetensors(bytesSource(file, name));
}

export const entry = (shape: readonly number[], seed: number, dtype: Float = 'F32', scale = 1): Entry => ({
  shape,
  dtype,
  data: random(shape, seed).data.map((x) => x * scale),
});

export const scalar = (value: number): Entry => ({ shape: [], data: Float32Array.of(value) });

export async function numbersOf(weights: Weights, key: string): Promise<Float32Array> {
  const info = weights.tensors.get(key)!;
  return toFloat32(await readBytes(info.source, info.offset, info.byteLength), info.dtype);
}

/** w (rows, columns) + scale * up (rows, rank) @ down (rank, columns). */
export function changed(w: ArrayLike<number>, up: Entry, down: Entry, scale: number): Float64Array {
  const [rows, rank] = up.shape as [number, number];
  const columns = w.length / rows;
  const y = Float64Array.from(w);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      for (let r = 0; r < rank; r++)
        y[row * columns + column]! += scale * up.data[row * rank + r]! * down.data[r * columns + column]!;
  return y;
}

/** Distances between neighbouring numbers of a type at x. */
export function ulp(x: number, type: Float): number {
  const [bits, least] = { F32: [23, -126], F16: [10, -14], BF16: [7, -126] }[type] as [number, number];
  return 2 ** (Math.max(least, x === 0 ? least : Math.floor(Math.log2(Math.abs(x)))) - bits);
}
