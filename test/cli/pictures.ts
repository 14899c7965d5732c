/** Small pictures for the tests of the command line. */
import { createRequire } from 'node:module';
import type { Picture } from '../../packages/cli/src/image/png.js';

/** sharp belongs to the command line's package, not to the tests'. */
const sharp = createRequire(new URL('../../packages/cli/package.json', import.meta.url))('sharp') as (
  bytes: Uint8Array,
) => { raw(): { toBuffer(options: { resolveWithObject: true }): Promise<Decoded> } };

interface Decoded {
  readonly data: Uint8Array;
  readonly info: { readonly width: number; readonly height: number };
}

export async function decode(png: Uint8Array): Promise<Picture> {
  const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: new Uint8Array(data) };
}

/** The same noise for the same size, with structure that filters can use. */
export function noise(width: number, height: number, channels: 3 | 4): Picture & { pixels: Uint8Array } {
  const pixels = Uint8Array.from({ length: width * height * channels }, (_, i) => i * 3 + ((i * 2654435761) >>> 28));
  return { width, height, pixels };
}

export function plain(width: number, height: number, ...colour: number[]): Picture & { pixels: Uint8Array } {
  return {
    width,
    height,
    pixels: Uint8Array.from({ length: width * height * colour.length }, (_, i) => colour[i % colour.length]),
  };
}
