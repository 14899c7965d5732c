/** The ways to make one set of weights out of many, by the names that merging tools give them. */
import type { Weights } from '../checkpoint/weights.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { type Blend, blendOf, checkBlend, type ResultType } from '../soup/blend.js';
import {
  add,
  divide,
  type Fraction,
  fraction,
  fractionToNumber,
  isZero,
  multiply,
  ONE,
  parseFraction,
  ZERO,
} from '../soup/fraction.js';
import { type Mix, mixOf } from '../soup/mix.js';
import { geometricMedianMix, type MeasuredMix, modelStockMix, slerpMix } from './measured.js';
import { type ComputedWeights, dareWeights, tiesWeights } from './task-vectors.js';

export {
  type ComputedWeights,
  type DareOptions,
  dareWeights,
  type TaskVectorOptions,
  type TiesOptions,
  tiesWeights,
} from './task-vectors.js';

export const methods = [
  'linear',
  'task_arithmetic',
  'slerp',
  'ties',
  'dare_linear',
  'dare_ties',
  'model_stock',
  'geometric_median',
] as const;
export type Method = (typeof methods)[number];

export interface MethodParameters {
  /** `linear`: how far to go from the base to the average; 1 by default, and then no base is needed. */
  readonly strength?: Fraction;
  /** Task vectors: what their sum or mean is multiplied with; 1 by default. */
  readonly lambda?: Fraction;
  /** `slerp`: from 0, the first, to 1, the second; by default the second's part of the weights. */
  readonly t?: number | Fraction;
  /** `slerp`: on the differences from the base instead of on the weights themselves. */
  readonly deltas?: boolean;
  /** `ties`: the part of each task vector that is kept; 0.2 by default, as in the paper. */
  readonly density?: number | Fraction;
  /** `dare_*`: the probability of each element to be dropped; 0.9 by default. */
  readonly drop?: number | Fraction;
  /** `dare_*`: 0 by default. */
  readonly seed?: number | bigint;
  /** `geometric_median`: of each tensor, which is the default, or of all tensors of the part together. */
  readonly scope?: 'tensor' | 'model';
}

/** What each method takes. */
export const methodParameters: Readonly<Record<Method, readonly (keyof MethodParameters)[]>> = {
  linear: ['strength'],
  task_arithmetic: ['lambda'],
  slerp: ['t', 'deltas'],
  ties: ['density', 'lambda'],
  dare_linear: ['drop', 'seed', 'lambda'],
  dare_ties: ['drop', 'seed', 'lambda'],
  model_stock: [],
  geometric_median: ['scope'],
};

/** Whether a method cannot do without the model that the ingredients were fine-tuned from. */
export const needsBase = (method: Method, { strength, deltas }: MethodParameters = {}): boolean =>
  ['task_arithmetic', 'ties', 'dare_linear', 'dare_ties', 'model_stock'].includes(method) ||
  strength !== undefined ||
  deltas === true;

export interface MethodRequest {
  readonly method: Method;
  readonly parameters?: MethodParameters;
  readonly base?: Weights;
  readonly ingredients: readonly Weights[];
  /** One for each ingredient; 1 each by default. Task vectors are multiplied with them as they are; means are weighted. */
  readonly weights?: readonly Fraction[];
  /** `linear`: whether the weights are scaled to add up to 1; they are by default. */
  readonly normalize?: boolean;
}

export interface ApplyOptions {
  readonly dtype?: ResultType;
  readonly allowNonFinite?: boolean;
  /** Content hashes of the ingredients: who they are, whatever their files are called. By default their names. */
  readonly identities?: readonly string[];
  readonly signal?: AbortSignal;
  /** Bytes measured so far, and in all; only methods that measure report. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface AppliedMethod {
  readonly blend: Blend;
  /** `exact`: the same bytes on every adapter. `deterministic`: on the same adapter and driver. */
  readonly arithmetic: 'exact' | 'deterministic';
  /** Of methods that measure: the weights of each float tensor, in the order of the blend's ingredients. */
  readonly table?: ReadonlyMap<string, Mix>;
  /** Gives back memory, once the blend has been read. */
  destroy(): void;
}

