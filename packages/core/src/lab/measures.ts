/** How far apart latents, predictions and pictures are. */
import { UsageError } from '../errors.js';
import type { Image } from '../image/image.js';

type Numbers = ArrayLike<number>;

/** ‖x - y‖², or ‖x‖². */
export function squared(x: Numbers, y?: Numbers): number {
  if (y && x.length !== y.length) throw new UsageError(`${x.length} numbers cannot be compared with ${y.length}`);
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i]! - (y ? y[i]! : 0)) ** 2;
  return sum;
}

/** ‖x - reference‖ / ‖reference‖. */
export const relativeL2 = (x: Numbers, reference: Numbers): number =>
  Math.sqrt(squared(x, reference) / squared(reference));

/** The root of the mean squared difference. */
export const rms = (x: Numbers, y: Numbers): number => Math.sqrt(squared(x, y) / x.length);

/** 1 where they point the same way. */
export function cosine(x: Numbers, y: Numbers): number {
  let product = 0;
  for (let i = 0; i < x.length; i++) product += x[i]! * y[i]!;
  return product / Math.sqrt(squared(x) * squared(y));
}

/** Mean absolute difference of the colours, in steps of 8 bits: 0..255. Transparency is not looked at. */
export function pixelDistance(a: Image, b: Image): number {
  if (a.width !== b.width || a.height !== b.height) {
    throw new UsageError(`pictures of ${a.width} x ${a.height} and ${b.width} x ${b.height} cannot be compared`);
  }
  let sum = 0;
  for (let i = 0; i < a.pixels.length; i++) if (i % 4 !== 3) sum += Math.abs(a.pixels[i]! - b.pixels[i]!);
  return sum / (a.width * a.height * 3);
}
