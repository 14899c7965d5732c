/**
 * The texts of pictures that are no PNG, from their EXIF block (CIPA DC-008, a TIFF): A1111's `parameters` in UserComment,
 * ours in MakerNote, and ComfyUI's graphs, which its WebPs have as "prompt:{...}" in the tags for camera makers.
 */
export type Texts = Readonly<Record<string, string>>;

export const EXIF_IFD = 0x8769;
export const MAKER_NOTE = 0x927c;
export const USER_COMMENT = 0x9286;
export const UNICODE = Buffer.from('UNICODE\0', 'latin1');
export const NOTE = Buffer.from('diffusion_soup\0', 'latin1');

const ASCII_TYPE = 2;
const MOST_ENTRIES = 256;

interface Entry {
  readonly tag: number;
  readonly type: number;
  /** The bytes of a text; of anything else not to be used. */
  readonly data: Buffer;
  /** A number that lies in the entry itself. */
  readonly value: number;
}

/** Of a block as sharp hands it over, from "Exif" on or without; nothing where it is malformed. */
export function readExifTexts(block: Uint8Array): Texts {
  let bytes = Buffer.from(block.buffer, block.byteOffset, block.byteLength);
  if (bytes.subarray(0, 6).toString('latin1') === 'Exif\0\0') bytes = bytes.subarray(6);
  try {
    return textsOf(bytes);
  } catch (error) {
    if (error instanceof RangeError) return {}; // an offset that leads out of it
    throw error;
  }
}

function textsOf(bytes: Buffer): Texts {
  const order = bytes.subarray(0, 2).toString('latin1');
  if (order !== 'MM' && order !== 'II') return {};
  const isBig = order === 'MM';
  const u16 = (at: number) => (isBig ? bytes.readUInt16BE(at) : bytes.readUInt16LE(at));
  const u32 = (at: number) => (isBig ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at));
  const entries = (directory: number): Entry[] =>
    Array.from({ length: Math.min(MOST_ENTRIES, u16(directory)) }, (_, i) => {
      const at = directory + 2 + 12 * i;
      const [count, value] = [u32(at + 4), u32(at + 8)];
      const from = count <= 4 ? at + 8 : value;
      return { tag: u16(at), type: u16(at + 2), data: bytes.subarray(from, from + count), value };
    });
  const texts: Record<string, string> = {};
  const first = entries(u32(4));
  for (const { type, data } of first) {
    const [, keyword, text] =
      (type === ASCII_TYPE && /^(prompt|workflow):(.*)$/is.exec(data.toString('utf8').replace(/\0+$/, ''))) || [];
    if (keyword !== undefined) texts[keyword.toLowerCase()] ??= text!;
  }
  const exif = first.find(({ tag }) => tag === EXIF_IFD);
  for (const { tag, data } of exif ? entries(exif.value) : []) {
    if (tag === MAKER_NOTE && data.subarray(0, NOTE.length).equals(NOTE)) {
      texts.diffusion_soup = data.subarray(NOTE.length).toString('utf8');
    }
    if (tag !== USER_COMMENT) continue;
    const comment = commentOf(data, isBig);
    // Cameras and people comment, too.
    if (comment !== '') texts[/\bSteps: *\d/.test(comment) ? 'parameters' : 'UserComment'] = comment;
  }
  return texts;
}

/** A comment begins with 8 bytes that name its encoding. */
function commentOf(data: Buffer, isBig: boolean): string {
  const text = data.subarray(8);
  if (!data.subarray(0, 8).equals(UNICODE)) return text.toString('utf8').replace(/\0+$/, '');
  const even = text.subarray(0, text.length & ~1);
  return isBigEndian(even, isBig) ? Buffer.from(even).swap16().toString('utf16le') : even.toString('utf16le');
}

/** Programs disagree whether UTF-16 follows the block's order; in most scripts the upper bytes are the ones that repeat. */
function isBigEndian(text: Buffer, isBlockBig: boolean): boolean {
  let zeros = 0;
  for (let i = 0; i < text.length; i += 2) zeros += Number(text[i] === 0) - Number(text[i + 1] === 0);
  return zeros === 0 ? isBlockBig : zeros > 0;
}
