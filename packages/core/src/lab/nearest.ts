/**
 * How close a picture is to what a model was trained on. Copies stand out against what is merely similar: a distance is
 * compared with those to the other near pictures (Carlini et al. 2023, arXiv 2301.13188, with α = 1).
 */
import { UsageError } from '../errors.js';

export interface Nearest {
  /** Of the candidate. */
  readonly index: number;
  readonly distance: number;
  /** distance / mean distance of the nearest `neighbours`: near 0 for a copy, near 1 for one among many. */
  readonly ratio: number;
}

/** The nearest of the candidates, by their distances. */
export function nearestPicture(distances: readonly number[], neighbours = 16): Nearest {
  if (distances.length === 0) throw new UsageError('there is no nearest of no pictures');
  const order = nearestOf(distances, neighbours);
  const index = order[0]!;
  const around = order.reduce((sum, i) => sum + distances[i]!, 0) / order.length;
  return { index, distance: distances[index]!, ratio: around > 0 ? distances[index]! / around : 0 };
}

/** Indices of the `count` smallest, the smallest first; of equal ones the first. */
export const nearestOf = (distances: readonly number[], count: number): number[] =>
  [...distances.keys()].sort((a, b) => distances[a]! - distances[b]! || a - b).slice(0, count);
