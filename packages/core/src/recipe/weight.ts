/** Numbers of a recipe, exactly. */
import { UsageError } from '../errors.js';
import { type Fraction, formatFraction, parseFraction } from '../soup/fraction.js';

/** Weights are proportions, which are kept to a millionth: a larger one is a slip. */
export const LARGEST_WEIGHT = 1_000_000;

/** Whether a number, or a text such as "1/3", is within bounds. */
export function isWeight(value: number | string, least = -LARGEST_WEIGHT, most = LARGEST_WEIGHT): boolean {
  try {
    const { n, d } = parseFraction(value);
    return n >= BigInt(least) * d && n <= BigInt(most) * d;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}

/** Four decimals are read as fast as a fraction. */
const DECIMALS = 10_000n;

/** As somebody would write it: 2, 0.25, "1/3". */
export function formatWeight({ n, d }: Fraction): string {
  const isShort = DECIMALS % d === 0n && (n < 0n ? -n : n) < 2n ** 40n;
  return isShort ? String(Number(n) / Number(d)) : formatFraction({ n, d });
}
