/**
 * PNG: pixels to bytes with text. Reading text back is metadata/png-text.ts.
 *
 * The encoder is ours because no library writes `iTXt` before the pixels, where every reader looks, and the same in Node and
 * in browsers. Compression is handed in: both have their own.
 */

/** Rows from the top, RGB or RGBA, 8 bits each. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array | Uint8ClampedArray;
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const COLOUR_TYPE = { 3: 2, 4: 6 } as const;

/** How many bytes one pixel has: 3 for RGB, 4 for RGBA. */
export function channelsOf({ width, height, pixels }: Picture): 3 | 4 {
  const channels = pixels.length / (width * height);
  if (width < 1 || height < 1 || (channels !== 3 && channels !== 4)) {
    throw new RangeError(`${pixels.length} bytes are not ${width} x ${height} pixels of RGB or RGBA`);
  }
  return channels;
}

/** A picture before compression: what `zlib` (RFC 1950) makes of `rows` goes into `assemblePng`. */
export interface PngRows {
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
  readonly rows: Uint8Array<ArrayBuffer>;
}

/** The rows, each behind the number of its filter. An alpha channel that says nothing is left out. */
export function pngRows(original: Picture): PngRows {
  const picture = withoutOpaqueAlpha(original);
  const { width, height } = picture;
  const channels = channelsOf(picture);
  return { width, height, channels, rows: filterRows(picture, channels) };
}

/** A PNG with `text` (keyword to value) right after its header. */
export function assemblePng(
  { width, height, channels }: PngRows,
  compressed: Uint8Array,
  text: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, COLOUR_TYPE[channels], 0, 0, 0], 8);
  return concat([
    SIGNATURE,
    chunk('IHDR', header),
    ...Object.entries(text).map(([keyword, value]) => textChunk(keyword, value)),
    chunk('IDAT', compressed),
    chunk('IEND', new Uint8Array(0)),
  ]);
}

function withoutOpaqueAlpha(picture: Picture): Picture {
  const { width, height, pixels } = picture;
  if (channelsOf(picture) === 3) return picture;
  for (let i = 3; i < pixels.length; i += 4) if (pixels[i] !== 255) return picture;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, j = 0; i < rgb.length; i += 3, j += 4) {
    rgb[i] = pixels[j]!;
    rgb[i + 1] = pixels[j + 1]!;
    rgb[i + 2] = pixels[j + 2]!;
  }
  return { width, height, pixels: rgb };
}

/** Every row under the filter that makes it smallest, judged as libpng does: by the sum of absolute differences. */
function filterRows({ width, height, pixels }: Picture, channels: number): Uint8Array<ArrayBuffer> {
  const stride = width * channels;
  const out = new Uint8Array((stride + 1) * height);
  const candidates = Array.from({ length: 5 }, () => new Uint8Array(stride));
  const zeros = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const row = pixels.subarray(y * stride, (y + 1) * stride);
    const above = y === 0 ? zeros : pixels.subarray((y - 1) * stride, y * stride);
    const [none, sub, up, average, paeth] = candidates as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    for (let i = 0; i < stride; i++) {
      const a = i < channels ? 0 : row[i - channels]!;
      const b = above[i]!;
      const c = i < channels ? 0 : above[i - channels]!;
      none[i] = row[i]!;
      sub[i] = row[i]! - a;
      up[i] = row[i]! - b;
      average[i] = row[i]! - ((a + b) >> 1);
      paeth[i] = row[i]! - paethPredictor(a, b, c);
    }
    let best = 0;
    let bestCost = Number.POSITIVE_INFINITY;
    candidates.forEach((candidate, filter) => {
      let cost = 0;
      for (let i = 0; i < stride; i++) cost += Math.min(candidate[i]!, 256 - candidate[i]!);
      if (cost < bestCost) [best, bestCost] = [filter, cost];
    });
    out[y * (stride + 1)] = best;
    out.set(candidates[best]!, y * (stride + 1) + 1);
  }
  return out;
}

function paethPredictor(a: number, b: number, c: number): number {
  const toA = Math.abs(b - c);
  const toB = Math.abs(a - c);
  const toC = Math.abs(a + b - 2 * c);
  if (toA <= toB && toA <= toC) return a;
  return toB <= toC ? b : c;
}

/** `tEXt` where Latin-1 is enough, because more readers know it; else `iTXt`, in UTF-8. */
function textChunk(keyword: string, value: string): Uint8Array {
  if (!/^(?! )[\x20-\x7e\xa1-\xff]{1,79}(?<! )$/.test(keyword) || keyword.includes('  ')) {
    throw new RangeError(`${JSON.stringify(keyword)} is not a PNG keyword: 1 to 79 Latin-1 characters`);
  }
  const text = value.replaceAll('\0', '').replace(/\r\n?/g, '\n');
  const start = latin1(`${keyword}\0`);
  if (/^[\n\x20-\x7e\xa0-\xff]*$/.test(text)) return chunk('tEXt', concat([start, latin1(text)]));
  // Not compressed (two zeros), no language, no translated keyword.
  return chunk('iTXt', concat([start, Uint8Array.of(0, 0, 0, 0), new TextEncoder().encode(text)]));
}

function chunk(type: string, data: Uint8Array): Uint8Array {
  const out = new Uint8Array(12 + data.length);
  const view = new DataView(out.buffer);
  view.setUint32(0, data.length);
  out.set(latin1(type), 4);
  out.set(data, 8);
  view.setUint32(8 + data.length, crc32(out.subarray(4, 8 + data.length)));
  return out;
}

/** Characters up to U+00FF. */
const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** CRC-32 of ISO 3309, by which each chunk is checked. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
  return c;
});
