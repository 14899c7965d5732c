/**
 * Rational weights: what an average multiplies each ingredient with, as integers over one denominator. The shaders
 * add p_i * theta_i as integers and divide by q once, so that nothing depends on the adapter or on the order.
 */
import { UsageError } from '../errors.js';
import { type Fraction, formatFraction, gcd } from './fraction.js';

/** The average is Σ p_i θ_i / q. */
export interface Mix {
  /** Integers, one for each ingredient, in its order. */
  readonly p: readonly number[];
  /** A positive integer. */
  readonly q: number;
}

/**
 * Bound of q and of Σ|p|. A weight times a 24-bit mantissa then stays below 2^44, and weights are exact to a
 * millionth: finer ones are rounded to this grid, and the recipe records what was used.
 */
export const LARGEST_MIX = 2 ** 20;

export interface MixOptions {
  /** Scale the weights to add up to 1. Without it they are taken as they are: 1 and 1 is the sum of two. */
  readonly normalize?: boolean;
}

export function mixOf(weights: readonly Fraction[], { normalize = true }: MixOptions = {}): Mix {
  const common = weights.reduce((lcm, { d }) => (lcm / gcd(lcm, d)) * d, 1n);
  let p = weights.map(({ n, d }) => n * (common / d));
  let q = normalize ? p.reduce((a, b) => a + b, 0n) : common;
  if (q === 0n || p.length === 0) {
    throw new UsageError(
      `the weights ${weights.map(formatFraction).join(', ')} add up to 0: nothing would be left to divide by`,
    );
  }
  if (q < 0n) [p, q] = [p.map((n) => -n), -q];
  const divisor = p.reduce((a, b) => gcd(a, b < 0n ? -b : b), q);
  [p, q] = [p.map((n) => n / divisor), q / divisor];
  const largest = p.reduce((sum, n) => sum + (n < 0n ? -n : n), 0n) + (isAffineSum(p, q) ? 0n : q);
  if (largest > BigInt(LARGEST_MIX)) return rounded(p, q, largest);
  return { p: p.map(Number), q: Number(q) };
}

/** Whether the weights add up to 1, so that tensors that are equal in all ingredients stay what they are. */
export const isAffine = ({ p, q }: Mix): boolean => p.reduce((a, b) => a + b, 0) === q;

const isAffineSum = (p: readonly bigint[], q: bigint): boolean => p.reduce((a, b) => a + b, 0n) === q;

/**
 * The nearest mix that fits. Each weight is rounded by itself and their sum becomes the denominator, if it was before:
 * so equal weights stay equal, in every order.
 */
function rounded(p: readonly bigint[], q: bigint, largest: bigint): Mix {
  // One unit for each ingredient is kept free, since rounding up may add as much.
  const scale = BigInt(LARGEST_MIX - p.length);
  const parts = p.map((n) => roundedQuotient(n * scale, largest));
  const whole = isAffineSum(p, q) ? parts.reduce((a, b) => a + b, 0n) : roundedQuotient(q * scale, largest);
  if (whole <= 0n) throw new UsageError('the weights cancel each other to less than a millionth of their size');
  return { p: parts.map(Number), q: Number(whole) };
}

function floorQuotient(n: bigint, d: bigint): bigint {
  const quotient = n / d;
  return n % d < 0n ? quotient - 1n : quotient;
}

const roundedQuotient = (n: bigint, d: bigint): bigint => floorQuotient(2n * n + d, 2n * d);
