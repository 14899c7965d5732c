/** The picture that img2img starts from: any format that sharp reads, scaled to what is drawn. */
import { CheckpointError, type Image, readBytes } from '@diffusion-soup/core';
import { fileSource } from './files.js';
import type { Size } from './flags.js';
import { printable } from './text.js';

const LARGEST_FILE = 256 * 2 ** 20;
const MOST_PIXELS = 16384 * 16384; // of the longest side that can be drawn

export async function readStartPicture(path: string, size: Size): Promise<Image> {
  const source = await fileSource(path);
  try {
    if (source.size > LARGEST_FILE) {
      throw new CheckpointError(
        `${printable(path)} has ${source.size} bytes; expected a picture of at most ${LARGEST_FILE}.`,
        {
          file: path,
        },
      );
    }
    const bytes = await readBytes(source, 0, source.size);
    const { default: sharp } = await import('sharp');
    const { data } = await sharp(bytes, { limitInputPixels: MOST_PIXELS, failOn: 'error' })
      .autoOrient()
      .resize(size.width, size.height, { fit: 'cover' })
      .toColourspace('srgb')
      .ensureAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true })
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : String(error);
        throw new CheckpointError(`${printable(path)} cannot be read as a picture: ${printable(reason)}.`, {
          file: path,
        });
      });
    return { ...size, pixels: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
  } finally {
    await source.close?.();
  }
}
