/** TIES and DARE in exact arithmetic, an element at a time: the reference for task-vectors.wgsl. */
import { decode, encode, type Half } from './exact.ts';

/** A tensor as bits. */
export interface Bits {
  readonly type: Half;
  readonly bits: ArrayLike<number>;
}

/** Numerator and denominator. */
export type Ratio = readonly [number, number];

export interface Rule {
  readonly weights: readonly Ratio[];
  /** λ, or λ / (1 - drop). */
  readonly scale: Ratio;
  readonly elect: boolean;
  /** Of each ingredient: what is as large is kept. */
  readonly thresholds: readonly number[];
  isDropped(ingredient: number, element: number): boolean;
}

const scaled = ({ type, bits }: Bits, i: number): bigint => {
  const { negative, scaled } = decode(bits[i]!, type);
  return negative ? -scaled : scaled;
};

/** A number in units of 2^-200, rounded to f64 and then to f32, which is as good as once. */
export const toNumber = (value: bigint): number => Math.fround(Number(value) * 2 ** -200);

/** |ingredient - base| rounded to f32. */
export const magnitudes = (ingredient: Bits, base: Bits): number[] =>
  Array.from(base.bits, (_, i) => Math.abs(toNumber(scaled(ingredient, i) - scaled(base, i))));

/** The k-th largest magnitude, k = max(1, floor(density * elements)). */
export function threshold(ingredient: Bits, base: Bits, [n, d]: Ratio): number {
  const k = Math.max(1, Math.floor((base.bits.length * n) / d));
  return magnitudes(ingredient, base).sort((a, b) => b - a)[k - 1]!;
}

export function merged(ingredients: readonly Bits[], base: Bits, rule: Rule, result: Half): number[] {
  const sizes = ingredients.map((ingredient) => magnitudes(ingredient, base));
  const common = rule.weights.reduce((product, [, d]) => product * BigInt(d), 1n);
  const weights = rule.weights.map(([n, d]) => (BigInt(n) * common) / BigInt(d));
  const [up, down] = rule.scale.map(BigInt) as [bigint, bigint];
  return Array.from(base.bits, (_, element) => {
    const origin = scaled(base, element);
    const terms = ingredients.flatMap((ingredient, i) => {
      const delta = (scaled(ingredient, element) - origin) * weights[i]!;
      const isKept = sizes[i]![element]! >= rule.thresholds[i]! && !rule.isDropped(i, element);
      return isKept && delta !== 0n ? [{ delta, weight: weights[i]! }] : [];
    });
    const sum = terms.reduce((sum, { delta }) => sum + delta, 0n);
    const agreeing = rule.elect ? terms.filter(({ delta }) => sum !== 0n && delta > 0n === sum > 0n) : terms;
    const whole = rule.elect ? agreeing.reduce((sum, { weight: w }) => sum + (w < 0n ? -w : w), 0n) : common;
    if (agreeing.length === 0) return signed(origin, 1n, result, decode(base.bits[element]!, base.type).negative);
    const change = agreeing.reduce((sum, { delta }) => sum + delta, 0n);
    return signed(origin * whole * down + change * up, whole * down, result, false);
  });
}

function signed(n: bigint, d: bigint, type: Half, negativeZero: boolean): number {
  const negative = n < 0n || (n === 0n && negativeZero);
  return encode(n < 0n ? -n : n, d, type) + (negative ? (type === 'F32' ? 2 ** 31 : 2 ** 15) : 0);
}

/** Philox4x32-10, from the paper: four numbers for a counter and a key. */
export function philox(block: bigint, key: readonly [number, number]): number[] {
  const word = (value: bigint) => BigInt.asUintN(32, value);
  let c = [word(block), word(block >> 32n), 0n, 0n];
  let [k0, k1] = key.map(BigInt) as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const [a, b] = [c[0]! * 0xd2511f53n, c[2]! * 0xcd9e8d57n];
    c = [(b >> 32n) ^ c[1]! ^ k0, word(b), (a >> 32n) ^ c[3]! ^ k1, word(a)];
    k0 = word(k0 + 0x9e3779b9n);
    k1 = word(k1 + 0xbb67ae85n);
  }
  return c.map(Number);
}
