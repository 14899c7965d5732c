/**
 * Scaling as Pillow does it (src/libImaging/Resample.c): a filter that widens with the reduction, first along rows, then
 * along columns, in fixed point with 22 bits and rounded to bytes after each. The same bytes as Pillow's, so that what a
 * network sees is what it saw in training; sharp and the browser's canvas each have another filter.
 */
import { UsageError } from '../errors.js';
import type { Image } from './image.js';

export type ResizeFilter = 'bicubic' | 'bilinear';

/** Keys' cubic with a = -1/2, and the triangle. */
const FILTERS: Readonly<Record<ResizeFilter, { support: number; at: (x: number) => number }>> = {
  bicubic: {
    support: 2,
    at(x) {
      const d = Math.abs(x);
      if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
      return d < 2 ? ((d - 5) * d + 8) * d * -0.5 + 2 : 0;
    },
  },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
};

const FIXED = 2 ** 22;

/** Which pixels of a row of `from` make each of `to`, and how much of each, times 2^22. */
function coefficients(from: number, to: number, { support, at }: (typeof FILTERS)[ResizeFilter]) {
  const scale = from / to;
  const widened = Math.max(1, scale);
  const reach = support * widened;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - reach + 0.5));
    const end = Math.min(from, Math.trunc(center + reach + 0.5));
    const weights = Array.from({ length: end - first }, (_, k) => at((k + first - center + 0.5) / widened));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    // Halves away from zero, as a cast in C truncates.
    const fixed = weights.map((weight) => {
      const scaled = (weight / total) * FIXED;
      return Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
    return { first, fixed };
  });
}

/** Scales to width x height pixels, each channel by itself. */
export function resize(image: Image, width: number, height: number, filter: ResizeFilter = 'bicubic'): Image {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new UsageError(`a picture cannot be scaled to ${width} x ${height} pixels`);
  }
  const across = width === image.width ? image : { ...image, width, pixels: pass(image, width, filter) };
  if (height === image.height) return across;
  const turned = transpose(across);
  return transpose({ ...turned, width: height, pixels: pass(turned, height, filter) });
}

function pass({ width: from, height, pixels }: Image, to: number, filter: ResizeFilter): Uint8Array {
  const table = coefficients(from, to, FILTERS[filter]);
  const y = new Uint8Array(to * height * 4);
  for (let row = 0; row < height; row++) {
    for (const [i, { first, fixed }] of table.entries()) {
      for (let c = 0; c < 4; c++) {
        let sum = FIXED / 2;
        for (const [k, weight] of fixed.entries()) sum += pixels[(row * from + first + k) * 4 + c]! * weight;
        y[(row * to + i) * 4 + c] = Math.min(255, Math.max(0, Math.floor(sum / FIXED)));
      }
    }
  }
  return y;
}

function transpose({ width, height, pixels }: Image): Image {
  const y = new Uint8Array(pixels.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const at = (row * width + column) * 4;
      y.set(pixels.subarray(at, at + 4), (column * height + row) * 4);
    }
  }
  return { width: height, height: width, pixels: y };
}
