/** Numbers of the VAE as bytes. */
import { toImage } from '@diffusion-soup/core';
import { expect, test } from 'vitest';

test('bytes are clamped, and halves go to the even one, as numpy rounds', () => {
  const byte = (value: number) => toImage(Float32Array.of(value, 0, 0), 1, 1).pixels[0];
  expect([-1, 1, -7, 7, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY].map(byte)).toEqual([
    0, 255, 0, 255, 0, 255,
  ]);
  expect([0, 0.5, -0.5, 0.25].map(byte)).toEqual([128, 191, 64, 159]); // 127.5, 191.25, 63.75, 159.375
  expect([-0.75, -0.625, -0.25].map(byte)).toEqual([32, 48, 96]);
});

test('one channel is grey, and all is opaque', () => {
  expect([...toImage(Float32Array.of(-1, 1), 2, 1).pixels]).toEqual([0, 0, 0, 255, 255, 255, 255, 255]);
  expect([...toImage(Float32Array.of(-1, 0, 1, 9), 1, 1).pixels]).toEqual([0, 128, 255, 255]);
});
