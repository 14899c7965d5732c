/** The bytes of planned files, and the content hashes of what passes by: nothing has to be read again for the ledger. */
import { createHash } from 'node:crypto';
import {
  type Blend,
  componentRoot,
  type Gpu,
  layOutFile,
  type MergedFile,
  mergeSafetensors,
  type PlacedPart,
  type PlannedFile,
  placedParts,
  readBytes,
  type Source,
  type TensorHash,
} from '@diffusion-soup/core';
import { sha256 } from '../hash/weights.js';

export interface ContentOptions {
  readonly signal: AbortSignal;
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes of a staging buffer on the GPU. */
  readonly stagingBytes?: number;
}

const COPY_BYTES = 8 * 2 ** 20; // at once

/** The hashes of the tensors that are computed, by the blend they are of. */
export type ComputedHashes = Map<Blend, TensorHash[]>;

export function contentOf(
  gpu: Gpu,
  file: PlannedFile,
  options: ContentOptions,
  hashes: ComputedHashes,
): AsyncIterable<Uint8Array> {
  if (file.kind === 'text') return text(file.text);
  if (file.kind === 'copied') return copied(file.source);
  const { metadata, signal, stagingBytes } = options;
  const own = file.sums ? file.metadata : { ...metadata, ...file.metadata };
  const merged = layOutFile(file.tensors, { ...(own && { metadata: own }), ...(file.sums && { sums: file.sums }) });
  const bytes = mergeSafetensors(gpu, merged, { signal, ...(stagingBytes !== undefined && { stagingBytes }) });
  if (file.sums) return bytes;
  return hashed(merged, bytes, ({ blend }, hash) => hashes.set(blend, [...(hashes.get(blend) ?? []), hash]));
}

async function* text(content: string) {
  yield new TextEncoder().encode(content);
}

async function* copied(source: Source) {
  for (let at = 0; at < source.size; at += COPY_BYTES) {
    yield await readBytes(source, at, Math.min(COPY_BYTES, source.size - at));
  }
}

/** Passes on a file's bytes, and says the hash of each tensor once it has gone by. */
async function* hashed(
  file: MergedFile,
  pieces: AsyncIterable<Uint8Array>,
  onTensor: (part: PlacedPart, hash: TensorHash) => void,
) {
  const parts = placedParts(file).sort((a, b) => a.begin - b.begin);
  let next = 0;
  let at = 0;
  let hash = createHash('sha256');
  const finish = () => {
    while (next < parts.length && parts[next]!.end <= at) {
      const part = parts[next++]!;
      const { key: name, dtype, shape } = part;
      onTensor(part, { name, dtype, shape, dataHash: hash.digest('hex') });
      hash = createHash('sha256');
    }
  };
  for await (const piece of pieces) {
    const end = at + piece.length;
    while (at < end) {
      const part = parts[next];
      if (!part || part.begin >= end) {
        at = end;
        break;
      }
      const from = Math.max(at, part.begin);
      const to = Math.min(end, part.end);
      hash.update(piece.subarray(piece.length - (end - from), piece.length - (end - to)));
      at = to;
      finish();
    }
    finish();
    yield piece;
  }
}

export const rootOf = (tensors: Iterable<TensorHash>): string => componentRoot(tensors, sha256);
