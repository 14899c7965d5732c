/**
 * log, sine and cosine in float32 with the polynomials of Moshier's Cephes library and the very roundings of torch's
 * vectorised CPU code (multiplications fused with the additions that follow). The last bit of torch.randn depends on it.
 */
import { f32, fma } from './float32.js';

const SQRT_HALF = f32(Math.SQRT1_2);

// log(1 + x) = x - x²/2 + x³ P(x)
const LOG_P = [
  7.0376836292e-2, -1.151461031e-1, 1.167699874e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
  2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1,
].map(f32);
const LN2_LOW = f32(-2.1219444e-4);
const LN2_HIGH = f32(0.693359375);

const SIN_P = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f32);
const COS_P = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(f32);
const FOUR_OVER_PI = f32(4 / Math.PI);
// pi/4 in three parts, so that multiples of it are subtracted without loss
const MINUS_PI_4 = [-0.78515625, -2.4187564849853516e-4, -3.774894977445941e-8].map(f32);

const horner = (coefficients: readonly number[], x: number): number =>
  coefficients.slice(1).reduce((y, c) => fma(y, x, c), coefficients[0]);

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The natural logarithm of a positive normal number. */
export function logF32(value: number): number {
  // value = mantissa 2^exponent, mantissa in [1/2, 1)
  float[0] = value;
  let exponent = (bits[0] >>> 23) - 126;
  bits[0] = (bits[0] & 0x007fffff) | 0x3f000000;
  let x = float[0];
  if (x < SQRT_HALF) {
    exponent -= 1;
    x = f32(f32(x - 1) + x);
  } else {
    x = f32(x - 1);
  }
  const z = f32(x * x);
  let y = f32(horner(LOG_P, x) * x);
  y = fma(y, z, f32(exponent * LN2_LOW));
  y = fma(-z, 0.5, y);
  return fma(exponent, LN2_HIGH, f32(x + y));
}

/** Sine and cosine of a number that is not negative. */
export function sincosF32(angle: number): [sin: number, cos: number] {
  const octant = (Math.trunc(f32(angle * FOUR_OVER_PI)) + 1) & ~1;
  const x = MINUS_PI_4.reduce((rest, part) => fma(octant, part, rest), angle);
  const z = f32(x * x);
  const c = f32(fma(f32(horner(COS_P, z) * z), z, -f32(z * 0.5)) + 1);
  const s = fma(f32(horner(SIN_P, z) * z), x, x);
  const [sin, cos] = octant & 2 ? [c, s] : [s, c];
  return [octant & 4 ? -sin : sin, (octant - 2) & 4 ? cos : -cos];
}
