/** What goes into the soup, and how much of it. Weights stay as they were written, so that 1/3 is a third. */
import { add, type Fraction, fraction, fractionToNumber, isZero, parseFraction, ZERO } from '@diffusion-soup/core';

export interface Ingredient {
  readonly name: string;
  readonly on: boolean;
  readonly weight: string;
  /** Equalising, normalising and the blend space leave it as it is. */
  readonly locked: boolean;
  /** Factors on the weight by block; 1 for those that are missing. */
  readonly blocks: Readonly<Record<string, string>>;
}

type Ingredients = readonly Ingredient[];

/** Sliders go to two parts, so that one part is in the middle; larger weights can be typed. */
export const MOST_TURNED = 2;
const DIGITS = 1000;
const LARGEST = 1000;

export const newIngredient = (name: string, on = false): Ingredient => ({
  name,
  on,
  weight: '1',
  locked: false,
  blocks: {},
});

/** To three digits: what a hand can set. */
export const written = (weight: number): string => String(Math.round(weight * DIGITS) / DIGITS || 0);

/** A weight that may be typed: 0.3, 2 or 1/3. Undefined for what is none. */
export function parseWeight(text: string): Fraction | undefined {
  try {
    const weight = parseFraction(text.trim());
    return weight.n >= 0n && fractionToNumber(weight) <= LARGEST ? weight : undefined;
  } catch {
    return undefined;
  }
}

export const weightOf = ({ weight }: Pick<Ingredient, 'weight'>): number =>
  fractionToNumber(parseWeight(weight) ?? ZERO);

export const isUsed = (one: Ingredient): boolean => one.on && !isZero(parseWeight(one.weight) ?? ZERO);

/** Each used ingredient's exact part of the whole. */
export function shares(ingredients: Ingredients): ReadonlyMap<string, Fraction> {
  const used = ingredients.filter(isUsed).map((one) => [one.name, parseWeight(one.weight) ?? ZERO] as const);
  const sum = used.reduce((total, [, weight]) => add(total, weight), ZERO);
  return new Map(used.map(([name, { n, d }]) => [name, fraction(n * sum.d, d * sum.n)]));
}

export const shareOf = (ingredients: Ingredients, name: string): number => {
  const share = shares(ingredients).get(name);
  return share ? fractionToNumber(share) : 0;
};

const change = (all: Ingredients, name: string, make: (one: Ingredient) => Partial<Ingredient>): Ingredients =>
  all.map((one) => (one.name === name ? { ...one, ...make(one) } : one));

export const switched = (all: Ingredients, name: string): Ingredients =>
  change(all, name, (one) => ({ on: !one.on, ...(!one.on && weightOf(one) === 0 && { weight: '1' }) }));

export const lockSwitched = (all: Ingredients, name: string): Ingredients =>
  change(all, name, ({ locked }) => ({ locked: !locked }));

/** Whoever gives an ingredient a weight wants it in the soup. */
export const weighed = (all: Ingredients, name: string, weight: string): Ingredients =>
  change(all, name, () => ({ weight: weight.trim(), on: true }));

/** Several at once: a place of the blend space. Those at 0 stay on, so that the space keeps its corners. */
export const weighedAll = (all: Ingredients, weights: Readonly<Record<string, number>>): Ingredients =>
  all.map((one) => {
    const weight = weights[one.name];
    return weight === undefined || one.locked ? one : { ...one, on: true, weight: written(weight) };
  });

export function blockTurned(all: Ingredients, name: string, block: string, factor: string): Ingredients {
  return change(all, name, ({ blocks: { [block]: _, ...others } }) => ({
    blocks: Number(factor) === 1 ? others : { ...others, [block]: factor },
  }));
}

const isFree = ({ on, locked }: Ingredient): boolean => on && !locked;
const sum = (some: Ingredients): number => some.reduce((total, one) => total + weightOf(one), 0);

/** Equal parts of what the locked ones leave of 1; of 1 where they leave nothing. */
export function equalised(all: Ingredients): Ingredients {
  const free = all.filter(isFree).length;
  const locked = all.filter((one) => one.on && one.locked);
  if (locked.length === 0) return all.map((one) => (isFree(one) ? { ...one, weight: '1' } : one));
  const rest = 1 - sum(locked);
  return all.map((one) => (isFree(one) ? { ...one, weight: written((rest > 0 ? rest : 1) / free) } : one));
}

/** Scaled so that all add up to 1, in the proportions they have. */
export function normalised(all: Ingredients): Ingredients {
  const rest = 1 - sum(all.filter((one) => one.on && one.locked));
  const free = sum(all.filter(isFree));
  if (!(free > 0) || !(rest > 0)) return all;
  return all.map((one) => (isFree(one) ? { ...one, weight: written((weightOf(one) * rest) / free) } : one));
}

/** "½ noto + ½ ink", in shares. */
export function formula(all: Ingredients): string {
  const parts = [...shares(all)].map(([name, share]) => {
    const hasBlocks = Object.keys(all.find((one) => one.name === name)?.blocks ?? {}).length > 0;
    return `${shown(share)} ${name}${hasBlocks ? '*' : ''}`;
  });
  return parts.join(' + ') || 'nothing yet';
}

/** A small fraction as it is, others in two digits. */
const shown = (share: Fraction): string =>
  share.d === 1n ? `${share.n}` : share.d <= 12n ? `${share.n}/${share.d}` : fractionToNumber(share).toFixed(2);
