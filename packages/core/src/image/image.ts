/** Pictures as bytes, and how they become numbers for the VAE and back. */

export interface Image {
  readonly width: number;
  readonly height: number;
  /** RGBA, row by row, 4 bytes a pixel. */
  readonly pixels: Uint8Array;
}

/** VAE output (H, W, C) around [-1, 1] -> picture: round(255 * clamp(x / 2 + 0.5)), as diffusers does. */
export function toImage(x: Float32Array, width: number, height: number): Image {
  const channels = x.length / width / height;
  // Clamps what it is given, and rounds half to even, as numpy does.
  const bytes = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) bytes[i * 4 + c] = 255 * (x[i * channels + Math.min(c, channels - 1)]! / 2 + 0.5);
    bytes[i * 4 + 3] = 255;
  }
  return { width, height, pixels: new Uint8Array(bytes.buffer) };
}

/** Picture -> VAE input (H, W, channels) in [-1, 1]; transparency is laid over white. */
export function fromImage({ width, height, pixels }: Image, channels = 3): Float32Array {
  const x = new Float32Array(width * height * channels);
  for (let i = 0; i < width * height; i++) {
    const alpha = pixels[i * 4 + 3]! / 255;
    for (let c = 0; c < channels; c++) {
      const value = pixels[i * 4 + Math.min(c, 2)]! * alpha + 255 * (1 - alpha);
      x[i * channels + c] = (value / 255) * 2 - 1;
    }
  }
  return x;
}
