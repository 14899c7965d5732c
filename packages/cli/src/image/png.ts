/** PNG by Node's zlib. */
import { constants, deflateSync } from 'node:zlib';
import { assemblePng, channelsOf, type Picture, pngRows } from '@diffusion-soup/core';

export { channelsOf, type Picture };

/** A PNG with `text` (keyword to value) right after its header. An alpha channel that says nothing is left out. */
export function encodePng(picture: Picture, text: Readonly<Record<string, string>> = {}): Uint8Array {
  const rows = pngRows(picture);
  return assemblePng(rows, deflateSync(rows.rows, { level: 7, strategy: constants.Z_FILTERED }), text);
}
