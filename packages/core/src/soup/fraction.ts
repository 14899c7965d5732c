/** Weights of a recipe as exact fractions: 0.3 means 3/10, not the double nearest to it. */
import { UsageError } from '../errors.js';

/** In lowest terms; d is positive. */
export interface Fraction {
  readonly n: bigint;
  readonly d: bigint;
}

/** Digits of a weight, before and after the point; more are a mistake, or an attack on the arithmetic. */
const MOST_DIGITS = 40;

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:e([+-]?\d{1,3}))?$/i;

export function fraction(n: bigint, d: bigint = 1n): Fraction {
  if (d === 0n) throw new UsageError('a weight divides by zero');
  const divisor = gcd(n < 0n ? -n : n, d < 0n ? -d : d) * (d < 0n ? -1n : 1n);
  return { n: n / divisor, d: d / divisor };
}

/** Reads 2, 0.25, "1e-3" or "1/3". A number means its shortest decimal form, which is what was typed. */
export function parseFraction(value: number | string): Fraction {
  const text = String(value).trim();
  const [top, bottom, ...more] = text.split('/').map((part) => parseDecimal(part.trim()));
  if (!top || more.length > 0 || (text.includes('/') && !bottom)) {
    const shown = text.length > 60 ? `${text.slice(0, 60)}...` : text;
    throw new UsageError(`the weight "${shown}" is no number; give one as 2, 0.25 or 1/3`, { weight: shown });
  }
  return bottom ? divide(top, bottom) : top;
}

function parseDecimal(text: string): Fraction | undefined {
  const match = text.length <= MOST_DIGITS * 2 ? DECIMAL.exec(text) : null;
  if (!match) return undefined;
  const [, sign, whole = '', part = '', exponent = '0'] = match;
  if (whole + part === '' || whole.length + part.length > MOST_DIGITS) return undefined;
  const digits = BigInt(whole + part) * (sign === '-' ? -1n : 1n);
  const power = Number(exponent) - part.length;
  if (Math.abs(power) > MOST_DIGITS * 2) return undefined;
  const scale = 10n ** BigInt(Math.abs(power));
  return power < 0 ? fraction(digits, scale) : fraction(digits * scale);
}

/** "2", "-1/3". */
export const formatFraction = ({ n, d }: Fraction): string => (d === 1n ? `${n}` : `${n}/${d}`);

/** The nearest double. */
export function fractionToNumber({ n, d }: Fraction): number {
  // 2^64 keeps the quotient's leading bits beyond those of a double, whatever the sizes of n and d.
  const [top, bottom] = [n.toString(2).length, d.toString(2).length];
  const shift = Math.max(0, 64 + bottom - top);
  return Number((n << BigInt(shift)) / d) * 2 ** -shift;
}

export const add = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.d + b.n * a.d, a.d * b.d);
export const multiply = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.n, a.d * b.d);
export const divide = (a: Fraction, b: Fraction): Fraction => fraction(a.n * b.d, a.d * b.n);
export const isZero = ({ n }: Fraction): boolean => n === 0n;

export const ZERO: Fraction = { n: 0n, d: 1n };
export const ONE: Fraction = { n: 1n, d: 1n };

export function gcd(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x === 0n ? 1n : x;
}
