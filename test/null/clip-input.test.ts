/** What is done to a picture before CLIP sees it. Pillow's own bytes are compared in gpu/clip.test.ts. */
import { clipInput, type Image, parseClipPreprocessing, resize } from '@diffusion-soup/core';
import { describe, expect, test } from 'vitest';

const picture = (width: number, height: number, byteAt: (x: number, y: number, c: number) => number): Image => ({
  ...{ width, height },
  pixels: Uint8Array.from({ length: width * height * 4 }, (_, i) =>
    i % 4 === 3 ? 255 : byteAt((i >> 2) % width, Math.floor((i >> 2) / width), i % 4),
  ),
});
const redAt = ({ pixels, width }: Image, x: number, y: number) => pixels[(y * width + x) * 4]!;
const noisy = picture(23, 17, (x, y, c) => (x * 71 + y * 29 + c * 101 + x * y * 13) % 256);

/** Keys' cubic over all pixels, in doubles, both ways at once. */
function slow(image: Image, width: number, height: number, x: number, y: number): number {
  const cubic = (d: number) =>
    d < 1 ? 1.5 * d ** 3 - 2.5 * d ** 2 + 1 : d < 2 ? -0.5 * d ** 3 + 2.5 * d ** 2 - 4 * d + 2 : 0;
  const weights = (from: number, to: number, at: number) => {
    const scale = from / to;
    const all = Array.from({ length: from }, (_, i) =>
      cubic(Math.abs(i + 0.5 - (at + 0.5) * scale) / Math.max(1, scale)),
    );
    const total = all.reduce((a, b) => a + b);
    return all.map((weight) => weight / total);
  };
  const [across, down] = [weights(image.width, width, x), weights(image.height, height, y)];
  const sum = down
    .map((v, j) => v * across.reduce((row, w, i) => row + w * redAt(image, i, j), 0))
    .reduce((a, b) => a + b);
  return Math.min(255, Math.max(0, sum));
}

describe('scaling', () => {
  test.each([
    [10, 6],
    [23, 40],
    [7, 17],
    [31, 31],
  ])('to %i x %i is the cubic filter, within the rounding of two passes', (width, height) => {
    const scaled = resize(noisy, width, height);
    const off = Array.from({ length: width * height }, (_, i) => {
      const [x, y] = [i % width, Math.floor(i / width)];
      return Math.abs(redAt(scaled, x, y) - slow(noisy, width, height, x, y));
    });
    // Overshoot is cut off between the passes, as in Pillow: few pixels are further off than the rounding.
    expect(off.filter((d) => d > 1.2).length / off.length).toBeLessThan(0.1);
    expect(Math.max(...off)).toBeLessThan(12);
  });

  test('to the same size changes nothing, and a plain picture stays plain', () => {
    expect(resize(noisy, 23, 17)).toEqual(noisy);
    expect(
      new Set(
        resize(
          picture(9, 9, () => 77),
          4,
          13,
        ).pixels,
      ),
    ).toEqual(new Set([77, 255]));
  });
});

test('the shorter side is scaled, the middle cut out, the colours normalised', () => {
  const options = parseClipPreprocessing(
    { size: { shortest_edge: 8 }, crop_size: 8, image_mean: [0.5, 0, 0], image_std: [0.5, 1, 2] },
    8,
  );
  const wide = picture(48, 16, (x) => (x < 16 ? 0 : x < 32 ? 255 : 100));
  const x = clipInput(wide, options);
  expect(x.length).toBe(8 * 8 * 3);
  expect([...x.subarray((3 * 8 + 4) * 3, (3 * 8 + 4) * 3 + 3)]).toEqual([1, 1, 0.5]);
  const clear = { ...wide, pixels: wide.pixels.map((byte, i) => (i % 4 === 3 ? 0 : byte)) };
  expect(new Set(clipInput(clear, options))).toEqual(new Set([1, 0.5])); // white: (1 - 0.5) / 0.5, 1, 1 / 2
});

test.each([
  [
    undefined,
    { resize: { shortestEdge: 224 }, crop: { width: 224, height: 224 }, filter: 'bicubic', rescale: 1 / 255 },
  ],
  [
    { size: 30, crop_size: 28, do_normalize: false },
    { resize: { shortestEdge: 30 }, mean: [0, 0, 0], deviation: [1, 1, 1] },
  ],
  [
    { size: { width: 5, height: 6 }, do_center_crop: false, resample: 2 },
    { resize: { width: 5, height: 6 }, filter: 'bilinear' },
  ],
])('%j is read', (json, found) => {
  expect(parseClipPreprocessing(json, 224)).toMatchObject(found);
});

test.each([
  [{ resample: 0 }, '"resample" is 0; this engine supports only 3 or 2'],
  [{ image_std: [1, 0, 1] }, '"image_std.1" is 0; expected a number above 0'],
])('%j is refused', (json, message) => {
  expect(() => parseClipPreprocessing(json, 224)).toThrow(message);
});
