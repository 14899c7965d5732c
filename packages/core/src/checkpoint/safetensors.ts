/**
 * Reads the header of a safetensors file, strictly, and never its tensors: https://github.com/huggingface/safetensors.
 * The verdict is the Rust reference reader's, but for the cases marked "stricter".
 */
import { CheckpointError, DiskError, SoupError } from '../errors.js';
import { DTYPES, type DType, isDType, tensorBytes } from './dtype.js';
import { JsonReader } from './json.js';
import { printable, printableShape } from './printable.js';
import { SNIFF_BYTES, sniff } from './sniff.js';
import { readBytes, type Source } from './source.js';
import { decodeUtf8 } from './utf8.js';
import type { TensorInfo, Weights } from './weights.js';

/** The file starts with the header's length in bytes, a little-endian u64. */
export const LENGTH_BYTES = 8;

/** The reference reader's cap; the largest header seen in the wild is below 1 MB. */
export const MAX_HEADER_BYTES = 100_000_000;

/**
 * The largest mixtures of experts list some 100,000 tensors, a Stable Diffusion model 2,000. Stricter: the reference
 * has no limit, and a header of 100 MB can name two million, which would take seconds and a gigabyte.
 */
const MAX_TENSORS = 2 ** 18;

/** White space and "{": what a header can begin with. */
const JSON_STARTS: readonly unknown[] = [0x20, 0x09, 0x0a, 0x0d, 0x7b];

const DAMAGED = 'The file is damaged or was written by a broken tool: get it again, or save it again.';

interface Place {
  readonly tensor?: string;
  readonly byte?: number;
  readonly advice?: string;
}

type Refuse = (what: string, place?: Place) => never;

/** A function that throws this file's CheckpointError. */
function refusalOf(source: Source): Refuse {
  const file = printable(source.name, 1000);
  return (what, { tensor, byte, advice = DAMAGED } = {}) => {
    const name = tensor === undefined ? undefined : printable(tensor);
    const where = byte === undefined ? '' : ` (at byte ${byte})`;
    throw new CheckpointError(`${file}: ${name === undefined ? '' : `tensor "${name}": `}${what}${where}. ${advice}`, {
      file,
      ...(name !== undefined && { tensor: name }),
      ...(byte !== undefined && { byte }),
    });
  };
}

/** Reads and checks the header. Memory is bounded by the header's size, whatever it says. */
export async function openSafetensors(source: Source): Promise<Weights> {
  const refuse: Refuse = refusalOf(source);
  const headerBytes = await readHeaderLength(source, refuse);
  const bytes = await readOrThrow(source, LENGTH_BYTES, headerBytes);
  const decoded = decodeUtf8(bytes);
  if ('invalidAt' in decoded) {
    refuse('the header is not UTF-8', { byte: LENGTH_BYTES + decoded.invalidAt });
  }
  const dataStart = LENGTH_BYTES + headerBytes;
  const { tensors, metadata } = parseHeader(decoded.text, source, dataStart, refuse);
  checkLayout(tensors, source.size, dataStart, refuse);
  return { name: source.name, tensors, metadata };
}

async function readHeaderLength(source: Source, refuse: Refuse): Promise<number> {
  if (source.size === 0) refuse('the file is empty', { byte: 0 });
  const start = await readOrThrow(source, 0, Math.min(source.size, LENGTH_BYTES + SNIFF_BYTES));
  const length = source.size < LENGTH_BYTES ? undefined : new DataView(start.buffer).getBigUint64(0, true);
  const isPossible = length !== undefined && length <= MAX_HEADER_BYTES;
  // What the file really is explains more than a length made of its first letters. Some zip archives make a fair one.
  const kind = isPossible && JSON_STARTS.includes(start[LENGTH_BYTES]) ? undefined : sniff(start);
  if (kind) refuse(`this is ${kind.is}; expected safetensors`, { byte: 0, advice: kind.advice });
  if (!isPossible) {
    if (length === undefined)
      refuse(`the file has ${source.size} bytes; expected a header length of 8 first`, { byte: 0 });
    refuse(`the header claims ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed`, { byte: 0 });
  }
  const headerBytes = Number(length);
  if (headerBytes > source.size - LENGTH_BYTES) {
    const advice = 'The file is incomplete: download or copy it again.';
    refuse(`the header claims ${headerBytes} bytes, but the file has ${source.size} in all`, { byte: 0, advice });
  }
  if (headerBytes === 0) refuse('the header is empty; expected "{"', { byte: LENGTH_BYTES });
  return headerBytes;
}

/** A file that shrinks while it is open, or a disk that fails, is no fault of the format. */
async function readOrThrow(source: Source, offset: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await readBytes(source, offset, length);
  } catch (cause) {
    if (cause instanceof SoupError) throw cause;
    const file = printable(source.name, 1000);
    throw new DiskError(
      `${file}: could not read ${length} bytes at byte ${offset} of ${source.size}: ` +
        `${printable(String(cause instanceof Error ? cause.message : cause))}. Was the file changed meanwhile?`,
      { file, byte: offset },
      { cause },
    );
  }
}

type Header = { tensors: Map<string, TensorInfo>; metadata: Record<string, string> };

