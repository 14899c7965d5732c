/** Slow, obvious versions of the ops, in doubles: what the kernels are compared with. */
import type { Activation } from '../../packages/core/src/gpu/activate.ts';

type Numbers = ArrayLike<number>;

/** x (rows, inner), w (columns, inner), bias (columns) -> (rows, columns). */
export function matmul(x: Numbers, w: Numbers, rows: number, columns: number, inner: number, bias?: Numbers): number[] {
  const y: number[] = [];
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) {
      let sum = bias ? bias[c]! : 0;
      for (let k = 0; k < inner; k++) sum += x[r * inner + k]! * w[c * inner + k]!;
      y.push(sum);
    }
  }
  return y;
}

export interface Conv {
  readonly images: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly outChannels: number;
  readonly kernel: number;
  readonly stride: number;
  /** [top, right, bottom, left] */
  readonly padding: readonly [number, number, number, number];
}

/** x (N, H, W, C), w (O, C, k, k) -> (N, H', W', O). */
export function conv2d(x: Numbers, w: Numbers, bias: Numbers, conv: Conv): number[] {
  const { images, height, width, channels, outChannels, kernel, stride, padding } = conv;
  const [top, right, bottom, left] = padding;
  const outHeight = Math.floor((height + top + bottom - kernel) / stride) + 1;
  const outWidth = Math.floor((width + left + right - kernel) / stride) + 1;
  const y: number[] = [];
  for (let n = 0; n < images; n++)
    for (let oy = 0; oy < outHeight; oy++)
      for (let ox = 0; ox < outWidth; ox++)
        for (let o = 0; o < outChannels; o++) {
          let sum = bias[o]!;
          for (let ky = 0; ky < kernel; ky++)
            for (let kx = 0; kx < kernel; kx++) {
              const iy = oy * stride + ky - top;
              const ix = ox * stride + kx - left;
              if (iy < 0 || ix < 0 || iy >= height || ix >= width) continue;
              for (let c = 0; c < channels; c++) {
                sum +=
                  x[((n * height + iy) * width + ix) * channels + c]! *
                  w[((o * channels + c) * kernel + ky) * kernel + kx]!;
              }
            }
          y.push(sum);
        }
  return y;
}

/** Nearest neighbour, (N, H, W, C) -> (N, H', W', C). */
export function upsample(x: Numbers, [n, h, w, c]: readonly number[], [toH, toW]: readonly number[]): number[] {
  const y: number[] = [];
  for (let i = 0; i < n!; i++)
    for (let oy = 0; oy < toH!; oy++)
      for (let ox = 0; ox < toW!; ox++)
        for (let k = 0; k < c!; k++) {
          const iy = Math.floor((oy * h!) / toH!);
          const ix = Math.floor((ox * w!) / toW!);
          y.push(x[((i * h! + iy) * w! + ix) * c! + k]!);
        }
  return y;
}

/** x (images, pixels, channels). */
export function groupNorm(
  x: Numbers,
  gamma: Numbers,
  beta: Numbers,
  { images, pixels, channels, groups, eps }: Record<'images' | 'pixels' | 'channels' | 'groups' | 'eps', number>,
): number[] {
  const y: number[] = Array.from(x);
  const width = channels / groups;
  for (let n = 0; n < images; n++)
    for (let g = 0; g < groups; g++) {
      const indices: number[] = [];
      for (let p = 0; p < pixels; p++)
        for (let c = 0; c < width; c++) indices.push((n * pixels + p) * channels + g * width + c);
      const mean = indices.reduce((sum, i) => sum + x[i]!, 0) / indices.length;
      const variance = indices.reduce((sum, i) => sum + (x[i]! - mean) ** 2, 0) / indices.length;
      for (const i of indices) {
        y[i] = ((x[i]! - mean) / Math.sqrt(variance + eps)) * gamma[i % channels]! + beta[i % channels]!;
      }
    }
  return y;
}

export const layerNorm = (x: Numbers, gamma: Numbers, beta: Numbers, rows: number, channels: number, eps: number) =>
  groupNorm(x, gamma, beta, { images: rows, pixels: 1, channels, groups: 1, eps });

export interface Attention {
  readonly images: number;
  readonly queries: number;
  readonly keys: number;
  readonly channels: number;
  readonly heads: number;
  readonly causal: boolean;
}

export function attention(q: Numbers, k: Numbers, v: Numbers, options: Attention): number[] {
  const { images, queries, keys, channels, heads, causal } = options;
  const width = channels / heads;
  const y: number[] = new Array(images * queries * channels).fill(0);
  for (let n = 0; n < images; n++)
    for (let h = 0; h < heads; h++)
      for (let i = 0; i < queries; i++) {
        const scores: number[] = [];
        for (let j = 0; j < keys; j++) {
          let dot = 0;
          for (let d = 0; d < width; d++) {
            dot += q[(n * queries + i) * channels + h * width + d]! * k[(n * keys + j) * channels + h * width + d]!;
          }
          scores.push(causal && j > i ? Number.NEGATIVE_INFINITY : dot / Math.sqrt(width));
        }
        const highest = Math.max(...scores);
        const shares = scores.map((s) => Math.exp(s - highest));
        const total = shares.reduce((a, b) => a + b, 0);
        for (let j = 0; j < keys; j++)
          for (let d = 0; d < width; d++) {
            y[(n * queries + i) * channels + h * width + d]! +=
              (shares[j]! / total) * v[(n * keys + j) * channels + h * width + d]!;
          }
      }
  return y;
}

/** Error function: its series near zero, its continued fraction (DLMF 7.9.1) beyond, to double precision. */
function erf(x: number): number {
  if (Math.abs(x) >= 2) {
    let fraction = 0;
    for (let n = 200; n > 0; n--) fraction = n / 2 / (Math.abs(x) + fraction);
    return Math.sign(x) * (1 - Math.exp(-x * x) / Math.sqrt(Math.PI) / (Math.abs(x) + fraction));
  }
  let term = x;
  let sum = x;
  for (let n = 1; n < 100; n++) {
    term *= (-x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * sum;
}

export const activation: Record<Activation, (x: number) => number> = {
  none: (x) => x,
  silu: (x) => x / (1 + Math.exp(-x)),
  gelu: (x) => 0.5 * x * (1 + erf(x / Math.SQRT2)),
  quick_gelu: (x) => x / (1 + Math.exp(-1.702 * x)),
  relu: (x) => Math.max(0, x),
  gelu_tanh: (x) => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
};

/** diffusers' get_timestep_embedding. */
export function timestepEmbedding(t: number, channels: number, flip: boolean, freqShift: number): number[] {
  const half = Math.floor(channels / 2);
  const angles = Array.from({ length: half }, (_, i) => t * Math.exp((-Math.log(10000) * i) / (half - freqShift)));
  const [sin, cos] = [angles.map(Math.sin), angles.map(Math.cos)];
  return [...(flip ? [...cos, ...sin] : [...sin, ...cos]), ...(channels % 2 ? [0] : [])];
}
