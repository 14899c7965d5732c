/**
 * The point whose weighted distances to all ingredients add up to the least. Unlike the mean it hardly moves when one
 * ingredient is far off. Everything happens in the space of coefficients: the median is Σ c_i θ_i with Σ c_i = 1, and
 * distances follow from the squared distances D_ij = |θ_i - θ_j|² between ingredients:
 *
 *   |Σ v_i θ_i|² = - 1/2 Σ v_i v_j D_ij   where Σ v_i = 0
 */
import { UsageError } from '../errors.js';

type Matrix = readonly (readonly number[])[];

/** Steps at most; the error shrinks by a constant factor with each, usually by 2 or more. */
const MOST_STEPS = 1000;
/** A step that changes no coefficient by more has arrived; coefficients are kept to a millionth. */
const TOLERANCE = 1e-9;
/** A squared distance that is this part of the terms that it is made of is 0: rounding leaves no more. */
const COINCIDES = 1e-12;

/**
 * Coefficients of the geometric median, which add up to 1. Weiszfeld's iteration in the form of Vardi & Zhang ("The
 * multivariate L1-median and associated data depth", PNAS 97, 2000), which does not stick to an ingredient that it
 * meets on its way; it starts at the weighted mean. `weights` are not negative.
 */
export function geometricMedian(distances: Matrix, weights: readonly number[] = distances.map(() => 1)): number[] {
  if (weights.some((weight) => !(weight >= 0)) || !weights.some((weight) => weight > 0)) {
    throw new UsageError(`weights of a geometric median are 0 or more, not all 0; found ${weights.join(', ')}`);
  }
  const vertex = medianVertex(distances, weights);
  if (vertex) return vertex;
  let at = normalized(weights);
  for (let step = 0; step < MOST_STEPS; step++) {
    const next = weiszfeld(distances, weights, at);
    const change = Math.max(...next.map((c, i) => Math.abs(c - at[i]!)));
    at = next;
    if (change < TOLERANCE) break;
  }
  return normalized(at);
}

/**
 * The ingredient that is the median itself, if one is: the pull of all others is weaker than its own weight (Kuhn,
 * "A note on Fermat's problem", Mathematical Programming 4, 1973). The iteration would creep towards it for ever.
 */
function medianVertex(distances: Matrix, weights: readonly number[]): number[] | undefined {
  for (const row of distances) {
    const here = row.map((d, i) => (d === 0 ? weights[i]! : 0));
    const own = sum(here);
    if (own === 0) continue;
    const pull = pullOn(weights, row);
    const total = sum(pull);
    // Σ pull_i (θ_i - θ_k), its coefficients adding up to 0.
    const force = Math.sqrt(
      squaredSize(
        distances,
        pull.map((u, i) => u - total * (here[i]! / own)),
      ),
    );
    // Where the force is the weight, as between two equal ingredients, all points between are medians: the mean is fairer.
    if (force < own * (1 - 1e-6)) return normalized(here);
  }
  return undefined;
}

/** One step of Vardi & Zhang: their T̃ and, where `at` meets ingredients, η and r. */
function weiszfeld(distances: Matrix, weights: readonly number[], at: readonly number[]): number[] {
  const own = quadratic(distances, at, at) / 2;
  const squares = distances.map((row) => {
    const terms = row.reduce((total, d, j) => total + d * at[j]!, 0);
    return terms - own > COINCIDES * terms ? terms - own : 0;
  });
  const pull = pullOn(weights, squares);
  const total = sum(pull);
  if (total === 0) return [...at]; // all in one place
  const target = pull.map((u) => u / total);
  const met = sum(weights.filter((_, i) => squares[i] === 0));
  if (met === 0) return target;
  const force =
    total *
    Math.sqrt(
      squaredSize(
        distances,
        target.map((c, i) => c - at[i]!),
      ),
    );
  const stay = force > 0 ? Math.min(1, met / force) : 1;
  return target.map((c, i) => (1 - stay) * c + stay * at[i]!);
}

const pullOn = (weights: readonly number[], squares: readonly number[]): number[] =>
  weights.map((weight, i) => (squares[i]! > 0 ? weight / Math.sqrt(squares[i]!) : 0));

const squaredSize = (distances: Matrix, v: readonly number[]): number => Math.max(0, -quadratic(distances, v, v) / 2);

const quadratic = (distances: Matrix, a: readonly number[], b: readonly number[]): number =>
  distances.reduce((total, row, i) => total + a[i]! * row.reduce((inner, d, j) => inner + d * b[j]!, 0), 0);

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

function normalized(values: readonly number[]): number[] {
  const total = sum(values);
  return values.map((value) => value / total);
}
