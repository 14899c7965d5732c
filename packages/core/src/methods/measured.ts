/**
 * Methods whose coefficients follow from how the ingredients lie to each other: measured on the GPU (gram.ts), computed
 * on the CPU in f64, and then applied by the exact average, tensor by tensor.
 */
import type { Weights } from '../checkpoint/weights.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import type { Mix } from '../soup/mix.js';
import { mixOfCoefficients } from './coefficients.js';
import { geometricMedian } from './geometric-median.js';
import { type Gram, type MeasureOptions, measure } from './gram.js';
import { modelStockRatio } from './model-stock.js';
import { slerpCoefficients } from './slerp.js';

/** The weights of each float tensor, in the order of `ingredients`. */
export interface MeasuredMix {
  readonly ingredients: readonly Weights[];
  readonly table: ReadonlyMap<string, Mix>;
}

type Measuring = Omit<MeasureOptions, 'base'>;

/** From the first (t = 0) to the second (t = 1); with a base the arc is that of the differences from it. */
export async function slerpMix(
  gpu: Gpu,
  ingredients: readonly Weights[],
  { t, base, ...options }: Measuring & { readonly t: number; readonly base?: Weights },
): Promise<MeasuredMix> {
  if (ingredients.length !== 2) {
    throw new UsageError(`SLERP goes from one model to another: give two ingredients, not ${ingredients.length}`);
  }
  const grams = await measure(gpu, ingredients, base ? 'deltas' : 'products', { base, ...options });
  const mix = (gram: Gram): Mix => {
    const [a, b] = slerpCoefficients(gram, t);
    const isChord = a === 1 - t && b === t;
    return mixOfCoefficients(base ? [a, b, 1 - a - b] : [a, b], { affine: isChord || base !== undefined });
  };
  return { ingredients: base ? [...ingredients, base] : ingredients, table: mapValues(grams, mix) };
}

/** t of the way from the base to the mean of the ingredients. */
export async function modelStockMix(
  gpu: Gpu,
  ingredients: readonly Weights[],
  { base, ...options }: Measuring & { readonly base: Weights },
): Promise<MeasuredMix> {
  const grams = await measure(gpu, ingredients, 'deltas', { base, ...options });
  const table = mapValues(grams, (gram) => {
    const t = modelStockRatio(gram);
    return mixOfCoefficients([...ingredients.map(() => t / ingredients.length), 1 - t], { affine: true });
  });
  return { ingredients: [...ingredients, base], table };
}

export interface MedianOptions extends Measuring {
  /** Not negative, one for each ingredient. */
  readonly weights: readonly number[];
  /** The median of each tensor by itself, or of all together, seen as one vector. */
  readonly scope?: 'tensor' | 'model';
  /** What ingredients are sorted by, so that sums of f64 come out the same in every order; by default their names. */
  readonly identities?: readonly string[];
}

export async function geometricMedianMix(
  gpu: Gpu,
  ingredients: readonly Weights[],
  { weights, scope = 'tensor', identities = ingredients.map(({ name }) => name), ...options }: MedianOptions,
): Promise<MeasuredMix> {
  const order = ingredients.map((_, i) => i).sort((a, b) => compare(identities[a]!, identities[b]!));
  const sorted = order.map((i) => ingredients[i]!);
  const distances = await measure(gpu, sorted, 'distances', options);
  const sortedWeights = order.map((i) => weights[i]!);
  const mix = (gram: Gram): Mix => {
    const median = geometricMedian(gram, sortedWeights);
    return mixOfCoefficients(
      ingredients.map((_, i) => median[order.indexOf(i)]!),
      { affine: true },
    );
  };
  if (scope === 'tensor') return { ingredients, table: mapValues(distances, mix) };
  const whole = mix(sortedSum(distances, ingredients.length));
  return { ingredients, table: mapValues(distances, () => whole) };
}

/** Squared distances of whole models, added in the order of the tensors' names: files may list them as they like. */
function sortedSum(grams: ReadonlyMap<string, Gram>, n: number): Gram {
  const inOrder = [...grams].sort(([a], [b]) => compare(a, b));
  return Array.from({ length: n }, (_, i) =>
    Array.from({ length: n }, (_, j) => inOrder.reduce((sum, [, gram]) => sum + gram[i]![j]!, 0)),
  );
}

/** By UTF-16 unit: the same everywhere, unlike a locale's order. */
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const mapValues = <K, A, B>(map: ReadonlyMap<K, A>, of: (value: A) => B): Map<K, B> =>
  new Map([...map].map(([key, value]) => [key, of(value)]));
