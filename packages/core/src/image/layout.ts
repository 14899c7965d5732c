/** Arrays of numbers: between PyTorch's order of a picture (N, C, H, W) and ours (N, H, W, C), and end to end. */

/** (N, C, pixels) -> (N, pixels, C). */
export function toChannelsLast(x: Float32Array, images: number, channels: number): Float32Array {
  return swapInner(x, images, channels, x.length / images / channels);
}

/** (N, pixels, C) -> (N, C, pixels). */
export function toChannelsFirst(x: Float32Array, images: number, channels: number): Float32Array {
  return swapInner(x, images, x.length / images / channels, channels);
}

/** (N, A, B) -> (N, B, A). */
function swapInner(x: Float32Array, n: number, a: number, b: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let i = 0; i < n; i++) {
    const start = i * a * b;
    for (let j = 0; j < a; j++) for (let k = 0; k < b; k++) y[start + k * a + j] = x[start + j * b + k]!;
  }
  return y;
}

/** One after the other. */
export function join(parts: readonly Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}
