/**
 * How sure a number is. What is measured on a few prompts is a sample of all prompts: intervals are bootstrap percentile
 * intervals (Efron & Tibshirani 1993, chapter 13), with a seed, so that a report can be made again. A unit is what is
 * independent of the others: a prompt with all its seeds, or a training picture.
 */
import { UsageError } from '../errors.js';
import { mt19937 } from '../sampler/mt19937.js';

export interface Interval {
  /** The statistic of all units. */
  readonly mean: number;
  readonly low: number;
  readonly high: number;
  /** Units. */
  readonly n: number;
}

export interface BootstrapOptions {
  readonly seed?: number;
  readonly resamples?: number;
  /** Of the interval, 0..1. */
  readonly level?: number;
}

export const mean = (values: readonly number[]): number => {
  if (values.length === 0) throw new UsageError('there is no mean of nothing');
  return values.reduce((sum, value) => sum + value, 0) / values.length;
};

/** Of a sample: divided by n - 1. */
export function standardDeviation(values: readonly number[]): number {
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Linear between order statistics, as numpy's default. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const at = q * (sorted.length - 1);
  const below = Math.floor(at);
  const next = sorted[Math.min(below + 1, sorted.length - 1)]!;
  return sorted[below]! + (at - below) * (next - sorted[below]!);
}

/** The interval of a statistic when its units are drawn again, with replacement. */
export function bootstrap<T>(
  units: readonly T[],
  statistic: (sample: readonly T[]) => number,
  options: BootstrapOptions = {},
): Interval {
  return resample([units], ([sample]) => statistic(sample!), options);
}

export const bootstrapMean = (values: readonly number[], options?: BootstrapOptions): Interval =>
  bootstrap(values, mean, options);

/** The mean of a - b, where a[i] and b[i] are of the same unit: what both have in common drops out. */
export function pairedDifference(a: readonly number[], b: readonly number[], options?: BootstrapOptions): Interval {
  if (a.length !== b.length) throw new UsageError(`pairs have two sides: there are ${a.length} and ${b.length} values`);
  return bootstrapMean(
    a.map((value, i) => value - b[i]!),
    options,
  );
}

/**
 * Area under the ROC curve: the chance that a positive scores above a negative, ties counting half (Mann & Whitney
 * 1947). 1/2 where the scores say nothing.
 */
export function auc(positives: readonly number[], negatives: readonly number[]): number {
  if (positives.length === 0 || negatives.length === 0) throw new UsageError('an AUC needs positives and negatives');
  const sorted = [...negatives].sort((a, b) => a - b);
  let wins = 0;
  for (const value of positives) wins += (countBelow(sorted, value, false) + countBelow(sorted, value, true)) / 2;
  return wins / positives.length / negatives.length;
}

/** Both groups are drawn again, each by itself. */
export const aucInterval = (
  positives: readonly number[],
  negatives: readonly number[],
  options: BootstrapOptions = {},
): Interval => ({
  ...resample([positives, negatives], ([p, n]) => auc(p!, n!), options),
  n: positives.length + negatives.length,
});

/** How many of `sorted` are below `value`, or at most `value`. */
function countBelow(sorted: readonly number[], value: number, orEqual: boolean): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value || (orEqual && sorted[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

function resample<T>(
  groups: readonly (readonly T[])[],
  statistic: (samples: readonly (readonly T[])[]) => number,
  { seed = 0, resamples = 2000, level = 0.95 }: BootstrapOptions,
): Interval {
  const n = groups[0]!.length;
  const all = statistic(groups);
  const next = mt19937(seed);
  const pick = (length: number): number => Math.floor((next() / 2 ** 32) * length);
  const found: number[] = [];
  for (let i = 0; i < resamples; i++) {
    found.push(statistic(groups.map((units) => units.map(() => units[pick(units.length)]!))));
  }
  const tail = (1 - level) / 2;
  return { mean: all, low: quantile(found, tail), high: quantile(found, 1 - tail), n };
}
