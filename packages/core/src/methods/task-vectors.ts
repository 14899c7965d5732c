/**
 * TIES and DARE: soups of task vectors (fine-tuned minus base) of which only a part is used. They are no averages, so
 * they are weights that are computed when somebody reads them: merging and loading treat them as they treat a file.
 */
import type { Source } from '../checkpoint/source.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { elementCount } from '../gpu/graph.js';
import { blendOf, checkBlend, isFloat, type ResultType } from '../soup/blend.js';
import { type Fraction, isZero, multiply, ONE } from '../soup/fraction.js';
import { checkWholeNumbers } from '../soup/whole-numbers.js';
import { MAX_INGREDIENTS } from './gram.js';
import { type IntegerWeights, rescaling, weightsOfMean, weightsOfSum } from './integer-weights.js';
import { randomKey } from './random-key.js';
import { createTaskVectorKernel, type TaskVectorKernel } from './task-vector-kernel.js';

export interface TaskVectorOptions {
  /** What the ingredients were fine-tuned from. */
  readonly base: Weights;
  readonly ingredients: readonly Weights[];
  /** One for each ingredient. */
  readonly weights: readonly Fraction[];
  /** What the merged task vector is multiplied with before it is added to the base; 1 by default. */
  readonly lambda?: Fraction;
  /** Of the result; by default what all inputs are, or F32 where they differ. */
  readonly dtype?: ResultType;
  /** Bytes read at once, on the host and on the device. */
  readonly stageBytes?: number;
}

export interface TiesOptions extends TaskVectorOptions {
  /** The part of each task vector's elements that is kept, per tensor: above 0, at most 1. */
  readonly density: Fraction;
}

export interface DareOptions extends TaskVectorOptions {
  /** The probability of each element to be dropped: at least 0, below 1. */
  readonly drop: Fraction;
  readonly seed: bigint;
  /** Who each ingredient is to chance, whatever the file is called: its content hash. By default the weights' names. */
  readonly identities?: readonly string[];
  /** Merge as TIES does, with elected signs (`dare_ties`), instead of by a weighted sum (`dare_linear`). */
  readonly elect?: boolean;
}

/** Weights that take memory of the GPU until they are destroyed. They do not close what they are computed from. */
export interface ComputedWeights extends Weights {
  destroy(): void;
}

const STAGE_BYTES = 16 * 2 ** 20;

/**
 * Trim, elect sign and merge (Yadav et al. 2023, arXiv 2306.01708, algorithm 1), for each tensor:
 *
 *   δ_i  = θ_i - θ_base, without the elements smaller than the k-th largest, k = density * elements
 *   sign = sign(Σ w_i δ_i), for each element
 *   θ    = θ_base + λ Σ_A w_i δ_i / Σ_A |w_i|,   A: those whose w_i δ_i has that sign
 *
 * An element where the sum is 0 has no sign and stays as in the base (mergekit and PEFT take a plus there). Arithmetic
 * is exact and rounded once; what a threshold is compared with is |δ_i| rounded to f32.
 */
export function tiesWeights(gpu: Gpu, { density, ...options }: TiesOptions): Promise<ComputedWeights> {
  if (density.n <= 0n || density.n > density.d) {
    throw new UsageError('the density of TIES is a part of the elements: give a number above 0, up to 1', { density });
  }
  const { ingredients, weights, lambda = ONE } = options;
  return compute(gpu, options, {
    title: `TIES of ${ingredients.length} models`,
    numbers: weightsOfMean(weights, lambda),
    elect: true,
    density,
    drop: 0,
    keyOf: () => [0, 0],
  });
}

/**
 * Drop and rescale (Yu et al. 2023, arXiv 2311.03099): each element of each task vector is 0 with probability `drop`,
 * else divided by 1 - drop. Then θ = θ_base + λ Σ w_i δ_i, or with `elect` the signs and means of TIES. What is dropped
 * depends on the seed, the ingredient's identity, the tensor's name and the element's place in it, and on nothing else.
 */
export function dareWeights(gpu: Gpu, options: DareOptions): Promise<ComputedWeights> {
  const { ingredients, weights, lambda = ONE, drop, seed, elect = false } = options;
  const { identities = ingredients.map(({ name }) => name) } = options;
  if (drop.n < 0n || drop.n >= drop.d) {
    throw new UsageError('the drop rate of DARE is a probability: give a number from 0 to below 1', { drop });
  }
  const scale = multiply(lambda, rescaling(drop));
  return compute(gpu, options, {
    title: `DARE of ${ingredients.length} models`,
    numbers: elect ? weightsOfMean(weights, scale) : weightsOfSum(weights, scale),
    elect,
    density: ONE,
    drop: Number((drop.n << 32n) / drop.d),
    keyOf: (ingredient, key) => randomKey(seed, identities[ingredient]!, key),
  });
}

