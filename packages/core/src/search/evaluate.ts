/** Scoring soups by their weights: each only once, within a budget, with a log from which a search goes on. */
import { SoupError, throwIfAborted, UsageError } from '../errors.js';
import { add, divide, type Fraction, formatFraction, isZero, ZERO } from '../soup/fraction.js';

/** How good the soup with these weights is; they add up to 1. The same weights must give the same score. */
export type Scorer = (weights: readonly Fraction[]) => Promise<number>;

/** Whether a high score is good, such as an accuracy, or a low one, such as a loss. */
export type Goal = 'max' | 'min';

export interface Evaluation {
  readonly weights: readonly Fraction[];
  readonly score: number;
}

export interface EvaluateOptions {
  readonly score: Scorer;
  readonly goal: Goal;
  /** The most soups that are scored; those of `known` that come up count as well, so that resuming changes nothing. */
  readonly budget?: number;
  /** Of an earlier run with the same scorer. */
  readonly known?: readonly Evaluation[];
  readonly signal?: AbortSignal;
  /** Told of every soup that was scored, in order; `isNew` where it was not known. Awaited, so that it can be logged. */
  readonly onEvaluation?: (evaluation: Evaluation, facts: { index: number; isNew: boolean }) => void | Promise<void>;
}

export interface Evaluator {
  evaluate(weights: readonly Fraction[]): Promise<number>;
  isBetter(a: number, b: number): boolean;
  /** In the order in which they were asked for. */
  readonly evaluations: readonly Evaluation[];
}

/** Thrown inside a search when its budget is spent; what was found until then counts. */
export class BudgetSpent extends SoupError {
  override name = 'BudgetSpent';
}

export const keyOf = (weights: readonly Fraction[]): string => weights.map(formatFraction).join(',');

export function createEvaluator(options: EvaluateOptions): Evaluator {
  const { score, goal, budget = Number.POSITIVE_INFINITY, signal, onEvaluation } = options;
  const known = new Map((options.known ?? []).map(({ weights, score }) => [keyOf(normalized(weights)), score]));
  const scores = new Map<string, number>();
  const evaluations: Evaluation[] = [];
  return {
    evaluations,
    isBetter: (a, b) => (goal === 'max' ? a > b : a < b),
    async evaluate(asked) {
      const weights = normalized(asked);
      const key = keyOf(weights);
      const before = scores.get(key);
      if (before !== undefined) return before;
      if (evaluations.length >= budget) throw new BudgetSpent(`${budget} soups have been scored`);
      throwIfAborted(signal);
      const found = known.get(key);
      const value = found ?? (await score(weights));
      if (!Number.isFinite(value)) {
        throw new UsageError(`the score of the soup ${key} is ${value}; expected a finite number`, { weights: key });
      }
      scores.set(key, value);
      const evaluation = { weights, score: value };
      evaluations.push(evaluation);
      await onEvaluation?.(evaluation, { index: evaluations.length - 1, isNew: found === undefined });
      return value;
    },
  };
}

/** Scaled to add up to 1. */
export function normalized(weights: readonly Fraction[]): Fraction[] {
  const total = weights.reduce(add, ZERO);
  if (isZero(total)) throw new UsageError('the weights of a soup add up to 0: nothing would be left to score');
  return weights.map((weight) => divide(weight, total));
}

/** Runs a search until it ends or its budget does; whether it ended by itself. */
export async function untilSpent(search: () => Promise<void>): Promise<boolean> {
  try {
    await search();
    return true;
  } catch (error) {
    if (error instanceof BudgetSpent) return false;
    throw error;
  }
}
