/** Greedy soups and searching for weights, with scores that can be written down. */
import { describe, expect, test } from 'vitest';
import { type Evaluation, greedySoup, type Scorer, searchWeights } from '../../packages/core/src/search/index.ts';
import { onGrid, ontoSimplex } from '../../packages/core/src/search/weights.ts';
import type { Fraction } from '../../packages/core/src/soup/fraction.ts';
import { fractionToNumber, parseFraction } from '../../packages/core/src/soup/fraction.ts';

const NAMES = ['A', 'B', 'C', 'D'];
const numbers = (weights: readonly Fraction[]): number[] => weights.map(fractionToNumber);
const shown = (weights: readonly Fraction[]): string =>
  weights.map(({ n, d }) => (d === 1n ? `${n}` : `${n}/${d}`)).join(' ');

/** Σ (w - target)², which every search must find. */
const distance =
  (target: readonly number[]): Scorer =>
  async (weights) =>
    numbers(weights).reduce((sum, w, i) => sum + (w - target[i]!) ** 2, 0);

/** Scores by what is in the soup: of each candidate alone, and of sets of them. */
const table =
  (scores: Readonly<Record<string, number>>): Scorer =>
  async (weights) => {
    const members = NAMES.filter((_, i) => weights[i]!.n > 0n).join('');
    if (!(members in scores)) throw new Error(`nobody should have asked for ${members}`);
    return scores[members]!;
  };

describe('the greedy soup', () => {
  test('tries the best first and keeps what does not make it worse', async () => {
    const score = table({ A: 70, B: 80, C: 75, D: 60, BC: 82, ABC: 81, BCD: 82 });
    const soup = await greedySoup({ candidates: NAMES, score, goal: 'max' });
    expect(soup.kept).toEqual(['B', 'C', 'D']);
    expect(shown(soup.weights)).toBe('0 1/3 1/3 1/3');
    expect(soup.score).toBe(82);
    expect(soup.decisions).toEqual([
      { candidate: 'B', score: 80, isKept: true },
      { candidate: 'C', score: 82, before: 80, isKept: true },
      { candidate: 'A', score: 81, before: 82, isKept: false },
      { candidate: 'D', score: 82, before: 82, isKept: true },
    ]);
    expect(soup.isComplete).toBe(true);
    expect(soup.dependsOn).toEqual(NAMES);
    expect(soup.evaluations).toHaveLength(7); // B alone is scored once
  });

  test('may want low scores', async () => {
    const score = table({ A: 3, B: 1, C: 2, BC: 0.5, ABC: 0.7, D: 9, BCD: 0.6 });
    const soup = await greedySoup({ candidates: NAMES, score, goal: 'min' });
    expect(soup.kept).toEqual(['B', 'C']);
  });

  test('may be given an order, which saves the scores of each alone', async () => {
    const score = table({ C: 1, CD: 2, ACD: 3, ABCD: 1 });
    const soup = await greedySoup({ candidates: NAMES, score, goal: 'max', order: [2, 3, 0, 1] });
    expect(soup.kept).toEqual(['C', 'D', 'A']);
    expect(soup.evaluations).toHaveLength(4);
  });

  test('depends on what was tried, and says when the budget ended it', async () => {
    const score = table({ C: 1, CD: 2 });
    const soup = await greedySoup({ candidates: NAMES, score, goal: 'max', order: [2, 3, 0, 1], budget: 2 });
    expect(soup).toMatchObject({ kept: ['C', 'D'], dependsOn: ['C', 'D'], isComplete: false });
    await expect(greedySoup({ candidates: NAMES, score: async () => 1, goal: 'max', budget: 3 })).rejects.toThrow(
      /a budget of 3 is less than the 4 candidates/,
    );
  });

  test.each([[[0, 1, 2]], [[0, 1, 2, 2]], [[1, 2, 3, 4]]])('an order of %j is refused', async (order) => {
    await expect(greedySoup({ candidates: NAMES, score: async () => 1, goal: 'max', order })).rejects.toThrow(
      /does not name each of the 4 candidates once/,
    );
  });
});

