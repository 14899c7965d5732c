/**
 * Writes the header of a safetensors file; the caller writes the tensors' bytes after it, in the order of `offsets`.
 */
import { CheckpointError } from '../errors.js';
import { DTYPES, type DType, tensorBytes } from './dtype.js';
import { printable, printableShape } from './printable.js';
import { LENGTH_BYTES, MAX_HEADER_BYTES } from './safetensors.js';

/** What the writer needs to know of a tensor. */
export interface TensorSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

export interface EncodedHeader {
  /** The length and the header: the first bytes of the file. */
  readonly header: Uint8Array<ArrayBuffer>;
  /** By name, in the order of the file: where each tensor's bytes begin, counted from the start of the file. */
  readonly offsets: ReadonlyMap<string, number>;
  /** Bytes of the whole file. */
  readonly size: number;
}

/**
 * The writer's half: byte for byte the header that the reference serializer writes for these tensors. They are
 * sorted by alignment, the largest first, then by name, so that every tensor is aligned to its element; the header
 * is padded with spaces to a multiple of 8.
 */
export function encodeSafetensorsHeader(
  tensors: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>> = {},
): EncodedHeader {
  const entries: string[] = [];
  if (Object.keys(metadata).length > 0) entries.push(`"__metadata__":${JSON.stringify(metadata)}`);
  const begins = new Map<string, number>();
  let end = 0;
  for (const { name, dtype, shape } of [...tensors].sort(byAlignmentThenName)) {
    const bytes = shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0) ? tensorBytes(dtype, shape) : undefined;
    if (bytes === undefined || begins.has(name) || name === '__metadata__' || /\p{Cs}/u.test(name)) {
      throw new CheckpointError(
        `Tensor "${printable(name)}" (${dtype} ${printableShape(shape)}) cannot be written: its name must be unique ` +
          'Unicode text other than "__metadata__", and its size a whole number of bytes.',
        { tensor: printable(name) },
      );
    }
    begins.set(name, end);
    const range = [end, end + bytes];
    entries.push(`${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: range })}`);
    end += bytes;
  }
  if (/\p{Cs}/u.test(Object.entries(metadata).flat().join())) {
    throw new CheckpointError('Metadata cannot be written: it holds half of a surrogate pair. Use Unicode text.');
  }
  const json = new TextEncoder().encode(`{${entries.join(',')}}`);
  const headerBytes = Math.ceil(json.length / 8) * 8;
  if (headerBytes > MAX_HEADER_BYTES) {
    throw new CheckpointError(
      `The header would have ${headerBytes} bytes, and no reader takes more than ${MAX_HEADER_BYTES}. ` +
        'Write shorter metadata or fewer tensors.',
      { headerBytes },
    );
  }
  const header = new Uint8Array(LENGTH_BYTES + headerBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(headerBytes), true);
  header.set(json, LENGTH_BYTES);
  const offsets = new Map([...begins].map(([name, begin]) => [name, header.length + begin]));
  return { header, offsets, size: header.length + end };
}

const ALIGNMENT_RANK = new Map(DTYPES.map((dtype, rank) => [dtype, rank]));

function byAlignmentThenName(a: TensorSpec, b: TensorSpec): number {
  return ALIGNMENT_RANK.get(b.dtype)! - ALIGNMENT_RANK.get(a.dtype)! || compareUtf8(a.name, b.name);
}

/** Rust orders strings by their UTF-8 bytes, that is by code point; JavaScript by UTF-16 unit, where 😀 < U+FFFD. */
function compareUtf8(a: string, b: string): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) {
    if (a.charCodeAt(i) !== b.charCodeAt(i)) return rank(a.charCodeAt(i)) - rank(b.charCodeAt(i));
  }
  return a.length - b.length;
}

/** Moves surrogates (astral characters) above all other units. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
