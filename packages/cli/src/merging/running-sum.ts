/**
 * Running sums: Σ p_i θ_i of the ingredients of a part as whole numbers of 2^-24, beside the soup. A shard is added to
 * them or taken from them without reading the others, and nothing is lost, since integers forget nothing.
 */
import {
  type Blend,
  type Fraction,
  formatFraction,
  fraction,
  LARGEST_MIX,
  type LedgerSums,
  layOutFile,
  type MergePlan,
  multiply,
  type OutputTensor,
  outputsOf,
  type PlannedFile,
  UsageError,
  type WeightedComponent,
} from '@diffusion-soup/core';
import type { Kitchen } from '../kitchen.js';
import type { WrittenFile } from './write.js';

export const SUM_FOLDER = 'running-sum';

/** What weights are multiplied with to become whole numbers. */
export type Scale = Fraction;

/** The least scale of these weights that is a multiple of `least`. */
export function scaleOf(weights: readonly Fraction[], least: Scale = fraction(1n)): Scale {
  return weights.reduce((scale, { d }) => multiply(scale, fraction(d / gcd(scale.n, d))), least);
}

function gcd(a: bigint, b: bigint): bigint {
  return b === 0n ? a : gcd(b, a % b);
}

/** A weight as a whole number; undefined when it is too fine for the shaders. */
export function wholeWeight(weight: Fraction, scale: Scale): number | undefined {
  const { n, d } = multiply(weight, scale);
  return d === 1n && n <= LARGEST_MIX && n >= -LARGEST_MIX ? Number(n) : undefined;
}

/** Why a recipe has no running sum, in words; undefined when it has one. */
export function noSumBecause({ order, ingredients, loras }: Kitchen): string | undefined {
  const { method = 'linear', parameters, normalize = true, dtype } = order;
  if (method !== 'linear' || parameters?.strength) return 'the recipe is no plain average';
  if (!normalize) return 'its weights are not scaled to add up to 1';
  if (ingredients.some(({ blocks }) => blocks !== undefined)) return 'it has block weights';
  if (loras.length > 0 || ingredients.some((one) => one.loras?.length)) return 'it bakes LoRAs';
  if (dtype && dtype !== 'F16') return `its result is ${dtype}; sums are kept of F16`;
  return undefined;
}

/** The plan with the sums of every part that is averaged; `words` of 32 bits each. */
export function withSums(plan: MergePlan, kitchen: Kitchen, words: 1 | 2): MergePlan {
  const sums: PlannedFile[] = [];
  for (const [part, { isCopy, sources, from }] of plan.cooked) {
    if (isCopy || sources.length < 2) continue;
    const weights = from.map((folder) => kitchen.ingredients.find((one) => one.folder === folder)!.weight);
    const scale = scaleOf(weights);
    const p = weights.map((weight) => wholeWeight(weight, scale));
    if (p.some((one) => one === undefined) || p.reduce((sum: number, one) => sum + Math.abs(one!), 0) > LARGEST_MIX) {
      throw new UsageError(`the weights ${weights.map(formatFraction).join(', ')} are too fine for a running sum`);
    }
    const blend: Blend = { ingredients: sources, mix: () => ({ p: p as number[], q: 1 }) };
    sums.push(sumFile(part, outputsOf(blend), scale, words));
  }
  const bytes = plan.bytes + sums.reduce((sum, file) => sum + file.bytes, 0);
  return { ...plan, files: [...plan.files, ...sums], bytes };
}

export function sumFile(
  part: WeightedComponent,
  tensors: readonly OutputTensor[],
  scale: Scale,
  words: 1 | 2,
): PlannedFile {
  const { size, header } = layOutFile(tensors, { sums: words });
  return {
    path: `${SUM_FOLDER}/${part}.safetensors`,
    kind: 'averaged',
    tensors,
    parts: [part],
    sums: words,
    metadata: { format: 'diffusion-soup-running-sum', scale: formatFraction(scale) },
    bytes: size - header.length,
  };
}

/** What the ledger notes of the sums that were written. */
export function ledgerSums(plan: MergePlan, written: readonly WrittenFile[]): LedgerSums | undefined {
  const entries = plan.files.flatMap((file) => {
    if (file.kind !== 'averaged' || !file.sums) return [];
    const { bytes, sha256 } = written.find(({ path }) => path === file.path)!;
    return [[file.parts[0]!, { path: file.path, bytes, sha256, scale: file.metadata!.scale! }]];
  });
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}
