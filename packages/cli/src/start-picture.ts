/** The picture that img2img starts from: any format that sharp reads, scaled to what is drawn. */
import { createHash } from 'node:crypto';
import { CheckpointError, type Image, readBytes } from '@diffusion-soup/core';
import { fileSource } from './files.js';
import type { Size } from './flags.js';
import { printable } from './text.js';

const LARGEST_FILE = 256 * 2 ** 20;
const MOST_PIXELS = 16384 * 16384; // of the longest side that can be drawn

/** `sha256` is what the file was when the picture was asked for: another must not take its place. */
export async function readStartPicture(path: string, { width, height }: Size, sha256?: string): Promise<Image> {
  const bytes = await fileBytes(path);
  if (sha256 !== undefined && hashOf(bytes) !== sha256) {
    throw new CheckpointError(`${printable(path)} was changed while it was waited for; ask again.`, { file: path });
  }
  const picture = (await opened(bytes))
    .autoOrient()
    .resize(width, height, { fit: 'cover' })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw();
  const { data } = await readable(path, picture.toBuffer({ resolveWithObject: true }));
  return { width, height, pixels: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/** The SHA-256 of a file whose header is one of a picture; its pixels are not looked at. */
export async function startPictureHash(path: string): Promise<string> {
  const bytes = await fileBytes(path);
  await readable(path, (await opened(bytes)).metadata());
  return hashOf(bytes);
}

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function opened(bytes: Uint8Array) {
  const { default: sharp } = await import('sharp');
  return sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn: 'error' });
}

const readable = <T>(path: string, work: Promise<T>): Promise<T> =>
  work.catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CheckpointError(`${printable(path)} cannot be read as a picture: ${printable(reason)}.`, { file: path });
  });

async function fileBytes(path: string): Promise<Uint8Array> {
  const source = await fileSource(path);
  try {
    if (source.size <= LARGEST_FILE) return await readBytes(source, 0, source.size);
    throw new CheckpointError(
      `${printable(path)} has ${source.size} bytes; expected a picture of at most ${LARGEST_FILE}.`,
      { file: path },
    );
  } finally {
    await source.close?.();
  }
}
