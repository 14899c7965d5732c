/** The comparison of the paper, as numbers: who denoises whose pictures how well, in pairs. */
import { bootstrapMean, type Interval, mean, pairedDifference } from '@diffusion-soup/core';
import type { Kind, SetLosses } from './memory-numbers.js';

export interface LossCell {
  readonly rival: string;
  readonly kind: Kind;
  readonly set: string;
  readonly loss: Interval;
}

export interface LossSummary {
  readonly rival: string;
  readonly kind: Kind;
  /** Over the pictures of all sets alike. */
  readonly loss: Interval;
  /** This one's loss less the soup's, of the same pictures under the same noise: above 0, the soup is better. */
  readonly aboveSoup?: Interval;
}

const ofPicture = (losses: readonly number[]): number => mean(losses);

/** By model and set of pictures. */
export const lossCells = (losses: readonly SetLosses[]): LossCell[] =>
  losses.map(({ rival, kind, set, members }) => ({ rival, kind, set, loss: bootstrapMean(members.map(ofPicture)) }));

/** Pictures of all sets together; those of one place in every set are one unit, as they show the same thing. */
export function lossSummaries(losses: readonly SetLosses[]): LossSummary[] {
  const rivals = [...new Set(losses.map(({ rival }) => rival))];
  const unitsOf = (rival: string): number[] => {
    const own = losses.filter((one) => one.rival === rival);
    const count = Math.min(...own.map(({ members }) => members.length));
    return Array.from({ length: count }, (_, i) => mean(own.map(({ members }) => ofPicture(members[i]!))));
  };
  const soup = losses.find(({ kind }) => kind === 'soup');
  return rivals.map((rival) => {
    const { kind } = losses.find((one) => one.rival === rival)!;
    const units = unitsOf(rival);
    return {
      ...{ rival, kind, loss: bootstrapMean(units) },
      ...(soup && kind !== 'soup' && { aboveSoup: pairedDifference(units, unitsOf(soup.rival)) }),
    };
  });
}

/** The ingredient with the lowest loss over all pictures. */
export function bestIngredient(summaries: readonly LossSummary[]): LossSummary | undefined {
  return summaries
    .filter(({ kind }) => kind === 'ingredient')
    .reduce<LossSummary | undefined>((best, one) => (!best || one.loss.mean < best.loss.mean ? one : best), undefined);
}
