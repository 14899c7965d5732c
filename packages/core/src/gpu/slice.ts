/** Numbers that lie on the device, as plans take them in and leave them. */
import { IncompatibleError } from '../errors.js';

/** `count` f32 of a buffer, from number `first` on. */
export interface Slice {
  readonly buffer: GPUBuffer;
  readonly first: number;
  readonly count: number;
}

/** Part `i` of a slice that is cut into `parts` of the same length. */
export function partOf({ buffer, first, count }: Slice, i: number, parts: number): Slice {
  if (count % parts !== 0) throw new IncompatibleError(`${count} numbers cannot be cut into ${parts} equal parts`);
  return { buffer, first: first + (i * count) / parts, count: count / parts };
}

/** Copies slices one after the other to the beginning of `target`. */
export function copySlices(encoder: GPUCommandEncoder, slices: readonly Slice[], target: GPUBuffer): void {
  let at = 0;
  for (const { buffer, first, count } of slices) {
    encoder.copyBufferToBuffer(buffer, first * BYTES, target, at, count * BYTES);
    at += count * BYTES;
  }
}

const BYTES = Float32Array.BYTES_PER_ELEMENT;
