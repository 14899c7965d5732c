/** The lab's statistics against known cases, and against nothing at all: null data must look like nothing. */
import { describe, expect, test } from 'vitest';
import {
  auc,
  aucInterval,
  bootstrap,
  bootstrapMean,
  mean,
  pairedDifference,
  quantile,
  standardDeviation,
} from '../../../packages/core/src/lab/statistics.ts';
import { randn } from '../../../packages/core/src/sampler/noise.ts';

const normal = (seed: number, count: number): number[] => [...randn(seed, [count])];

describe('known cases', () => {
  test('quantiles are numpy.quantile, deviations numpy.std(ddof=1)', () => {
    const values = [3, 1, 4, 1, 5, 9, 2, 6];
    expect([0, 0.1, 0.25, 0.5, 1].map((q) => quantile(values, q))).toEqual([1, 1, 1.75, 3.5, 9]);
    expect(quantile(values, 0.975)).toBeCloseTo(8.475, 12);
    expect(mean(values)).toBe(3.875);
    expect(standardDeviation(values)).toBeCloseTo(2.748376, 6);
  });

  test('an interval of a mean is about ±1.96 standard errors, whatever the seed', () => {
    const values = normal(1, 200);
    const error = standardDeviation(values) / Math.sqrt(200);
    for (const seed of [0, 1, 2]) {
      const found = bootstrapMean(values, { seed });
      expect(found.mean).toBeCloseTo(mean(values), 12);
      expect((found.high - found.low) / 2 / error).toBeGreaterThan(1.8);
      expect((found.high - found.low) / 2 / error).toBeLessThan(2.1);
      expect(bootstrapMean(values, { seed })).toEqual(found);
    }
  });

  test('what all units agree on has no interval, and one unit has none either', () => {
    expect(bootstrapMean([2, 2, 2])).toEqual({ mean: 2, low: 2, high: 2, n: 3 });
    expect(bootstrapMean([5])).toEqual({ mean: 5, low: 5, high: 5, n: 1 });
    expect(() => bootstrapMean([])).toThrow(/no mean of nothing/);
  });

  test('a statistic sees whole units', () => {
    const units = [
      [1, 1],
      [3, 3],
    ];
    const found = bootstrap(units, (sample) => mean(sample.flat()));
    expect(found).toMatchObject({ mean: 2, low: 1, high: 3, n: 2 });
  });

  test('AUC is the Mann-Whitney U, ties counting half', () => {
    expect(auc([2, 3], [0, 1])).toBe(1);
    expect(auc([0, 1], [2, 3])).toBe(0);
    expect(auc([1, 1], [1, 1])).toBe(0.5);
    // sklearn.metrics.roc_auc_score([1, 1, 1, 0, 0], [0.9, 0.4, 0.5, 0.5, 0.1])
    expect(auc([0.9, 0.4, 0.5], [0.5, 0.1])).toBeCloseTo(0.75, 12);
    // All pairs, one by one.
    const [p, n] = [normal(3, 40).map((x) => Math.round(x * 4)), normal(4, 50).map((x) => Math.round(x * 4))];
    const wins = p.flatMap((a) => n.map((b) => (a > b ? 1 : a === b ? 0.5 : 0)));
    expect(auc(p, n)).toBeCloseTo(mean(wins), 12);
    // Normals a standard deviation apart: Φ(1/√2) = 0.7602.
    const apart = aucInterval(
      normal(5, 400).map((x) => x + 1),
      normal(6, 400),
    );
    expect(apart.mean).toBeCloseTo(0.76, 1);
    expect(apart.low).toBeLessThan(0.7602);
    expect(apart.high).toBeGreaterThan(0.7602);
  });

  test('pairs take out what both sides share', () => {
    const common = normal(7, 30).map((x) => 100 * x);
    const small = normal(8, 30);
    const found = pairedDifference(
      common.map((x, i) => x + 1 + small[i]!),
      common,
    );
    expect(found.low).toBeGreaterThan(0);
    expect(found.high).toBeLessThan(2);
    expect(() => pairedDifference([1], [1, 2])).toThrow(/pairs have two sides/);
  });
});

describe('of nothing', () => {
  /** How many of so many experiments say that there is something, where there is nothing. */
  const alarms = (isAlarm: (seed: number) => boolean, experiments = 200): number =>
    Array.from({ length: experiments }, (_, i) => isAlarm(1000 + i)).filter(Boolean).length / experiments;

  test.each([
    [8, 0.14], // of few prompts percentile intervals are too narrow: about one in eight instead of one in twenty
    [40, 0.1],
  ])('a difference of %i pairs is beyond chance in few of all cases', (n, most) => {
    const rate = alarms((seed) => {
      const { low, high } = pairedDifference(normal(seed, n), normal(seed + 50_000, n), { resamples: 500 });
      return low > 0 || high < 0;
    });
    expect(rate).toBeGreaterThan(0.01);
    expect(rate).toBeLessThan(most);
  });

  test('scores that know nothing have an AUC of 1/2', () => {
    const rate = alarms((seed) => {
      const { low, high } = aucInterval(normal(seed, 30), normal(seed + 50_000, 30), { resamples: 300 });
      return low > 0.5 || high < 0.5;
    });
    expect(rate).toBeGreaterThan(0.01);
    expect(rate).toBeLessThan(0.12);
  });

  test('and what there is is found', () => {
    const rate = alarms((seed) => {
      const { low } = pairedDifference(
        normal(seed, 20).map((x) => x + 1),
        normal(seed, 20).map((x) => x * 0.5),
        { resamples: 300 },
      );
      return low > 0;
    }, 60);
    expect(rate).toBeGreaterThan(0.95);
  });
});
