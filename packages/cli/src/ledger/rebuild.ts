/** The hashes of a soup's tensors, of a soup that is made for this alone and written nowhere. */
import {
  type CookedPart,
  type Gpu,
  layOutFile,
  type MergeOptions,
  mergeSafetensors,
  outputsOf,
  placedParts,
  type TensorHash,
} from '@diffusion-soup/core';
import { hashStream } from '../hash/stream.js';
import { hashComponent } from '../hash/weights.js';

export async function* rebuild(gpu: Gpu, cooked: CookedPart, options: MergeOptions = {}): AsyncGenerator<TensorHash> {
  if (cooked.isCopy) {
    const [weights] = cooked.blend.ingredients;
    const { tensors } = await hashComponent(weights!, '.', { ...(options.signal && { signal: options.signal }) });
    yield* tensors.values();
    return;
  }
  const file = layOutFile(outputsOf(cooked.blend));
  const parts = placedParts(file);
  const hasher = hashStream(
    file.size,
    parts.map(({ begin, end }) => [begin, end]),
  );
  try {
    for await (const piece of mergeSafetensors(gpu, file, options)) await hasher.update(piece);
    const { ranges } = await hasher.digest();
    for (const [i, { key: name, dtype, shape }] of parts.entries()) yield { name, dtype, shape, dataHash: ranges[i]! };
  } finally {
    hasher.close();
  }
}