function parseHeader(text: string, source: Source, dataStart: number, refuse: Refuse): Header {
  let tensor: string | undefined;
  const reader = new JsonReader(text, (what, byte) =>
    refuse(`in the header, ${what}`, { ...(tensor !== undefined && { tensor }), byte: LENGTH_BYTES + byte }),
  );
  const tensors = new Map<string, TensorInfo>();
  let metadata: Record<string, string> | undefined;
  const member = (name: string): void => {
    if (name === '__metadata__') {
      metadata = readMetadata(reader);
      return;
    }
    tensor = name;
    if (tensors.size === MAX_TENSORS) reader.fail(`more than ${MAX_TENSORS} tensors are listed`);
    tensors.set(name, readTensor(reader, name, source, dataStart));
    tensor = undefined;
  };
  // White space before and after is allowed, some writers pad to a page with it; a byte order mark is not.
  // Stricter: the reference keeps the last of two tensors with one name, so a scanner and a loader could disagree.
  reader.object(member, (name) => tensors.has(name) || (name === '__metadata__' && metadata !== undefined));
  reader.end();
  return { tensors, metadata: metadata ?? Object.create(null) };
}

/** Strings only; no prototype, so that a key `__proto__` or `toString` is what the file says or nothing. */
function readMetadata(reader: JsonReader): Record<string, string> {
  const metadata: Record<string, string> = Object.create(null);
  if (reader.word('null')) return metadata;
  reader.object((key) => {
    if (reader.peek() !== '"') {
      reader.fail(`"__metadata__" may hold only strings, but "${printable(key)}" is ${reader.found()}`);
    }
    metadata[key] = reader.string();
  });
  return metadata;
}

function readTensor(reader: JsonReader, name: string, source: Source, dataStart: number): TensorInfo {
  reader.peek();
  const entryAt = reader.index;
  let dtype: DType | undefined;
  let shape: number[] | undefined;
  const range: number[] = [];
  reader.object((key) => {
    if (key === 'dtype') dtype = readDType(reader);
    else if (key === 'shape') shape = readIntegers(reader);
    else if (key === 'data_offsets') range.push(...readRange(reader));
    // Unknown fields are skipped, as the reference does: a newer writer may add some, and no field that we do not
    // know can move the bytes that the three fields place.
    else reader.skip(1);
  });
  const [begin, end] = range;
  if (dtype === undefined) reader.fail('"dtype" is missing', entryAt);
  if (shape === undefined) reader.fail('"shape" is missing', entryAt);
  if (begin === undefined || end === undefined) reader.fail('"data_offsets" is missing', entryAt);
  if (end < begin) reader.fail(`"data_offsets" end at ${end}, before they begin at ${begin}`, entryAt);
  const wanted = tensorBytes(dtype, shape);
  if (wanted === undefined) {
    reader.fail(`shape ${printableShape(shape)} of ${dtype} is no countable whole number of bytes`, entryAt);
  }
  if (end - begin !== wanted) {
    const spanned = `"data_offsets" span ${end - begin} bytes`;
    reader.fail(`${spanned}, but shape ${printableShape(shape)} of ${dtype} needs ${wanted}`, entryAt);
  }
  return { name, dtype, shape, source, offset: dataStart + begin, byteLength: wanted };
}

function readDType(reader: JsonReader): DType {
  reader.peek();
  const at = reader.index;
  const dtype = reader.string();
  if (isDType(dtype)) return dtype;
  return reader.fail(`"dtype" is "${printable(dtype)}"; safetensors knows ${DTYPES.join(', ')}`, at);
}

function readIntegers(reader: JsonReader): number[] {
  const values: number[] = [];
  reader.array(() => values.push(reader.integer()));
  return values;
}

function readRange(reader: JsonReader): [begin: number, end: number] {
  reader.peek();
  const at = reader.index;
  const values = readIntegers(reader);
  const [begin, end] = values;
  if (begin !== undefined && end !== undefined && values.length === 2) return [begin, end];
  return reader.fail(`"data_offsets" has ${values.length} numbers; expected 2, begin and end`, at);
}

/** Every byte after the header belongs to exactly one tensor: no holes, no overlaps, nothing left over. */
function checkLayout(tensors: Map<string, TensorInfo>, size: number, dataStart: number, refuse: Refuse): void {
  let end = dataStart;
  for (const { name: tensor, offset, byteLength } of inFileOrder(tensors)) {
    if (offset > end) {
      refuse(`its bytes begin at ${offset}, but those before it end at ${end}: a hole`, { tensor, byte: end });
    }
    if (offset < end) {
      refuse(`its bytes begin at ${offset}, inside those of another that end at ${end}`, { tensor, byte: offset });
    }
    end = offset + byteLength;
    if (end > size) {
      const advice = 'The file is incomplete: download or copy it again.';
      refuse(`its bytes end at ${end}, but the file ends at ${size}`, { tensor, byte: size, advice });
    }
  }
  if (end !== size) {
    refuse(`the tensors end at byte ${end}, but the file has ${size - end} more that belong to none`, { byte: end });
  }
}

function inFileOrder(tensors: Map<string, TensorInfo>): readonly TensorInfo[] {
  const list = [...tensors.values()];
  const before = (a: TensorInfo, b: TensorInfo) => a.offset - b.offset || a.byteLength - b.byteLength;
  // Most writers keep the order already, and a flood of a million names is faster compared than sorted.
  return list.every((tensor, i) => i === 0 || before(list[i - 1]!, tensor) <= 0) ? list : list.sort(before);
}
