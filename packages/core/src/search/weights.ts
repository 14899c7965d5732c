/**
 * Searching for weights, without derivatives, among those that are 0 or more and add up to 1. They lie on a grid of
 * whole parts of 1, so that a soup comes up again exactly, and what was found is a recipe that can be written down.
 *
 *   exchange    from the best soup known, moves a share from one ingredient to another as long as that helps, then
 *               halves the share: a generating set search (Kolda, Lewis & Torczon, SIAM Review 45, 2003)
 *   evolution   one parent and some children with Gaussian changes, whose size follows success: a (1 + λ) evolution
 *               strategy (Rechenberg 1973); worth it for many ingredients, where there are too many pairs
 */
import { UsageError } from '../errors.js';
import { cpuNoise } from '../sampler/noise-cpu.js';
import { type Fraction, fraction, fractionToNumber } from '../soup/fraction.js';
import {
  createEvaluator,
  type EvaluateOptions,
  type Evaluation,
  type Evaluator,
  normalized,
  untilSpent,
} from './evaluate.js';

export type SearchMethod = 'exchange' | 'evolution';

export interface SearchOptions extends EvaluateOptions {
  /** What the ingredients are called. */
  readonly candidates: readonly string[];
  readonly method?: SearchMethod;
  /** Where the search begins; equal weights by default. */
  readonly start?: readonly Fraction[];
  /** Weights are multiples of 1 / grid. */
  readonly grid?: number;
  /** Of the random changes of `evolution`. */
  readonly seed?: bigint;
  /** Children of a generation of `evolution`. */
  readonly children?: number;
}

/** A soup that was better than all before it. */
export interface Improvement extends Evaluation {
  /** Its place among the evaluations. */
  readonly index: number;
}

export interface FoundWeights extends Evaluation {
  readonly improvements: readonly Improvement[];
  /** Whose weights had a part in what was chosen: all that are searched over. */
  readonly dependsOn: readonly string[];
  /** False when the budget was spent before the search had ended. */
  readonly isComplete: boolean;
  readonly evaluations: readonly Evaluation[];
}

const DEFAULT_GRID = 64;
const LARGEST_GRID = 2 ** 16;

/** Weights as numbers of grid steps. */
type Point = readonly number[];

export async function searchWeights(options: SearchOptions): Promise<FoundWeights> {
  const { candidates, method = 'exchange', grid = DEFAULT_GRID } = options;
  const count = candidates.length;
  if (count < 2) throw new UsageError(`there are weights to search for with 2 ingredients or more, not ${count}`);
  if (!Number.isInteger(grid) || grid < count || grid > LARGEST_GRID) {
    throw new UsageError(`the grid is ${grid}; expected a whole number from ${count} to ${LARGEST_GRID}`);
  }
  const start = normalized(options.start ?? candidates.map(() => fraction(1n)));
  if (start.length !== count || start.some(({ n }) => n < 0n)) {
    throw new UsageError(`expected ${count} weights of 0 or more to start from`);
  }
  const evaluator = createEvaluator(options);
  const improvements: Improvement[] = [];
  const weightsOf = (point: Point): Fraction[] => point.map((steps) => fraction(BigInt(steps), BigInt(grid)));
  /** Scores a soup; true if it is the best so far. */
  const attempt = async (weights: readonly Fraction[]): Promise<boolean> => {
    const score = await evaluator.evaluate(weights);
    const best = improvements.at(-1);
    if (best && !evaluator.isBetter(score, best.score)) return false;
    improvements.push({ weights, score, index: indexOf(evaluator, weights) });
    return true;
  };
  const isComplete = await untilSpent(async () => {
    await attempt(start);
    const walk = method === 'evolution' ? evolve : exchange;
    await walk(onGrid(start.map(fractionToNumber), grid), (point) => attempt(weightsOf(point)), { ...options, grid });
  });
  const best = improvements.at(-1);
  if (!best) throw new UsageError(`a budget of ${options.budget} leaves nothing to score`);
  return {
    weights: best.weights,
    score: best.score,
    improvements,
    dependsOn: candidates,
    isComplete,
    evaluations: evaluator.evaluations,
  };
}

const indexOf = ({ evaluations }: Evaluator, weights: readonly Fraction[]): number =>
  evaluations.findIndex((one) => one.weights.every(({ n, d }, i) => n === weights[i]!.n && d === weights[i]!.d));

type Attempt = (point: Point) => Promise<boolean>;
type WalkOptions = SearchOptions & { readonly grid: number };

async function exchange(start: Point, attempt: Attempt, { grid }: WalkOptions): Promise<void> {
  let here = start;
  await attempt(here);
  for (let share = 2 ** Math.floor(Math.log2(grid / start.length)); share >= 1; share /= 2) {
    for (let moved = true; moved; ) {
      moved = false;
      for (const [from, to] of pairs(start.length)) {
        // What an ingredient has left goes over as a whole, so that the search reaches 0.
        const step = Math.min(share, here[from]!);
        if (step === 0) continue;
        const there = here.map((steps, i) => steps + (i === to ? step : i === from ? -step : 0));
        if (await attempt(there)) [here, moved] = [there, true];
      }
    }
  }
}

function* pairs(count: number): Generator<readonly [number, number]> {
  for (let from = 0; from < count; from++) for (let to = 0; to < count; to++) if (from !== to) yield [from, to];
}

/** After a success the changes grow, after a failure they shrink a little: a fifth of the generations should succeed. */
const GROWTH = 1.5;
const SHRINKING = GROWTH ** -0.25;
const FIRST_SIZE = 0.25;

async function evolve(start: Point, attempt: Attempt, { grid, seed = 0n, children = 4 }: WalkOptions): Promise<void> {
  const normal = cpuNoise(seed);
  let here = start;
  await attempt(here);
  for (let size = FIRST_SIZE; size * grid >= 0.5; ) {
    let best: Point | undefined;
    for (let child = 0; child < children; child++) {
      const noise = normal(start.length);
      const moved = here.map((steps, i) => steps / grid + size * noise[i]!);
      const there = onGrid(ontoSimplex(moved), grid);
      if (await attempt(there)) best = there;
    }
    here = best ?? here;
    size *= best ? GROWTH : SHRINKING;
  }
}

/** The nearest weights that are 0 or more and add up to 1 (Duchi et al. 2008, ICML, figure 1). */
export function ontoSimplex(x: readonly number[]): number[] {
  const sorted = [...x].sort((a, b) => b - a);
  let sum = 0;
  let shift = 0;
  for (const [i, value] of sorted.entries()) {
    sum += value;
    if (value - (sum - 1) / (i + 1) > 0) shift = (sum - 1) / (i + 1);
  }
  return x.map((value) => Math.max(0, value - shift));
}

/** Weights as whole steps that add up to the grid; the largest remainders are rounded up. */
export function onGrid(weights: readonly number[], grid: number): number[] {
  const steps = weights.map((weight) => Math.floor(weight * grid + 1e-9));
  const missing = grid - steps.reduce((a, b) => a + b, 0);
  const byRemainder = [...weights.keys()].sort(
    (a, b) => weights[b]! * grid - steps[b]! - (weights[a]! * grid - steps[a]!) || a - b,
  );
  for (const i of byRemainder.slice(0, missing)) steps[i]!++;
  return steps;
}
