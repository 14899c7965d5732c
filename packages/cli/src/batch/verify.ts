/** Whether bytes are a whole picture, and which: only what is verified is never drawn again. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { bytesSource, readPngText } from '@diffusion-soup/core';
import { readExifTexts, type Texts } from '../image/exif-texts.js';
import type { Format } from './names.js';

export const sha256Bytes = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

export interface Marks {
  readonly id?: string;
  readonly address?: string;
}

/** Every chunk whole and its sum right, up to the end, and nothing after it. */
export function isWholePng(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length < 45 || view.getUint32(0) !== 0x89504e47 || view.getUint32(4) !== 0x0d0a1a0a) return false;
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const end = at + 12 + length;
    if (end > bytes.length || crc32(bytes.subarray(at + 4, end - 4)) !== view.getUint32(end - 4)) return false;
    if (view.getUint32(at + 4) === 0x49454e44) return end === bytes.length; // IEND
    at = end;
  }
  return false;
}

/** What a whole picture says that it is; undefined when it is damaged or says nothing. */
export async function marksOf(bytes: Uint8Array, format: Format): Promise<Marks | undefined> {
  const texts = await textsOf(bytes, format).catch(() => undefined);
  if (texts?.diffusion_soup === undefined) return undefined;
  try {
    const { id, address } = JSON.parse(texts.diffusion_soup) as Record<string, unknown>;
    return { ...(typeof id === 'string' && { id }), ...(typeof address === 'string' && { address }) };
  } catch {
    return undefined;
  }
}

async function textsOf(bytes: Uint8Array, format: Format): Promise<Texts | undefined> {
  if (format === 'png')
    return isWholePng(bytes)
      ? Object.fromEntries((await readPngText(bytesSource(bytes, 'a picture'))).texts)
      : undefined;
  const { default: sharp } = await import('sharp');
  const picture = sharp(bytes, { failOn: 'warning' });
  await picture.clone().raw().toBuffer(); // decodes all of it
  const { exif } = await picture.metadata();
  return exif && readExifTexts(exif);
}
