/**
 * The greedy soup (Wortsman et al. 2022, "Model soups", arXiv 2203.05482, recipe 1): candidates are tried from the best
 * to the worst, and each stays in the uniform soup if the score does not get worse by it.
 */
import { UsageError } from '../errors.js';
import { type Fraction, fraction, ZERO } from '../soup/fraction.js';
import { createEvaluator, type EvaluateOptions, type Evaluation, untilSpent } from './evaluate.js';

export interface GreedyOptions extends EvaluateOptions {
  /** What the candidates are called in the decisions. */
  readonly candidates: readonly string[];
  /** Indices of the candidates in the order in which they are tried; by default they are scored, and sorted by that. */
  readonly order?: readonly number[];
}

/** One candidate tried. */
export interface GreedyDecision {
  readonly candidate: string;
  /** The score of the soup with it. */
  readonly score: number;
  /** The score of the soup without it; the first candidate has none to compare with. */
  readonly before?: number;
  readonly isKept: boolean;
}

export interface GreedySoup {
  /** Of the candidates in their order: the same for all that were kept, 0 for the others. */
  readonly weights: readonly Fraction[];
  readonly score: number;
  /** Names, in the order in which they went in. */
  readonly kept: readonly string[];
  readonly decisions: readonly GreedyDecision[];
  /**
   * Whose weights had a part in what was chosen: all that were scored, kept or not. Whoever takes one of them out of
   * the soup later has to search again.
   */
  readonly dependsOn: readonly string[];
  /** False when the budget was spent before every candidate was tried. */
  readonly isComplete: boolean;
  readonly evaluations: readonly Evaluation[];
}

export async function greedySoup({ candidates, order, ...options }: GreedyOptions): Promise<GreedySoup> {
  checkCandidates(candidates, order);
  const evaluator = createEvaluator(options);
  const uniform = (members: readonly number[]): Fraction[] =>
    candidates.map((_, i) => (members.includes(i) ? fraction(1n, BigInt(members.length)) : ZERO));

  let kept: number[] = [];
  let score = Number.NaN;
  const decisions: GreedyDecision[] = [];
  const isComplete = await untilSpent(async () => {
    for (const i of order ?? (await sortedByScore())) {
      const tried = await evaluator.evaluate(uniform([...kept, i]));
      const isKept = kept.length === 0 || !evaluator.isBetter(score, tried);
      const before = kept.length > 0 ? { before: score } : {};
      decisions.push({ candidate: candidates[i]!, score: tried, ...before, isKept });
      if (isKept) [kept, score] = [[...kept, i], tried];
    }
  });
  async function sortedByScore(): Promise<number[]> {
    const scores: number[] = [];
    for (const i of candidates.keys()) scores.push(await evaluator.evaluate(uniform([i])));
    // The sort is stable: of equal ones the first named is tried first.
    const rank = (a: number, b: number) => Number(evaluator.isBetter(scores[b]!, scores[a]!)) * 2 - 1;
    return [...candidates.keys()].sort((a, b) => (scores[a] === scores[b] ? 0 : rank(a, b)));
  }
  if (kept.length === 0) {
    throw new UsageError(
      `a budget of ${options.budget} is less than the ${candidates.length} candidates, each of which is scored first`,
      { budget: options.budget },
    );
  }
  const asked = evaluator.evaluations.flatMap(({ weights }) => weights.flatMap(({ n }, i) => (n === 0n ? [] : [i])));
  return {
    weights: uniform(kept),
    score,
    kept: kept.map((i) => candidates[i]!),
    decisions,
    dependsOn: candidates.filter((_, i) => asked.includes(i)),
    isComplete,
    evaluations: evaluator.evaluations,
  };
}

function checkCandidates(candidates: readonly string[], order: readonly number[] | undefined): void {
  if (candidates.length === 0) throw new UsageError('a greedy soup needs at least one candidate');
  const sorted = order && [...new Set(order)].sort((a, b) => a - b);
  if (sorted && (sorted.length !== candidates.length || sorted.some((index, i) => index !== i))) {
    throw new UsageError(
      `the order ${order?.join(', ')} does not name each of the ${candidates.length} candidates once, from 0 on`,
    );
  }
}
