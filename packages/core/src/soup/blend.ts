/**
 * A blend: ingredients and their rational weights. It is what a soup is before anything is computed; a single
 * checkpoint is the blend of one. Models load from a blend and cannot tell the difference (Biggs et al. 2024,
 * arXiv 2406.08431: the soup is the weighted mean of the fine-tuned weights).
 */

import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { IncompatibleError, UsageError } from '../errors.js';
import { type Fraction, parseFraction } from './fraction.js';
import { isAffine, type Mix, mixOf } from './mix.js';

/** What a soup's numbers can be stored as. */
export type ResultType = 'F16' | 'BF16' | 'F32';

/** At least one ingredient; the first one names the tensors. */
export interface Blend {
  readonly ingredients: readonly Weights[];
  /** The weights of a tensor, in the order of the ingredients. */
  mix(key: string): Mix;
  /** What the result is stored as; by default what all ingredients are, or F32 where they differ. */
  readonly dtype?: ResultType;
  /** Infinities and NaNs go through instead of being refused, and results that are too large become infinite. */
  readonly allowNonFinite?: boolean;
  /** A running sum (MergedFile.sums) that is taken up `p` times besides, in place of the ingredients it is made of. */
  readonly sum?: { readonly weights: Weights; readonly p: number };
  /** Whether a tensor is known to be the same in all ingredients, so that one of them need not be averaged. */
  isEqual?(key: string): boolean;
}

/** A blend with the same weights for every tensor, scaled to add up to 1; equal ones when none are given. */
export function blendOf(
  ingredients: readonly Weights[],
  weights: readonly (number | string | Fraction)[] = ingredients.map(() => 1),
): Blend {
  if (ingredients.length === 0) throw new UsageError('a soup needs at least one ingredient');
  if (weights.length !== ingredients.length) {
    throw new UsageError(`there are ${ingredients.length} ingredients but ${weights.length} weights`);
  }
  const mix = mixOf(weights.map((weight) => (typeof weight === 'object' ? weight : parseFraction(weight))));
  return { ingredients, mix: () => mix };
}

/** A term of a tensor's average: what is multiplied with p. */
export interface Term {
  readonly info: TensorInfo;
  readonly p: number;
}

/** The average of one tensor: Σ p_i * info_i / q, stored as `result`. Ingredients without weight are left out. */
export interface Average {
  readonly terms: readonly Term[];
  readonly q: number;
  readonly result: ResultType;
  readonly allowNonFinite: boolean;
  /** -0 stays -0: in a soup of one, which is a copy. A sum that is added to and taken from cannot know it. */
  readonly keepZeroSign: boolean;
}

export function averageOf(blend: Blend, key: string): Average {
  const mix = blend.mix(key);
  const { infos, type } = tensorOf(blend.ingredients, key);
  const all = infos.map((info, i): Term => ({ info, p: mix.p[i]! }));
  if (blend.sum) all.push({ info: blend.sum.weights.tensors.get(key)!, p: blend.sum.p });
  const weighing = all.every(weighs) ? all : all.filter(weighs);
  const result = blend.dtype ?? type;
  const allowNonFinite = blend.allowNonFinite ?? false;
  const keepZeroSign = all.length === 1;
  const isEqual = blend.isEqual?.(key) ?? false;
  if (!blend.sum && (weighing.length === 1 || isEqual) && isAffine(mix)) {
    // Where all are equal the first serves, whatever it weighs: other weights then change nothing.
    const { info } = (isEqual ? all : weighing)[0] ?? all[0]!;
    return { terms: [{ info, p: 1 }], q: 1, result, allowNonFinite, keepZeroSign };
  }
  const terms = weighing.length > 0 ? weighing : all.slice(0, 1);
  return { terms, q: mix.q, result, allowNonFinite, keepZeroSign };
}

const weighs = ({ p }: Term): boolean => p !== 0;

/** A tensor in every ingredient, and what its average is stored as. */
interface Tensors {
  readonly infos: readonly TensorInfo[];
  readonly type: ResultType;
}

