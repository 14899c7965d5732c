/** Averages in exact arithmetic, as slow and as plain as can be: the reference for average.wgsl. */
import { f16BitsToF32, f32ToF16Bits } from '../../packages/core/src/checkpoint/dtype.ts';

export type Half = 'F16' | 'BF16' | 'F32';

/** Explicit mantissa bits, exponent bits. */
const LAYOUT = { F16: [10, 5], BF16: [7, 8], F32: [23, 8] } as const;

/** A finite number as sign and value * 2^200, which is a whole number for every type. */
interface Exact {
  readonly negative: boolean;
  readonly scaled: bigint;
}
const SCALE = 200n;

const bias = (type: Half): number => 2 ** (LAYOUT[type][1] - 1) - 1;
export const isFinite16 = (bits: number): boolean => (bits & 0x7c00) !== 0x7c00;

export function decode(bits: number, type: Half): Exact {
  const [m, e] = LAYOUT[type];
  const field = Math.floor(bits / 2 ** m) % 2 ** e;
  const fraction = bits % 2 ** m;
  const mantissa = BigInt(field === 0 ? fraction : fraction + 2 ** m);
  const exponent = BigInt(Math.max(field, 1) - bias(type) - m) + SCALE;
  return { negative: bits >= 2 ** (m + e), scaled: mantissa << exponent };
}

/** The bits of n / d / 2^200, rounded to nearest, ties to even. */
export function encode(n: bigint, d: bigint, type: Half): number {
  const [m, e] = LAYOUT[type];
  // The smallest exponent at which the mantissa still fits: every finer one is tried from the subnormals up.
  for (let field = 1; field < 2 ** e - 1; field++) {
    const unit = 1n << (BigInt(field - bias(type) - m) + SCALE);
    const whole = n / (d * unit);
    const rest = 2n * (n - whole * d * unit);
    const up = rest > d * unit || (rest === d * unit && whole % 2n === 1n) ? 1n : 0n;
    const mantissa = Number(whole + up);
    if (mantissa < 2 ** m) return mantissa; // subnormal or zero: only at field 1
    if (mantissa < 2 ** (m + 1)) return field * 2 ** m + (mantissa - 2 ** m);
  }
  return (2 ** e - 1) * 2 ** m;
}

/** Σ p_i * number_i / q as the bits of `result`; infinity where it does not fit. -0 only in a soup of one. */
export function exactAverage(
  terms: readonly { bits: number; type: Half; p: number }[],
  q: number,
  result: Half,
): number {
  let sum = 0n;
  let isNegativeZero = false;
  for (const { bits, type, p } of terms) {
    const { negative, scaled } = decode(bits, type);
    sum += (negative ? -scaled : scaled) * BigInt(p);
    isNegativeZero = terms.length === 1 && negative !== p < 0;
  }
  const isNegative = sum < 0n || (sum === 0n && isNegativeZero);
  const [m, e] = LAYOUT[result];
  return encode(sum < 0n ? -sum : sum, BigInt(q), result) + (isNegative ? 2 ** (m + e) : 0);
}

/** A half in steps of 2^-24. */
export const stepsOf = (bits: number): number => f16BitsToF32(bits) * 2 ** 24;

/** sum / q, in steps of 2^-24, as a half: by whole numbers, which a double holds up to 2^53. */
export function exactHalf(sum: number, q: number): { readonly bits: number; readonly value: number } {
  const size = Math.abs(sum);
  const unit = 2 ** Math.max(0, Math.floor(Math.log2(size / q || 1)) - 10);
  const rest = size % (q * unit);
  const kept = (size - rest) / (q * unit);
  const isUp = 2 * rest > q * unit || (2 * rest === q * unit && kept % 2 === 1);
  const value = (sum < 0 ? -1 : 1) * (kept + (isUp ? 1 : 0)) * unit * 2 ** -24;
  return { bits: f32ToF16Bits(value), value };
}
