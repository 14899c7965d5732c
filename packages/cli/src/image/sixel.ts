/**
 * A picture in DEC's Sixel format (VT340 programmer reference, chapter 14): bands of six rows, one pass over each for
 * every colour in it. Colours are an even cube; what is lost by rounding is passed on to the pixels around it (Floyd
 * and Steinberg 1976).
 */
import { channelsOf, type Picture } from './png.js';

/** Levels of red, green and blue: 252 colours, of the 256 that terminals have at least. */
const LEVELS = [6, 7, 6] as const;

export function sixel(picture: Picture): string {
  const { width, height } = picture;
  const indices = dithered(picture);
  const parts = [`\x1bP0;1;0q"1;1;${width};${height}`];
  for (const index of new Set(indices)) parts.push(`#${index};2;${percents(index).join(';')}`);
  for (let top = 0; top < height; top += 6) {
    const band = indices.subarray(top * width, Math.min(height, top + 6) * width);
    const passes = [...new Set(band)].map((index) => `#${index}${pass(band, width, index)}`);
    parts.push(`${passes.join('$')}-`);
  }
  return `${parts.join('')}\x1b\\`;
}

/** One colour of a band: a character for each column, its bits from the top; runs are counted. */
function pass(band: Uint8Array, width: number, index: number): string {
  let text = '';
  let last = '';
  let count = 0;
  const flush = () => {
    text += count > 3 ? `!${count}${last}` : last.repeat(count);
    count = 0;
  };
  for (let x = 0; x < width; x++) {
    let bits = 0;
    for (let y = 0; y * width < band.length; y++) if (band[y * width + x] === index) bits |= 1 << y;
    const now = String.fromCharCode(63 + bits);
    if (now !== last) flush();
    last = now;
    count++;
  }
  flush();
  return text;
}

function dithered(picture: Picture): Uint8Array {
  const { width, height, pixels } = picture;
  const channels = channelsOf(picture);
  const indices = new Uint8Array(width * height);
  const errors = [0, 1, 2].map(() => new Float32Array((width + 2) * (height + 1)));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = y * (width + 2) + x + 1;
      let index = 0;
      for (let c = 0; c < 3; c++) {
        const most = LEVELS[c] - 1;
        const wanted = pixels[(y * width + x) * channels + c] + errors[c][at];
        const level = Math.min(most, Math.max(0, Math.round((wanted / 255) * most)));
        const error = Math.min(255, Math.max(0, wanted)) - (level / most) * 255;
        errors[c][at + 1] += (error * 7) / 16;
        errors[c][at + width + 1] += (error * 3) / 16;
        errors[c][at + width + 2] += (error * 5) / 16;
        errors[c][at + width + 3] += error / 16;
        index = index * LEVELS[c] + level;
      }
      indices[y * width + x] = index;
    }
  }
  return indices;
}

function percents(index: number): number[] {
  const [, greens, blues] = LEVELS;
  const levels = [Math.floor(index / (greens * blues)), Math.floor(index / blues) % greens, index % blues];
  return levels.map((level, c) => Math.round((100 * level) / (LEVELS[c] - 1)));
}