/** Found once for the same ingredients: other weights for a model ask for hundreds of tensors while somebody waits. */
const found = new WeakMap<readonly Weights[], Map<string, Tensors>>();

function tensorOf(ingredients: readonly Weights[], key: string): Tensors {
  let own = found.get(ingredients);
  if (!own) {
    own = new Map();
    found.set(ingredients, own);
  }
  let one = own.get(key);
  if (!one) {
    const infos = ingredients.map(({ tensors }) => tensors.get(key)!);
    one = { infos, type: sharedType(infos) };
    own.set(key, one);
  }
  return one;
}

/** The order of ingredients must not matter, so the type is not just that of the first. F64 is read as F32. */
function sharedType([first, ...others]: readonly TensorInfo[]): ResultType {
  const type = first!.dtype;
  const isShared = (type === 'F16' || type === 'BF16') && others.every(({ dtype }) => dtype === type);
  return isShared ? type : 'F32';
}

/** Ingredients that were checked: with other weights they are no others. */
const alike = new WeakSet<readonly Weights[]>();

/** Refuses ingredients that cannot be averaged, naming the first difference: a key, a shape, a kind of number. */
export function checkBlend(blend: Blend): void {
  const [first, ...others] = blend.ingredients;
  if (blend.sum) checkSum(first!, blend.sum.weights);
  if (alike.has(blend.ingredients)) return;
  for (const weights of others) {
    for (const [key, info] of first!.tensors) {
      const other = weights.tensors.get(key);
      if (!other) throw missing(key, first!, weights);
      if (other.shape.join() !== info.shape.join()) {
        throw new IncompatibleError(
          `${key} is [${info.shape.join(', ')}] in ${first!.name} but [${other.shape.join(', ')}] in ` +
            `${weights.name}. Only models of the same architecture can be averaged.`,
          { tensor: key, shapes: [info.shape, other.shape] },
        );
      }
      if (isFloat(info) !== isFloat(other)) {
        throw new IncompatibleError(
          `${key} is ${info.dtype} in ${first!.name} but ${other.dtype} in ${weights.name}. ` +
            'Numbers of different kinds cannot be averaged.',
          { tensor: key, dtypes: [info.dtype, other.dtype] },
        );
      }
    }
    for (const key of weights.tensors.keys()) {
      if (!first!.tensors.has(key)) throw missing(key, weights, first!);
    }
  }
  alike.add(blend.ingredients);
}

function checkSum(ingredient: Weights, sum: Weights): void {
  for (const [key, info] of ingredient.tensors) {
    const kept = sum.tensors.get(key);
    if (!kept) throw missing(key, ingredient, sum);
    const fits =
      kept.shape.join() === info.shape.join() && (!isFloat(info) || kept.dtype === 'I32' || kept.dtype === 'I64');
    checkSummable(info);
    if (!fits) {
      throw new IncompatibleError(
        `${key} is ${info.dtype} [${info.shape.join(', ')}] in ${ingredient.name} but ${kept.dtype} ` +
          `[${kept.shape.join(', ')}] in the running sum ${sum.name}: they are of different soups.`,
        { tensor: key },
      );
    }
  }
}

/** Only halves are few enough steps of 2^-24 for a sum in 64 bits. */
export function checkSummable({ name, dtype, source }: TensorInfo): void {
  if (dtype === 'F16' || !FLOATS.has(dtype)) return;
  throw new IncompatibleError(
    `${name} in ${source.name} is ${dtype}; running sums are kept of F16 ingredients only. ` +
      'Make the soup without --keep-sum; adding and removing then read all ingredients.',
    { tensor: name, dtype },
  );
}

function missing(key: string, there: Weights, notThere: Weights): IncompatibleError {
  return new IncompatibleError(
    `${there.name} has a tensor "${key}" that ${notThere.name} has not. ` +
      'Only models of the same architecture can be averaged.',
    { tensor: key, in: there.name, notIn: notThere.name },
  );
}

const FLOATS = new Set<string>(['F16', 'BF16', 'F32', 'F64']);
export const isFloat = ({ dtype }: TensorInfo): boolean => FLOATS.has(dtype);
