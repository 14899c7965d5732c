/** Unit normal noise with torch's numbers, so that a seed makes the picture that it makes in diffusers. */
import { UsageError } from '../errors.js';
import { cpuNoise } from './noise-cpu.js';
import { cudaNoise } from './noise-cuda.js';

/** 64 bits. 0 is a seed like any other; negative ones count down from 2^64 as they do in torch. */
export type Seed = number | bigint;
export type NoiseGenerator = 'cpu' | 'cuda';

export interface NoiseStream {
  /** What the next torch.randn(shape) with the same generator gives. */
  normal(shape: readonly number[]): Float32Array;
}

/** torch.Generator(kind).manual_seed(seed). */
export function noiseStream(seed: Seed, kind: NoiseGenerator = 'cpu'): NoiseStream {
  const seed64 = toSeed64(seed);
  const draw = kind === 'cpu' ? cpuNoise(seed64) : cudaNoise(seed64);
  return { normal: (shape) => draw(shape.reduce((size, side) => size * side, 1)) };
}

/** The first torch.randn(shape) after manual_seed(seed). */
export const randn = (seed: Seed, shape: readonly number[], kind: NoiseGenerator = 'cpu'): Float32Array =>
  noiseStream(seed, kind).normal(shape);

function toSeed64(seed: Seed): bigint {
  if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
    throw new UsageError(`seed ${seed}: expected a whole number; above 2^53, as a bigint.`, { found: seed });
  }
  const whole = BigInt(seed);
  if (whole < -(2n ** 63n) || whole >= 2n ** 64n) {
    throw new UsageError(`seed ${seed}: expected 64 bits, from -2^63 to 2^64 - 1.`, { found: seed });
  }
  return BigInt.asUintN(64, whole);
}
