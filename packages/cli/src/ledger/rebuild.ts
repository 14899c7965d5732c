/** The hashes of a soup's tensors, of a soup that is made for this alone and written nowhere. */
import { createHash, type Hash } from 'node:crypto';
import {
  CheckpointError,
  type CookedPart,
  type Gpu,
  layOutFile,
  type MergeOptions,
  mergeSafetensors,
  openSafetensors,
  outputsOf,
  type Source,
  type TensorHash,
} from '@diffusion-soup/core';
import { hashComponent } from '../hash/weights.js';

/** In the order in which they are made. */
export async function* rebuild(gpu: Gpu, cooked: CookedPart, options: MergeOptions = {}): AsyncGenerator<TensorHash> {
  if (cooked.isCopy) {
    const [weights] = cooked.blend.ingredients;
    const { tensors } = await hashComponent(weights!, '.', { ...(options.signal && { signal: options.signal }) });
    yield* tensors.values();
    return;
  }
  const file = layOutFile(outputsOf(cooked.blend));
  const { tensors } = await openSafetensors(headerSource(file.header, file.size));
  const waiting = [...tensors.values()].sort((a, b) => b.offset - a.offset || b.byteLength - a.byteLength);
  let at = 0;
  let hash: Hash = createHash('sha256');
  for await (const piece of mergeSafetensors(gpu, file, options)) {
    const end = at + piece.length;
    for (let next = waiting.at(-1); next && next.offset <= end; next = waiting.at(-1)) {
      const until = next.offset + next.byteLength;
      hash.update(piece.subarray(Math.max(0, next.offset - at), Math.max(0, Math.min(until, end) - at)));
      if (until > end) break;
      const { name, dtype, shape } = next;
      yield { name, dtype, shape, dataHash: hash.digest('hex') };
      hash = createHash('sha256');
      waiting.pop();
    }
    at = end;
  }
  if (waiting.length > 0) throw new CheckpointError('the soup ended before its last tensor');
}

/** Says what a file will hold, before it is there. */
const headerSource = (header: Uint8Array, size: number): Source => ({
  name: 'the soup',
  size,
  async readInto(target, offset) {
    // A first look at the file may reach beyond the header.
    target.fill(0).set(header.subarray(offset, offset + target.byteLength));
  },
});
