/**
 * A soup as bytes: tensors averaged on the GPU and rounded once to their storage type, in the order and layout of a
 * safetensors file. The bytes are handed out as they are made; memory does not grow with the model.
 */

import { tensorBytes } from '../checkpoint/dtype.js';
import { encodeSafetensorsHeader } from '../checkpoint/safetensors-writer.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { throwIfAborted } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { averagePieces, STAGING_BYTES } from './averager.js';
import { averageOf, type Blend, checkBlend, checkSummable, isFloat } from './blend.js';
import { type Piece, stagedBytes } from './staging.js';
import { sameBytes } from './whole-numbers.js';

/** A tensor of the result: one average, or several of them one after the other (q, k and v in one matrix). */
export interface OutputTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly parts: readonly { readonly blend: Blend; readonly key: string }[];
}

export interface MergedFile {
  /** In the order of the file. */
  readonly tensors: readonly OutputTensor[];
  /** The first bytes of the file. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** By name, where each tensor's bytes begin. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Bytes. */
  readonly size: number;
  readonly sums: 0 | 1 | 2;
}

export interface FileOptions {
  /** `__metadata__` of the file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** The exact sums Σ p_i θ_i / 2^-24 of F16 ingredients instead of averages: as I32 (1 word), or as I64 (2). */
  readonly sums?: 0 | 1 | 2;
}

export interface MergeOptions {
  /** Bytes of a staging buffer; see averager.ts. */
  readonly stagingBytes?: number;
  readonly signal?: AbortSignal;
  /** Bytes handed out so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Every tensor of a blend, under its own name. */
export function outputsOf(blend: Blend): OutputTensor[] {
  checkBlend(blend);
  const [first] = blend.ingredients;
  return [...first!.tensors].map(([key, { shape }]) => ({ name: key, shape, parts: [{ blend, key }] }));
}

/** Where everything will be, before anything is computed. */
export function layOutFile(
  tensors: readonly OutputTensor[],
  { metadata = {}, sums = 0 }: FileOptions = {},
): MergedFile {
  if (sums > 0) for (const { blend, key } of tensors.flatMap(({ parts }) => parts)) checkSums(blend, key);
  const { header, offsets, size } = encodeSafetensorsHeader(
    tensors.map((tensor) => ({ name: tensor.name, shape: tensor.shape, dtype: typeOf(tensor, sums) })),
    { format: 'pt', ...metadata },
  );
  const inFileOrder = [...tensors].sort((a, b) => offsets.get(a.name)! - offsets.get(b.name)!);
  return { tensors: inFileOrder, header, offsets, size, sums };
}

function checkSums({ ingredients }: Blend, key: string): void {
  for (const { tensors } of ingredients) checkSummable(tensors.get(key)!);
}

const typeOf = ({ parts: [part] }: OutputTensor, sums: 0 | 1 | 2): TensorInfo['dtype'] =>
  outputType(part!.blend, part!.key, sums);

/** What a tensor of a blend is stored as. */
export function outputType(blend: Blend, key: string, sums: 0 | 1 | 2 = 0): TensorInfo['dtype'] {
  const info = blend.ingredients[0]!.tensors.get(key)!;
  if (!isFloat(info)) return info.dtype;
  return sums === 0 ? averageOf(blend, key).result : sums === 1 ? 'I32' : 'I64';
}

/** A tensor of a blend, and where its bytes are in the file. */
export interface PlacedPart {
  readonly blend: Blend;
  readonly key: string;
  readonly dtype: TensorInfo['dtype'];
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

/** All parts of a file, in the order of its bytes. */
export function placedParts({ tensors, offsets, sums }: MergedFile): PlacedPart[] {
  return tensors.flatMap((tensor) => {
    let begin = offsets.get(tensor.name)!;
    const dtype = typeOf(tensor, sums);
    return tensor.parts.map(({ blend, key }): PlacedPart => {
      const { shape } = blend.ingredients[0]!.tensors.get(key)!;
      const placed = { blend, key, dtype, shape, begin, end: begin + tensorBytes(dtype, shape)! };
      begin = placed.end;
      return placed;
    });
  });
}

/** Yields a safetensors file piece by piece; each is valid until the next one is asked for. */
export async function* mergeSafetensors(
  gpu: Gpu,
  file: MergedFile,
  { stagingBytes = STAGING_BYTES, signal, onProgress }: MergeOptions = {},
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let done = 0;
  const advance = (bytes: Uint8Array): void => {
    throwIfAborted(signal);
    done += bytes.byteLength;
    onProgress?.(done, file.size);
  };
  yield file.header;
  advance(file.header);
  for (const run of runsOf(file.tensors.flatMap(({ parts }) => parts))) {
    if (run.isFloat) {
      const pieces = run.parts.flatMap(({ blend, key }) => cut(blend, key, file.sums, stagingBytes));
      for await (const { bytes } of averagePieces(gpu, pieces, { stagingBytes, signal })) {
        for (const some of bytes) {
          yield some;
          advance(some);
        }
      }
    } else {
      for (const { blend, key } of run.parts) {
        const bytes = await sameBytes(key, blend.ingredients);
        yield bytes;
        advance(bytes);
      }
    }
  }
}

type Part = OutputTensor['parts'][number];

/** Neighbours that are averaged, and neighbours that are copied. */
function runsOf(parts: readonly Part[]): { isFloat: boolean; parts: Part[] }[] {
  const runs: { isFloat: boolean; parts: Part[] }[] = [];
  for (const part of parts) {
    const kind = isFloat(part.blend.ingredients[0]!.tensors.get(part.key)!);
    if (runs.at(-1)?.isFloat === kind) runs.at(-1)!.parts.push(part);
    else runs.push({ isFloat: kind, parts: [part] });
  }
  return runs;
}

/** Elements `first` to `end` of a tensor in pieces that fit staging memory, an even number each, so that words are whole. */
export function cut(
  blend: Blend,
  key: string,
  sums: 0 | 1 | 2,
  stagingBytes: number,
  first = 0,
  end = Number.POSITIVE_INFINITY,
): Piece[] {
  const average = averageOf(blend, key);
  const elements = average.terms[0]!.info.shape.reduce((a, b) => a * b, 1);
  const perElement = average.terms.reduce((sum, { info }) => sum + stagedBytes(info), 0);
  const overhead = 16 * average.terms.length; // the table, and runs rounded up to words
  const most = Math.max(2, Math.floor((stagingBytes - overhead) / perElement / 2) * 2);
  const packed = sums === 0 && average.result !== 'F32';
  const pieces: Piece[] = [];
  for (let firstRow = first; firstRow < Math.min(end, elements); firstRow += most) {
    const rows = Math.min(most, end - firstRow, elements - firstRow);
    pieces.push({ average, firstRow, rows, allRows: elements, channels: 1, taps: 1, width: 0, packed, sums });
  }
  return pieces;
}