interface Rule {
  readonly title: string;
  readonly numbers: IntegerWeights;
  readonly elect: boolean;
  readonly density: Fraction;
  /** Of 2^32. */
  readonly drop: number;
  keyOf(ingredient: number, key: string): readonly [number, number];
}

async function compute(gpu: Gpu, options: TaskVectorOptions, rule: Rule): Promise<ComputedWeights> {
  const { base, ingredients, weights, dtype, stageBytes = STAGE_BYTES } = options;
  if (ingredients.length === 0 || ingredients.length > MAX_INGREDIENTS || weights.length !== ingredients.length) {
    throw new UsageError(
      `there are ${ingredients.length} ingredients and ${weights.length} weights; give 1 to ${MAX_INGREDIENTS}, ` +
        'with a weight each',
    );
  }
  if (weights.every(isZero)) throw new UsageError('all weights are 0: nothing would be added to the base');
  const all = [...ingredients, base];
  checkBlend(blendOf(all));
  await checkWholeNumbers([base, ...ingredients]);
  const weighing = ingredients.flatMap((_, i) => (isZero(weights[i]!) ? [] : [i]));
  const kernel = createTaskVectorKernel(gpu, {
    ...rule.numbers,
    p: weighing.map((i) => rule.numbers.p[i]!),
    elect: rule.elect,
    density: rule.density,
    drop: rule.drop,
    stageBytes: Math.min(stageBytes, mostBytes(all)),
  });
  const tensors = new Map<string, TensorInfo>();
  for (const [key, info] of base.tensors) {
    if (!isFloat(info)) {
      tensors.set(key, info);
      continue;
    }
    const result = dtype ?? commonType(all.map((of) => of.tensors.get(key)!));
    const source = computedSource(kernel, {
      name: rule.title,
      key,
      result,
      elements: elementCount(info.shape),
      tensors: [...weighing.map((i) => ingredients[i]!.tensors.get(key)!), info],
      keys: weighing.map((i) => rule.keyOf(i, key)),
    });
    tensors.set(key, { name: key, dtype: result, shape: info.shape, source, offset: 0, byteLength: source.size });
  }
  return { name: rule.title, tensors, metadata: base.metadata, destroy: () => kernel.destroy() };
}

function commonType(infos: readonly TensorInfo[]): ResultType {
  const types = new Set(infos.map(({ dtype }) => (dtype === 'F16' || dtype === 'BF16' ? dtype : 'F32')));
  return types.size === 1 ? [...types][0]! : 'F32';
}

/** Bytes of the largest tensor, of all together: more staging memory is never used. */
function mostBytes(all: readonly Weights[]): number {
  const sizes = [...all[0]!.tensors.keys()].map((key) =>
    all.reduce((sum, { tensors }) => sum + tensors.get(key)!.byteLength + 64, 0),
  );
  return Math.max(64, ...sizes);
}

interface ComputedTensor {
  readonly name: string;
  readonly key: string;
  readonly result: ResultType;
  readonly elements: number;
  readonly tensors: readonly TensorInfo[];
  readonly keys: readonly (readonly [number, number])[];
}

/** The bytes of one tensor; any range may be read, large ones in order are fastest. */
function computedSource(kernel: TaskVectorKernel, tensor: ComputedTensor): Source {
  const width = tensor.result === 'F32' ? 4 : 2;
  const size = tensor.elements * width;
  return {
    name: tensor.name,
    size,
    async readInto(target, offset) {
      const end = offset + target.byteLength;
      if (offset < 0 || end > size) {
        throw new RangeError(`${tensor.name}: wanted ${target.byteLength} bytes at ${offset} of ${size}`);
      }
      const first = Math.floor(offset / width);
      await kernel.run(tensor, first, Math.ceil(end / width) - first, (bytes, from) => {
        const at = from * width - offset;
        const skipped = Math.max(0, -at);
        target.set(bytes.subarray(skipped, skipped + target.byteLength - Math.max(0, at)), Math.max(0, at));
      });
    },
  };
}
