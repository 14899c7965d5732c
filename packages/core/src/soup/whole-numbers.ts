/** Whole numbers, such as position_ids, are not averaged: they must be the same in all ingredients, and are copied. */
import { printable } from '../checkpoint/printable.js';
import { readBytes } from '../checkpoint/source.js';
import type { Weights } from '../checkpoint/weights.js';
import { IncompatibleError } from '../errors.js';
import { isFloat } from './blend.js';

/** The bytes of a tensor that all have. Throws an IncompatibleError where they differ, or are stored as another type. */
export async function sameBytes(key: string, all: readonly Weights[]): Promise<Uint8Array<ArrayBuffer>> {
  const read = ({ tensors }: Weights) => {
    const { source, offset, byteLength } = tensors.get(key)!;
    return readBytes(source, offset, byteLength);
  };
  const [first, ...others] = all;
  const { dtype } = first!.tensors.get(key)!;
  const bytes = await read(first!);
  for (const other of others) {
    const theirs = await read(other);
    if (other.tensors.get(key)!.dtype === dtype && bytes.every((byte, at) => byte === theirs[at])) continue;
    throw new IncompatibleError(
      `${printable(key)} (${dtype}) differs between ${printable(first!.name, 1000)} and ${printable(other.name, 1000)}. ` +
        'Whole numbers are not averaged; they must be equal.',
      { tensor: key },
    );
  }
  return bytes;
}

/** Looks at all of them before work begins. The ingredients must have the same tensors (checkBlend). */
export async function checkWholeNumbers(all: readonly Weights[]): Promise<void> {
  for (const [key, info] of all[0]?.tensors ?? []) if (!isFloat(info)) await sameBytes(key, all);
}
