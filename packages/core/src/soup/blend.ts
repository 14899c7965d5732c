/**
 * A blend: ingredients and their shares. It is what a soup is before anything is computed; a single checkpoint is
 * the blend of one. Models load from a blend and cannot tell the difference (Biggs et al. 2024, arXiv 2406.08431:
 * the soup is the weighted mean of the fine-tuned weights).
 */

import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { IncompatibleError, UsageError } from '../errors.js';

export interface Ingredient {
  readonly weights: Weights;
  /** Its part of the sum. Shares usually add up to 1, but need not. */
  readonly share: number;
}

/** At least one ingredient; the first one names the tensors and their storage types. */
export type Blend = readonly Ingredient[];

/** A blend whose shares are `shares` scaled to add up to 1; equal ones when none are given. */
export function blendOf(weights: readonly Weights[], shares: readonly number[] = weights.map(() => 1)): Blend {
  if (weights.length === 0) throw new UsageError('a soup needs at least one ingredient');
  if (shares.length !== weights.length) {
    throw new UsageError(`there are ${weights.length} ingredients but ${shares.length} weights`);
  }
  const bad = shares.findIndex((share) => !Number.isFinite(share));
  if (bad >= 0) throw new UsageError(`the weight of ${weights[bad]!.name} is ${shares[bad]}; give a finite number`);
  const sum = shares.reduce((a, b) => a + b, 0);
  if (Math.abs(sum) < 1e-9) throw new UsageError(`the weights ${shares.join(', ')} add up to 0: nothing would be left`);
  return weights.map((of, i) => ({ weights: of, share: shares[i]! / sum }));
}

/** One tensor of every ingredient, in order. */
export const tensorsOf = (blend: Blend, key: string): { info: TensorInfo; share: number }[] =>
  blend.map(({ weights, share }) => ({ info: weights.tensors.get(key)!, share }));

/** Refuses ingredients that cannot be averaged, naming the first difference: a key, a shape, a kind of number. */
export function checkBlend(blend: Blend): void {
  const [first, ...others] = blend;
  for (const { weights } of others) {
    for (const [key, info] of first!.weights.tensors) {
      const other = weights.tensors.get(key);
      if (!other) throw missing(key, first!.weights, weights);
      if (other.shape.join() !== info.shape.join()) {
        throw new IncompatibleError(
          `${key} is [${info.shape.join(', ')}] in ${first!.weights.name} but [${other.shape.join(', ')}] in ` +
            `${weights.name}. Only models of the same architecture can be averaged.`,
          { tensor: key, shapes: [info.shape, other.shape] },
        );
      }
      if (isFloat(info) !== isFloat(other)) {
        throw new IncompatibleError(
          `${key} is ${info.dtype} in ${first!.weights.name} but ${other.dtype} in ${weights.name}. ` +
            'Numbers of different kinds cannot be averaged.',
          { tensor: key, dtypes: [info.dtype, other.dtype] },
        );
      }
    }
    for (const key of weights.tensors.keys()) {
      if (!first!.weights.tensors.has(key)) throw missing(key, weights, first!.weights);
    }
  }
}

function missing(key: string, there: Weights, notThere: Weights): IncompatibleError {
  return new IncompatibleError(
    `${there.name} has a tensor "${key}" that ${notThere.name} has not. ` +
      'Only models of the same architecture can be averaged.',
    { tensor: key, in: there.name, notIn: notThere.name },
  );
}

export const isFloat = ({ dtype }: TensorInfo): boolean =>
  dtype === 'F16' || dtype === 'BF16' || dtype === 'F32' || dtype === 'F64';
