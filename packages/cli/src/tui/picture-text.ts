/** Pictures as lines of text, each made once for each size. */

import { type PictureMode, terminalPicture } from '../image/terminal-picture.js';
import { opaque } from '../picture-file.js';
import type { Drawn } from './engine/protocol.js';
import type { Area } from './layout.js';

/** Drawn by the terminal itself, over the cells that the text leaves empty. */
export const isGraphic = (mode: PictureMode): boolean => mode === 'kitty' || mode === 'iterm2' || mode === 'sixel';

const known = new WeakMap<Drawn, Map<string, readonly string[]>>();

export function pictureLines(picture: Drawn, { columns, rows }: Area, mode: PictureMode): readonly string[] {
  if (isGraphic(mode)) return [];
  let sizes = known.get(picture);
  if (!sizes) {
    sizes = new Map();
    known.set(picture, sizes);
  }
  const size = `${columns}x${rows} ${mode}`;
  let lines = sizes.get(size);
  if (!lines) {
    lines = terminalPicture(opaque(picture.image), { columns, rows, mode }).split('\n');
    sizes.set(size, lines);
  }
  return lines;
}
