/** How far the linear picture holds, in plain sentences. */
import type { Interval } from '@diffusion-soup/core';
import { shortNumber } from './numbers.js';

export interface StepRow {
  readonly timestep: number;
  readonly path: Interval;
}

export interface BlockRow {
  readonly block: string;
  readonly residual: Interval;
}

/** Distances from the ensemble's result. */
export interface Ends {
  readonly latents: Interval;
  readonly baseLatents: Interval;
  readonly pixels: Interval;
  readonly basePixels: Interval;
}

const between = ({ mean, low, high }: Interval, digits = shortNumber): string =>
  `${digits(mean)} (95 %: ${digits(low)} to ${digits(high)})`;

export function inWords(
  all: Interval,
  noise: Interval,
  relative: number,
  steps: readonly StepRow[],
  blocks: readonly BlockRow[],
  ends: Ends,
): string[] {
  const sorted = [...steps].sort((a, b) => a.path.mean - b.path.mean);
  const [best, worst] = [sorted[0]!, sorted.at(-1)!];
  const most = [...blocks].sort((a, b) => b.residual.mean - a.residual.mean).slice(0, 3);
  return [
    `The residual is ${between(all)} where sampling goes, and ${between(noise)} on pure noise: the distance of the soup's ` +
      'prediction from the mean of those of its ingredients, in units of what fine-tuning changed. 0 would be a perfect ensemble; 1, ' +
      `as far from it as the base. ${verdict(all.mean)}`,
    `It is smallest at timestep ${Math.round(best.timestep)} (${shortNumber(best.path.mean)}) and largest at ` +
      `${Math.round(worst.timestep)} (${shortNumber(worst.path.mean)}). As a part of the whole prediction the difference is ` +
      `${shortNumber(100 * relative)} %.`,
    ...(most.length > 0
      ? [
          `Souped alone, ${most.map(({ block, residual }) => `${block} (${shortNumber(residual.mean)})`).join(', ')} ` +
            'depart most from the ensemble.',
        ]
      : []),
    `At the end of sampling the soup's latents are ${between(ends.latents)} of the ensemble's size away from them; the ` +
      `base's are ${between(ends.baseLatents)}. In pixels: ${between(ends.pixels)} steps of 255, the base ${between(ends.basePixels)}.`,
  ];
}

/** The bounds are a convention, said beside the number, which is what counts. */
function verdict(residual: number): string {
  if (residual < 0.1) return 'The linear picture holds: soup and ensemble are almost the same (below 0.1).';
  if (residual < 0.3) return 'The linear picture holds roughly (below 0.3).';
  if (residual < 0.7)
    return 'The linear picture holds in part: the soup goes the way of the ensemble, but not to where it is (0.3 to 0.7).';
  if (residual < 1)
    return 'The linear picture hardly holds: the difference is nearly as large as what fine-tuning changed (0.7 to 1).';
  return 'The linear picture does not hold: the soup is farther from the ensemble than the base is (above 1).';
}
