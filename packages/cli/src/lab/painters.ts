/** One loaded model as many soups: its weights are averaged anew when another soup is asked for. */
import { type Fraction, fraction, type Model } from '@diffusion-soup/core';
import type { Painter } from './drawing.js';
import type { Lab } from './session.js';
import { soupKey } from './soups.js';

/** Which ingredients are in a soup, by their places in the recipe; their weights stay those of the recipe. */
export type Subset = readonly number[];

export interface Soups {
  /** A painter for the recipe's ingredients with these weights. */
  painter(name: string, weights: readonly Fraction[]): Painter;
  /** The recipe without what is not in the subset. */
  weightsOf(subset: Subset): Fraction[];
  nameOf(subset: Subset): string;
  /** Makes the model a soup. */
  turnInto(weights: readonly Fraction[]): Promise<Model>;
}

export function soupsOf(lab: Lab, model: Model): Soups {
  const { kitchen, output } = lab;
  let now: string | undefined;
  const turnInto = async (weights: readonly Fraction[]): Promise<Model> => {
    const key = soupKey(lab, weights).join();
    if (now === key) return model;
    now = undefined; // until it is done
    await model.reblend([...weights], { signal: output.io.signal });
    now = key;
    return model;
  };
  return {
    turnInto,
    painter: (name, weights) => ({ name, key: { soup: soupKey(lab, weights) }, model: () => turnInto(weights) }),
    weightsOf: (subset) => kitchen.ingredients.map(({ weight }, i) => (subset.includes(i) ? weight : fraction(0n))),
    nameOf: (subset) => subset.map((i) => kitchen.ingredients[i]!.name).join(' + '),
  };
}

/** 0 .. count - 1. */
export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** All choices of `size` from 0 .. count - 1. */
export function choices(count: number, size: number): number[][] {
  if (size === 0) return [[]];
  return range(count).flatMap((first) =>
    choices(count - first - 1, size - 1).map((rest) => [first, ...rest.map((i) => i + first + 1)]),
  );
}
