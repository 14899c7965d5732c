/**
 * The texts of pictures that are no PNG, as EXIF (CIPA DC-008): A1111's `parameters` in UserComment, where its own JPEG and
 * WebP have them, and ours in MakerNote. sharp writes ASCII alone into UserComment, so the block is laid out here.
 */
import { CheckpointError } from '@diffusion-soup/core';
import { EXIF_IFD, MAKER_NOTE, NOTE, type Texts, UNICODE, USER_COMMENT } from '../image/exif-texts.js';

/** A segment of JPEG counts its bytes in 16 bits. */
const LONGEST_SEGMENT = 65_533;

/** A TIFF of big-endian numbers with one entry, which leads to the two texts. */
function exifBlock({ parameters = '', diffusion_soup: ours = '' }: Texts): Buffer {
  const comment = Buffer.concat([UNICODE, Buffer.from(parameters, 'utf16le').swap16()]);
  const note = Buffer.concat([NOTE, Buffer.from(ours, 'utf8')]);
  const [first, second] = [8, 8 + 2 + 12 + 4];
  const data = second + 2 + 2 * 12 + 4;
  const head = Buffer.alloc(data);
  head.write('MM', 'latin1');
  head.writeUInt16BE(42, 2);
  head.writeUInt32BE(first, 4);
  const entry = (at: number, tag: number, type: number, count: number, value: number) => {
    head.writeUInt16BE(tag, at);
    head.writeUInt16BE(type, at + 2);
    head.writeUInt32BE(count, at + 4);
    head.writeUInt32BE(value, at + 8);
  };
  head.writeUInt16BE(1, first);
  entry(first + 2, EXIF_IFD, 4, 1, second);
  head.writeUInt16BE(2, second);
  entry(second + 2, MAKER_NOTE, 7, note.length, data);
  entry(second + 14, USER_COMMENT, 7, comment.length, data + note.length);
  return Buffer.concat([head, note, comment]);
}

/** A JPEG, as an encoder wrote it, with the texts right after its start. */
export function jpegWithTexts(jpeg: Buffer, texts: Texts): Buffer {
  const payload = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), exifBlock(texts)]);
  if (payload.length > LONGEST_SEGMENT) {
    throw new CheckpointError(`the texts of a JPEG have ${payload.length} bytes; it has room for ${LONGEST_SEGMENT}`);
  }
  const marker = Buffer.from([0xff, 0xe1, 0, 0]);
  marker.writeUInt16BE(payload.length + 2, 2);
  return Buffer.concat([jpeg.subarray(0, 2), marker, payload, jpeg.subarray(2)]);
}

/** A WebP of one chunk, as an encoder writes it without metadata, in the extended form that may have texts. */
export function webpWithTexts(webp: Buffer, width: number, height: number, texts: Texts): Buffer {
  const chunk = (name: string, data: Buffer): Buffer => {
    const head = Buffer.alloc(8);
    head.write(name, 'latin1');
    head.writeUInt32LE(data.length, 4);
    return Buffer.concat([head, data, Buffer.alloc(data.length % 2)]);
  };
  const extended = Buffer.alloc(10);
  extended[0] = 0x08; // there is EXIF
  extended.writeUIntLE(width - 1, 4, 3);
  extended.writeUIntLE(height - 1, 7, 3);
  const body = Buffer.concat([
    Buffer.from('WEBP', 'latin1'),
    chunk('VP8X', extended),
    webp.subarray(12),
    chunk('EXIF', exifBlock(texts)),
  ]);
  return Buffer.concat([chunk('RIFF', body).subarray(0, 8), body]);
}
