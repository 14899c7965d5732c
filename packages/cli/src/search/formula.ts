/** What was found, as a recipe of the command line. */
import type { Evaluation, Fraction } from '@diffusion-soup/core';

/** Whole numbers in the proportions of the weights. */
export function wholeWeights(weights: readonly Fraction[]): bigint[] {
  const common = weights.reduce((product, { d }) => (product % d === 0n ? product : product * d), 1n);
  const whole = weights.map(({ n, d }) => n * (common / d));
  const divisor = whole.reduce((a, b) => {
    let [x, y] = [a, b];
    while (y !== 0n) [x, y] = [y, x % y];
    return x;
  }, 0n);
  return whole.map((n) => n / (divisor || 1n));
}

/** "noto:43+ink:21". */
export function formulaOf({ weights }: Evaluation, candidates: readonly string[]): string {
  const whole = wholeWeights(weights);
  const isUniform = whole.every((n) => n === 0n || n === 1n);
  return candidates.flatMap((name, i) => (whole[i] === 0n ? [] : [isUniform ? name : `${name}:${whole[i]}`])).join('+');
}