/** The blend that a method makes of one part of a model. What it reads stays open until the blend has been read. */
export async function applyMethod(
  gpu: Gpu,
  request: MethodRequest,
  options: ApplyOptions = {},
): Promise<AppliedMethod> {
  const { method, parameters = {}, ingredients, weights = ingredients.map(() => ONE), normalize = true } = request;
  check(request, parameters, weights);
  const base = needsBase(method, parameters) ? baseOf(request) : undefined;
  const all = base ? [...ingredients, base] : ingredients;
  const common = { dtype: options.dtype, allowNonFinite: options.allowNonFinite };
  const fixed = (mix: Mix): AppliedMethod => ({
    blend: { ingredients: all, mix: () => mix, ...common },
    arithmetic: 'exact',
    destroy() {},
  });
  const measured = ({ ingredients, table }: MeasuredMix): AppliedMethod => {
    const first: Mix = { p: ingredients.map((_, i) => (i === 0 ? 1 : 0)), q: 1 };
    return {
      blend: { ingredients, mix: (key) => table.get(key) ?? first, ...common },
      arithmetic: 'deterministic',
      table,
      destroy() {},
    };
  };
  const computed = async (made: Promise<ComputedWeights>): Promise<AppliedMethod> => {
    const weights = await made;
    return { blend: { ...blendOf([weights]), ...common }, arithmetic: 'exact', destroy: () => weights.destroy() };
  };
  checkBlend(blendOf(all));
  const { lambda = ONE, seed = 0 } = parameters;
  const vectors = { base: base!, ingredients, weights, lambda, dtype: options.dtype };
  const { identities, signal, onProgress } = options;
  const measuring = { signal, onProgress };
  const drop = asFraction(parameters.drop ?? 0.9);
  switch (method) {
    case 'linear':
      return fixed(linearMix(weights, normalize, parameters.strength));
    case 'task_arithmetic':
      return fixed(taskArithmeticMix(weights, lambda));
    case 'slerp':
      return measured(await slerpMix(gpu, ingredients, { t: slerpT(weights, parameters.t), base, ...measuring }));
    case 'ties':
      return computed(tiesWeights(gpu, { ...vectors, density: asFraction(parameters.density ?? 0.2) }));
    case 'dare_linear':
    case 'dare_ties':
      return computed(
        dareWeights(gpu, { ...vectors, drop, seed: BigInt(seed), identities, elect: method === 'dare_ties' }),
      );
    case 'model_stock':
      return measured(await modelStockMix(gpu, ingredients, { base: base!, ...measuring }));
    case 'geometric_median': {
      const { scope } = parameters;
      const numbers = weights.map(fractionToNumber);
      return measured(
        await geometricMedianMix(gpu, ingredients, { weights: numbers, scope, identities, ...measuring }),
      );
    }
  }
}

/** The weighted mean, or sum; with a strength s the base is the last ingredient: s * mean + (1 - s) * base. */
function linearMix(weights: readonly Fraction[], normalize: boolean, strength?: Fraction): Mix {
  const total = weights.reduce(add);
  if (!strength || isZero(total)) return mixOf(weights, { normalize });
  const scaled = weights.map((weight) => multiply(weight, normalize ? divide(strength, total) : strength));
  return mixOf([...scaled, add(ONE, negative(strength))], { normalize });
}

/** base + λ Σ w_i (θ_i - base), the base last (Ilharco et al. 2023, arXiv 2212.04089). */
function taskArithmeticMix(weights: readonly Fraction[], lambda: Fraction): Mix {
  const scaled = weights.map((weight) => multiply(weight, lambda));
  return mixOf([...scaled, add(ONE, negative(scaled.reduce(add, ZERO)))]);
}

function slerpT(weights: readonly Fraction[], t?: number | Fraction): number {
  if (t !== undefined) return fractionToNumber(asFraction(t));
  const total = weights.reduce(add);
  if (isZero(total)) throw new UsageError('the weights of SLERP add up to 0: they say nothing of where to stop');
  return fractionToNumber(divide(weights.at(-1)!, total));
}

const negative = ({ n, d }: Fraction): Fraction => fraction(-n, d);

const asFraction = (value: number | Fraction): Fraction => (typeof value === 'object' ? value : parseFraction(value));

function baseOf({ method, base }: MethodRequest): Weights {
  if (base) return base;
  throw new UsageError(`${method} needs the base: the model that the ingredients were fine-tuned from`, { method });
}

function check({ method, ingredients }: MethodRequest, parameters: MethodParameters, weights: readonly Fraction[]) {
  if (ingredients.length === 0) throw new UsageError('a soup needs at least one ingredient');
  if (weights.length !== ingredients.length) {
    throw new UsageError(`there are ${ingredients.length} ingredients but ${weights.length} weights`);
  }
  const taken = methodParameters[method];
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || taken.includes(name as keyof MethodParameters)) continue;
    const has = taken.length > 0 ? `it has ${taken.join(', ')}` : 'it has none';
    throw new UsageError(`${method} has no parameter "${name}"; ${has}`, { method, parameter: name });
  }
  const [first] = weights;
  if (method === 'model_stock' && weights.some(({ n, d }) => n !== first!.n || d !== first!.d)) {
    throw new UsageError('model_stock weighs its ingredients alike; leave their weights out', { method });
  }
}