describe.each(['exchange', 'evolution'] as const)('searching by %s', (method) => {
  test.each<[number[]]>([[[0.5, 0.25, 0.25, 0]], [[0, 0, 1, 0]], [[0.25, 0.25, 0.25, 0.25]], [[0.1, 0.2, 0.3, 0.4]]])(
    'finds %j',
    async (target) => {
      const found = await searchWeights({ candidates: NAMES, score: distance(target), goal: 'min', method, grid: 64 });
      for (const [i, w] of numbers(found.weights).entries())
        expect(Math.abs(w - target[i]!)).toBeLessThanOrEqual(2 / 64);
      expect(numbers(found.weights).reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
      expect(found.isComplete).toBe(true);
      expect(found.improvements.at(-1)?.score).toBe(found.score);
      const scores = found.improvements.map(({ score }) => score);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
      expect(found.improvements.every(({ index, score }) => found.evaluations[index]?.score === score)).toBe(true);
    },
  );

  test('asks for no soup twice, and stops at its budget with the best so far', async () => {
    const asked: string[] = [];
    const target = distance([0.1, 0.2, 0.3, 0.4]);
    const score: Scorer = async (weights) => {
      asked.push(shown(weights));
      return target(weights);
    };
    const found = await searchWeights({ candidates: NAMES, score, goal: 'min', method, budget: 12 });
    expect(asked).toHaveLength(12);
    expect(new Set(asked).size).toBe(12);
    expect(found.isComplete).toBe(false);
    expect(found.score).toBe(Math.min(...found.evaluations.map(({ score }) => score)));
  });

  test('goes on from a log as if it had never stopped', async () => {
    const options = { candidates: NAMES, goal: 'min', method, seed: 7n } as const;
    const score = distance([0.7, 0.1, 0.2, 0]);
    const whole = await searchWeights({ ...options, score });
    const log: Evaluation[] = [];
    const controller = new AbortController();
    const first = searchWeights({
      ...options,
      score,
      signal: controller.signal,
      onEvaluation: (evaluation) => {
        log.push(evaluation);
        if (log.length === 9) controller.abort('SIGINT');
      },
    });
    await expect(first).rejects.toThrow(/stopped on request/);
    let scored = 0;
    const counting: Scorer = (weights) => {
      scored++;
      return score(weights);
    };
    const resumed = await searchWeights({ ...options, score: counting, known: log });
    expect(resumed).toEqual(whole);
    expect(scored).toBe(whole.evaluations.length - 9);
  });
});

describe('refusals', () => {
  const score = async () => 1;
  test.each<[object, RegExp]>([
    [{ candidates: ['A'] }, /2 ingredients or more, not 1/],
    [{ grid: 3 }, /the grid is 3; expected a whole number from 4/],
    [{ start: [parseFraction(1)] }, /expected 4 weights of 0 or more/],
    [{ budget: 0 }, /a budget of 0 leaves nothing to score/],
    [{ score: async () => Number.NaN }, /the score of the soup 1\/4,1\/4,1\/4,1\/4 is NaN/],
  ])('%#', async (wrong, message) => {
    await expect(searchWeights({ candidates: NAMES, score, goal: 'max', ...wrong })).rejects.toThrow(message);
  });
});

describe('the simplex', () => {
  test('the nearest point is found', () => {
    expect(ontoSimplex([0.5, 0.5])).toEqual([0.5, 0.5]);
    expect(ontoSimplex([2, 0])).toEqual([1, 0]);
    expect(ontoSimplex([-1, 0.2, 0.2]).map((x) => x.toFixed(6))).toEqual(['0.000000', '0.500000', '0.500000']);
  });

  test('rounding keeps the sum', () => {
    expect(onGrid([1 / 3, 1 / 3, 1 / 3], 64)).toEqual([22, 21, 21]);
    expect(onGrid([0.5, 0.25, 0.25], 64)).toEqual([32, 16, 16]);
  });
});
