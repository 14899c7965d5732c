/**
 * A part of a soup (UNet, VAE or text encoder) as a blend: which models have it, how much of each goes in, and what
 * need not be averaged at all. Models are loaded from it and files are written from it, so a preview and a merged
 * checkpoint cannot differ.
 */
import type { UNetConfig } from '../checkpoint/configs.js';
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import { closeWeights, type Weights } from '../checkpoint/weights.js';
import { IncompatibleError, UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { type LoadedLora, withLoras } from '../lora/index.js';
import { type AppliedMethod, applyMethod, needsBase } from '../methods/index.js';
import { blendAsWeights } from '../soup/as-weights.js';
import { type Blend, blendOf } from '../soup/blend.js';
import { blockMix } from '../soup/block-weights.js';
import { type Fraction, ONE, parseFraction } from '../soup/fraction.js';
import { sameConfig, weightsOf } from './architecture.js';
import type { ModelIngredient, OpenRecipe } from './open-recipe.js';

/** What is known of a part's content: its Merkle root, and the SHA-256 of each tensor's bytes. */
export interface ContentHash {
  readonly root: string;
  readonly tensors: ReadonlyMap<string, { readonly dataHash: string }>;
}

export interface CookOptions {
  /** Content hashes, where they are known: what is equal in all ingredients is then taken from one of them. */
  readonly hashOf?: (folder: ModelFolder, part: WeightedComponent) => ContentHash | undefined;
  readonly signal?: AbortSignal;
}

export interface CookedPart {
  readonly part: WeightedComponent;
  /** The models it is made of. */
  readonly from: readonly ModelFolder[];
  /** The ingredients' weights as they go in, and those of a base that is mixed in. */
  readonly sources: readonly Weights[];
  readonly base?: Weights;
  /** LoRAs are baked in: the weights are not those of the files. */
  readonly isBaked: boolean;
  /** It is what one model has, unchanged. */
  readonly isCopy: boolean;
  readonly blend: Blend;
  /** `exact`: the same bytes on every adapter. `deterministic`: on the same adapter and driver. */
  readonly arithmetic: 'exact' | 'deterministic';
  /** The blend with other weights for the recipe's ingredients; what is open stays open. */
  reweigh(weights: readonly ModelIngredient['weight'][], blocks?: readonly ModelIngredient['blocks'][]): Promise<Blend>;
  close(): Promise<void>;
}

interface Contribution extends Omit<ModelIngredient, 'weight'> {
  readonly weight: Fraction;
  /** Its place among the recipe's ingredients. */
  readonly index?: number;
}

/** The part's blend, checked for one architecture; undefined when no model of the recipe has the part. */
export async function cookPart(
  gpu: Gpu,
  recipe: OpenRecipe,
  part: WeightedComponent,
  options: CookOptions = {},
): Promise<CookedPart | undefined> {
  const having = contributions(recipe, part);
  if (having.length === 0) return undefined;
  const base = baseOf(recipe, part, having);
  const folders = [...having.map(({ folder }) => folder), ...(base ? [base] : [])];
  const config = await partConfig(folders, part);
  const needed = isFrozen(having, part, options) && !base && recipe.normalize !== false ? having.slice(0, 1) : having;
  const opened: Weights[] = [];
  const applied: AppliedMethod[] = [];
  const close = async () => {
    for (const one of applied) one.destroy();
    await Promise.all(opened.map(closeWeights));
  };
  const open = async (folder: ModelFolder) => {
    const weights = await weightsOf(folder, part);
    opened.push(weights);
    return weights;
  };
  const isAlone = needed.length === 1 && !base && recipe.normalize !== false;
  try {
    const ingredients: Weights[] = [];
    for (const { folder, loras = [] } of needed) ingredients.push(bake(gpu, part, await open(folder), loras));
    const baseWeights = base && (await open(base));
    const changed = [recipe.loras ?? [], ...needed.map(({ loras = [] }) => loras)].some((loras) =>
      appliesTo(part, loras),
    );
    const blend = async (weighted: readonly Contribution[]): Promise<Blend> => {
      const method = isAlone
        ? { blend: blendOf(ingredients), arithmetic: 'exact' as const, destroy() {} }
        : await cookMethod(gpu, recipe, { part, weighted, ingredients, base: baseWeights, config, options });
      for (const before of applied.splice(0)) before.destroy();
      applied.push(method);
      const hashes = method.blend.ingredients.map((one) => hashOf(one, needed, ingredients, part, options));
      const made: Blend = {
        ...method.blend,
        ...(recipe.dtype && { dtype: recipe.dtype }),
        ...(recipe.allowNonFinite && { allowNonFinite: true }),
        isEqual: (key) => isEqualIn(key, hashes),
      };
      if (!recipe.loras || !appliesTo(part, recipe.loras)) return made;
      return blendOf([bake(gpu, part, isAlone ? ingredients[0]! : blendAsWeights(gpu, made), recipe.loras)]);
    };
    const first = await blend(needed);
    return {
      part,
      from: [...needed.map(({ folder }) => folder), ...(base ? [base] : [])],
      sources: ingredients,
      ...(baseWeights && { base: baseWeights }),
      isBaked: changed,
      isCopy: isAlone && recipe.dtype === undefined && !changed,
      blend: first,
      arithmetic: changed ? 'deterministic' : applied[0]!.arithmetic,
      reweigh: (weights, blocks) =>
        blend(
          needed.map((one) => {
            if (one.index === undefined) return one;
            const weight = parseWeight(weights[one.index]!);
            return { ...one, weight, ...(blocks && { blocks: blocks[one.index] }) };
          }),
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Cooking {
  readonly part: WeightedComponent;
  readonly weighted: readonly Contribution[];
  readonly ingredients: readonly Weights[];
  readonly base?: Weights;
  readonly config: object;
  readonly options: CookOptions;
}

async function cookMethod(gpu: Gpu, recipe: OpenRecipe, cooking: Cooking): Promise<AppliedMethod> {
  const { part, weighted, ingredients, base, config, options } = cooking;
  const { method = 'linear', parameters, normalize, dtype, allowNonFinite } = recipe;
  const hashes = weighted.map(({ folder }) => options.hashOf?.(folder, part)?.root);
  const identities = hashes.every((root) => root !== undefined) ? (hashes as string[]) : undefined;
  const weights = weighted.map(({ weight }) => weight);
  const hasBlocks = part === 'unet' && weighted.some(({ blocks }) => blocks !== undefined);
  if (hasBlocks && (method !== 'linear' || base)) {
    throw new UsageError('block weights go with the method linear without a strength; leave one of them out', {
      method,
    });
  }
  const applied = await applyMethod(
    gpu,
    { method, ingredients, weights, ...(parameters && { parameters }), ...(base && { base }), normalize },
    { dtype, allowNonFinite, identities, signal: options.signal },
  );
  if (!hasBlocks) return applied;
  const named = weighted.map(({ folder, weight, blocks }) => ({
    name: folder.name,
    weight,
    ...(blocks && { blocks }),
  }));
  return { ...applied, blend: { ...applied.blend, mix: blockMix(named, config as UNetConfig) } };
}

const parseWeight = (weight: ModelIngredient['weight']): Fraction =>
  typeof weight === 'object' ? weight : parseFraction(weight);

/** The ingredients that have a part, or the one model that the recipe takes it from. */
function contributions({ ingredients, base, parts }: OpenRecipe, part: WeightedComponent): Contribution[] {
  const only = parts?.[part];
  if (typeof only === 'object') return [{ folder: only, weight: ONE }];
  const having = ingredients.flatMap((one, index) =>
    one.folder.components.has(part) ? [{ ...one, index, weight: parseWeight(one.weight) }] : [],
  );
  if (having.length > 0) return having;
  return base?.components.has(part) ? [{ folder: base, weight: ONE }] : [];
}

/** The base, where the method mixes it in. */
function baseOf(recipe: OpenRecipe, part: WeightedComponent, having: readonly Contribution[]): ModelFolder | undefined {
  const { method = 'linear', parameters, base } = recipe;
  if (!needsBase(method, parameters) || having.every(({ index }) => index === undefined)) return undefined;
  if (!base) {
    throw new UsageError(`${method} needs the model that the fine-tunes started from; name it with --base`, { method });
  }
  if (base.components.has(part)) return base;
  throw new IncompatibleError(`the base ${base.name} has no ${part}, from which the ingredients could differ`, {
    part,
  });
}

function isFrozen(having: readonly Contribution[], part: WeightedComponent, { hashOf }: CookOptions): boolean {
  const roots = having.map(({ folder, loras }) => (loras?.length ? undefined : hashOf?.(folder, part)?.root));
  return roots.every((root) => root !== undefined && root === roots[0]);
}

const appliesTo = (part: WeightedComponent, loras: readonly LoadedLora[]): boolean =>
  loras.some(({ lora, strength }) => strength !== 0 && lora.modules.some(({ component }) => component === part));

const bake = (gpu: Gpu, part: WeightedComponent, weights: Weights, loras: readonly LoadedLora[]): Weights =>
  part === 'vae' || loras.length === 0 ? weights : withLoras(gpu, part, weights, loras);

/** Only of what is in a file as it is: baked and computed weights have no hash. */
function hashOf(
  weights: Weights,
  needed: readonly Contribution[],
  ingredients: readonly Weights[],
  part: WeightedComponent,
  options: CookOptions,
): ContentHash | undefined {
  const one = needed[ingredients.indexOf(weights)];
  return one && !one.loras?.length ? options.hashOf?.(one.folder, part) : undefined;
}

function isEqualIn(key: string, hashes: readonly (ContentHash | undefined)[]): boolean {
  const [first, ...others] = hashes.map((hash) => hash?.tensors.get(key)?.dataHash);
  return first !== undefined && others.every((hash) => hash === first);
}

const CONFIGS = {
  unet: (folder: ModelFolder) => folder.unetConfig(),
  vae: (folder: ModelFolder) => folder.vaeConfig(),
  text_encoder: (folder: ModelFolder) => folder.textEncoderConfig(),
} as const;

const partConfig = (folders: readonly ModelFolder[], part: WeightedComponent): Promise<object> =>
  sameConfig<object>(folders, part, CONFIGS[part]);
