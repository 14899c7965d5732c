/** Weights and scale of a sum of task vectors as the integers that task-vectors.wgsl computes with. */
import { UsageError } from '../errors.js';
import { type Fraction, formatFraction, fraction, gcd, multiply } from '../soup/fraction.js';

/** base + n / d * Σ p_i δ_i / W, where W is q, or the Σ |p_i| of those that agree. */
export interface IntegerWeights {
  readonly p: readonly number[];
  readonly q: number;
  readonly n: number;
  readonly d: number;
}

/** Products and divisors stay below this, so that they fit an i32. */
const LIMIT = 2n ** 31n - 1n;
/** Weights get this much of it when scale and weights together are too fine. */
const LARGEST_WEIGHTS = 2n ** 16n;

/** base + scale * Σ w_i δ_i: everything in p and q. */
export function weightsOfSum(weights: readonly Fraction[], scale: Fraction): IntegerWeights {
  const scaled = weights.map((weight) => multiply(weight, scale));
  const q = scaled.reduce((common, { d }) => (common / gcd(common, d)) * d, 1n);
  const all = reduced([...scaled.map(({ n, d }) => n * (q / d)), q], LIMIT);
  return { p: all.slice(0, -1), q: positive(all.at(-1)!, weights, scale), n: 1, d: 1 };
}

/** base + scale * the mean of those δ_i that agree, weighted: only the ratios of the weights count. */
export function weightsOfMean(weights: readonly Fraction[], scale: Fraction): IntegerWeights {
  const common = weights.reduce((common, { d }) => (common / gcd(common, d)) * d, 1n);
  const exact = weights.map(({ n, d }) => n * (common / d));
  const whole = reduced(exact, LIMIT);
  const fits = (p: readonly number[]) => sizeOf(p.map(BigInt)) * sizeOf([scale.n, scale.d]) <= LIMIT;
  const p = fits(whole) ? whole : reduced(exact, LARGEST_WEIGHTS);
  const [n, d] = reduced([scale.n, scale.d], LIMIT / (sizeOf(p.map(BigInt)) || 1n));
  return { p, q: 1, n: n!, d: positive(d!, weights, scale) };
}

/** Without their common divisor, and rounded where their sizes add up to more than `limit`. */
function reduced(values: readonly bigint[], limit: bigint): number[] {
  const divisor = values.reduce((a, b) => gcd(a, b < 0n ? -b : b), 0n);
  const small = values.map((value) => value / divisor);
  const size = sizeOf(small);
  if (size <= limit) return small.map(Number);
  const room = limit - BigInt(values.length); // each may be rounded up
  return small.map((value) => Number((2n * value * room + (value < 0n ? -size : size)) / (2n * size)));
}

const sizeOf = (values: readonly bigint[]): bigint => values.reduce((sum, v) => sum + (v < 0n ? -v : v), 0n);

function positive(divisor: number, weights: readonly Fraction[], scale: Fraction): number {
  if (divisor > 0) return divisor;
  const shown = [...weights.map(formatFraction), `scale ${formatFraction(scale)}`].join(', ');
  throw new UsageError(`the weights are too large or too unequal to compute with: ${shown}`);
}

/** 1 / (1 - drop), by which DARE makes up for what it drops. */
export function rescaling(drop: Fraction): Fraction {
  return fraction(drop.d, drop.d - drop.n);
}
