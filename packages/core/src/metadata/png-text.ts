/** The texts of a PNG, by which programs say how a picture was made. Pixels are not read: a picture may be of any size. */
import { printable } from '../checkpoint/printable.js';
import { readBytes, type Source } from '../checkpoint/source.js';
import { CheckpointError } from '../errors.js';

export interface PngText {
  readonly width: number;
  readonly height: number;
  /** By keyword; the first wins where a keyword repeats. */
  readonly texts: ReadonlyMap<string, string>;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** Far above any real prompt or workflow, far below what could hurt: all texts of one file together, unpacked. */
const MOST_TEXT = 16 * 1024 * 1024;
const MOST_CHUNKS = 100_000;
const TEXT_CHUNKS = ['tEXt', 'zTXt', 'iTXt'];

type Refuse = (what: string, byte: number, cause?: unknown) => never;

/** Throws a CheckpointError for a file that is damaged, or is no PNG. */
export async function readPngText(source: Source): Promise<PngText> {
  const name = printable(source.name, 1000);
  const refuse: Refuse = (what, byte, cause) => {
    throw new CheckpointError(`${name}: ${what} (at byte ${byte})`, { file: name, byte }, { cause });
  };
  const start = await readBytes(source, 0, Math.min(source.size, SIGNATURE.length));
  if (!SIGNATURE.every((byte, i) => start[i] === byte)) refuse('this is not a PNG', 0);

  const texts = new Map<string, string>();
  let [width, height] = [0, 0];
  let budget = MOST_TEXT;
  let at = SIGNATURE.length;
  for (let count = 0; ; count++) {
    if (count > MOST_CHUNKS) refuse(`more than ${MOST_CHUNKS} chunks`, at);
    if (at + 12 > source.size) refuse('the PNG ends before its IEND: was the copy or download cut short?', at);
    const { type, length } = await chunkAt(source, at, refuse);
    if (count === 0 && (type !== 'IHDR' || length !== 13)) refuse('the first chunk is not a PNG header', at);
    if (type === 'IEND') return { width, height, texts };
    if (type === 'IHDR' || TEXT_CHUNKS.includes(type)) {
      if (length > MOST_TEXT) refuse(`a ${type} chunk of ${length} bytes; at most ${MOST_TEXT} are read`, at);
      const data = await checkedData(source, at, length, type, refuse);
      if (type === 'IHDR') [width, height] = sizeOf(data, at, refuse);
      else {
        const [keyword, text] = await textOf(type, data, budget, (what, cause) => refuse(what, at, cause));
        budget -= text.length;
        if (budget < 0) refuse(`more than ${MOST_TEXT} bytes of text`, at);
        if (!texts.has(keyword)) texts.set(keyword, text);
      }
    }
    at += 12 + length;
  }
}

const viewOf = ({ buffer, byteOffset, byteLength }: Uint8Array) => new DataView(buffer, byteOffset, byteLength);
const latin1 = (bytes: Uint8Array): string => {
  let text = '';
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return text;
};

async function chunkAt(source: Source, at: number, refuse: Refuse): Promise<{ type: string; length: number }> {
  const head = await readBytes(source, at, 8);
  const length = viewOf(head).getUint32(0);
  const type = latin1(head.subarray(4));
  if (!/^[A-Za-z]{4}$/.test(type)) refuse('a chunk has no valid type', at);
  const left = source.size - at - 12;
  if (length > left) refuse(`a ${type} chunk claims ${length} bytes, but only ${left} are left: was it cut short?`, at);
  return { type, length };
}

async function checkedData(source: Source, at: number, length: number, type: string, refuse: Refuse) {
  const bytes = await readBytes(source, at + 4, length + 8);
  if (crc32(bytes.subarray(0, length + 4)) !== viewOf(bytes).getUint32(length + 4)) {
    refuse(`the ${type} chunk is damaged: its checksum does not match`, at);
  }
  return bytes.subarray(4, length + 4);
}

function sizeOf(header: Uint8Array, at: number, refuse: Refuse): [width: number, height: number] {
  const view = viewOf(header);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (width === 0 || height === 0) refuse(`a picture of ${width} x ${height} pixels`, at);
  return [width, height];
}

/** Keyword and text of one chunk. */
async function textOf(
  type: string,
  data: Uint8Array<ArrayBuffer>,
  most: number,
  refuse: (what: string, cause?: unknown) => never,
): Promise<[keyword: string, text: string]> {
  const malformed = () => refuse(`a ${type} chunk is malformed`);
  const unpack = (packed: Uint8Array<ArrayBuffer>) =>
    inflate(packed, most).catch((cause: unknown) =>
      refuse(`the text of a ${type} chunk cannot be unpacked within ${MOST_TEXT} bytes`, cause),
    );
  const end = data.indexOf(0);
  if (end < 1 || end > 79) malformed();
  const keyword = latin1(data.subarray(0, end));
  let rest = data.subarray(end + 1);
  if (type === 'tEXt') return [keyword, latin1(rest)];
  if (type === 'zTXt') return rest[0] === 0 ? [keyword, latin1(await unpack(rest.subarray(1)))] : malformed();

  const compressed = rest[0]!;
  if (rest.length < 4 || compressed > 1 || (compressed === 1 && rest[1] !== 0)) malformed();
  rest = rest.subarray(2);
  // The language and the translated keyword, each with its zero.
  for (let skipped = 0; skipped < 2; skipped++) {
    const zero = rest.indexOf(0);
    if (zero < 0) malformed();
    rest = rest.subarray(zero + 1);
  }
  return [keyword, new TextDecoder().decode(compressed === 1 ? await unpack(rest) : rest)];
}

/** zlib's format, unpacked piece by piece, so that a bomb is left alone once it has passed `most` bytes. */
async function inflate(packed: Uint8Array<ArrayBuffer>, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = new Blob([packed]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      throw new RangeError(`more than ${most} bytes`);
    }
    pieces.push(value);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

/** As ISO 3309 has it, which PNG takes over. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}
