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

/** What each model's loss is over some units, and how far above the soup's. */
function summarized(losses: readonly SetLosses[], unitsOf: (rival: string) => readonly number[]): LossSummary[] {
  const soup = losses.find(({ kind }) => kind === 'soup');
  return [...new Set(losses.map(({ rival }) => rival))].map((rival) => {
    const { kind } = losses.find((one) => one.rival === rival)!;
    const units = unitsOf(rival);
    return {
      ...{ rival, kind, loss: bootstrapMean(units) },
      ...(soup && kind !== 'soup' && { aboveSoup: pairedDifference(units, unitsOf(soup.rival)) }),
    };
  });
}

/** Pictures of all sets together; those of one place in every set are one unit, as they show the same thing. */
export const lossSummaries = (losses: readonly SetLosses[]): LossSummary[] =>
  summarized(losses, (rival) => {
    const own = losses.filter((one) => one.rival === rival);
    const count = Math.min(...own.map(({ members }) => members.length));
    return Array.from({ length: count }, (_, i) => mean(own.map(({ members }) => ofPicture(members[i]!))));
  });

/** The same of pictures that no model was trained on, each by itself; none where there are no such pictures. */
export const unseenSummaries = (losses: readonly SetLosses[]): LossSummary[] =>
  losses.every(({ others }) => others.length === 0)
    ? []
    : summarized(losses, (rival) =>
        losses.filter((one) => one.rival === rival).flatMap(({ others }) => others.map(ofPicture)),
      );

/** The ingredient with the lowest loss over all pictures. */
export function bestIngredient(summaries: readonly LossSummary[]): LossSummary | undefined {
  return summaries
    .filter(({ kind }) => kind === 'ingredient')
    .reduce<LossSummary | undefined>((best, one) => (!best || one.loss.mean < best.loss.mean ? one : best), undefined);
}
