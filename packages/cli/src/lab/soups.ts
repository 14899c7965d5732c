/** Soups of a lab's models by what they are made of, as keys of measurements. */
import { type Fraction, formatFraction } from '@diffusion-soup/core';
import type { Lab } from './session.js';

/** Content and weights, in an order that does not depend on names or on how the recipe was written. */
export const soupKey = (
  { kitchen, hashes }: Pick<Lab, 'kitchen' | 'hashes'>,
  weights: readonly Fraction[] = kitchen.ingredients.map(({ weight }) => weight),
): string[] =>
  kitchen.ingredients
    .flatMap(({ folder }, i) =>
      weights[i]!.n === 0n ? [] : [`${hashes.of(folder).root}:${formatFraction(weights[i]!)}`],
    )
    .sort();

/** Six digits: more than any adapter agrees on with another. */
export const rounded = (value: number): number => Number(value.toPrecision(6));
