/** The bytes of planned files, and the content hashes of what passes by: nothing has to be read again for the ledger. */
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
import { hashStream } from '../hash/stream.js';
import { sha256 } from '../hash/weights.js';

export interface ContentOptions {
  readonly signal: AbortSignal;
  readonly metadata: Readonly<Record<string, string>>;
  /** Bytes of a staging buffer on the GPU. */
  readonly stagingBytes?: number;
  /** Called with the number of tensors that have gone by since. */
  readonly onTensors?: (count: number) => void;
}

/** The hashes of the tensors that are computed, by the blend they are of. */
export type ComputedHashes = Map<Blend, TensorHash[]>;

export interface Content {
  readonly pieces: AsyncIterable<Uint8Array>;
  /** Of all pieces, once they have gone by. */
  sha256(): string;
}

const COPY_BYTES = 8 * 2 ** 20; // at once

export function contentOf(gpu: Gpu, file: PlannedFile, options: ContentOptions, hashes: ComputedHashes): Content {
  if (file.kind === 'text') return hashed(file.bytes, [], text(file.text), () => {});
  if (file.kind === 'copied') return hashed(file.bytes, [], copied(file.source), () => {});
  const { metadata, signal, stagingBytes } = options;
  const own = file.sums ? file.metadata : { ...metadata, ...file.metadata };
  const merged = layOutFile(file.tensors, { ...(own && { metadata: own }), ...(file.sums && { sums: file.sums }) });
  const pieces = mergeSafetensors(gpu, merged, { signal, ...(stagingBytes !== undefined && { stagingBytes }) });
  const parts = file.sums ? [] : placedParts(merged);
  return hashed(
    merged.size,
    parts,
    counted(merged, pieces, options),
    ({ blend, key: name, dtype, shape }, dataHash) => {
      hashes.set(blend, [...(hashes.get(blend) ?? []), { name, dtype, shape, dataHash }]);
    },
  );
}

/** Passes on a file's bytes, and counts its tensors. */
async function* counted(file: MergedFile, pieces: AsyncIterable<Uint8Array>, { onTensors }: ContentOptions) {
  const ends = placedParts(file).map(({ end }) => end);
  let [at, next] = [0, 0];
  for await (const piece of pieces) {
    yield piece;
    at += piece.length;
    const before = next;
    while (next < ends.length && ends[next]! <= at) next++;
    if (next > before) onTensors?.(next - before);
  }
}

async function* text(content: string) {
  yield new TextEncoder().encode(content);
}

async function* copied(source: Source) {
  for (let at = 0; at < source.size; at += COPY_BYTES) {
    yield await readBytes(source, at, Math.min(COPY_BYTES, source.size - at));
  }
}

/** Passes on a file's bytes; at the end it says the hash of each tensor. */
function hashed(
  size: number,
  parts: readonly PlacedPart[],
  pieces: AsyncIterable<Uint8Array>,
  onTensor: (part: PlacedPart, dataHash: string) => void,
): Content {
  let whole: string | undefined;
  async function* passing() {
    const hasher = hashStream(
      size,
      parts.map(({ begin, end }) => [begin, end]),
    );
    try {
      for await (const piece of pieces) {
        await hasher.update(piece);
        yield piece;
      }
      const { sha256, ranges } = await hasher.digest();
      whole = sha256;
      parts.forEach((part, i) => {
        onTensor(part, ranges[i]!);
      });
    } finally {
      hasher.close();
    }
  }
  return {
    pieces: passing(),
    sha256() {
      if (whole === undefined) throw new Error('the hash of a file that is not written yet');
      return whole;
    },
  };
}

export const rootOf = (tensors: Iterable<TensorHash>): string => componentRoot(tensors, sha256);
