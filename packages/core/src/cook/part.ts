/**
 * A part of a soup (UNet, VAE or text encoder) as a blend: which models have it, how much of each goes in, and what
 * need not be averaged at all. Models are loaded from it and files are written from it, so a preview and a merged
 * checkpoint cannot differ.
 */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import { closeWeights, type Weights } from '../checkpoint/weights.js';
import { CheckpointError, IncompatibleError, UsageError } from '../errors.js';
import type { Blend } from '../soup/blend.js';
import { blockMix } from '../soup/block-weights.js';
import { add, type Fraction, fraction, isZero, multiply, ONE, parseFraction } from '../soup/fraction.js';
import { type Mix, mixOf } from '../soup/mix.js';
import type { ModelIngredient, OpenRecipe } from './open-recipe.js';

/** What is known of a part's content: its Merkle root, and the hash of each tensor. */
export interface ContentHash {
  readonly root: string;
  readonly tensors: ReadonlyMap<string, { readonly dataHash: string }>;
}

export interface CookOptions {
  /** Content hashes, where they are known: what is equal in all ingredients is then taken from one of them. */
  readonly hashOf?: (folder: ModelFolder, part: WeightedComponent) => ContentHash | undefined;
}

export interface CookedPart {
  readonly part: WeightedComponent;
  /** The models it is made of; with a base that is mixed in, that first. */
  readonly from: readonly ModelFolder[];
  /** It is what one model has, byte for byte. */
  readonly isCopy: boolean;
  readonly blend: Blend;
  /** The blend with other weights for the recipe's ingredients; what is open stays open. */
  reweigh(weights: readonly ModelIngredient['weight'][]): Blend;
  close(): Promise<void>;
}

interface Contribution extends Omit<ModelIngredient, 'weight'> {
  readonly weight: Fraction;
  /** Its place among the recipe's ingredients. */
  readonly index?: number;
}

/** The part's blend, checked for one architecture; undefined when no model of the recipe has the part. */
export async function cookPart(
  recipe: OpenRecipe,
  part: WeightedComponent,
  options: CookOptions = {},
): Promise<CookedPart | undefined> {
  const having = contributions(recipe, part);
  if (having.length === 0) return undefined;
  const config = await partConfig(having, part);
  const hashes = having.map(({ folder }) => options.hashOf?.(folder, part));
  const isFrozen = hashes.every((hash) => hash !== undefined && hash.root === hashes[0]?.root);
  const strength = parseWeight(recipe.strength ?? ONE);
  const base = isZero(add(strength, fraction(-1n))) ? undefined : baseOf(recipe, part, having);
  const needed = isFrozen && !base && recipe.normalize !== false ? having.slice(0, 1) : having;
  const mixed = base ? [{ folder: base, weight: ONE }, ...needed] : needed;
  const opened: Weights[] = [];
  const close = async () => {
    await Promise.all(opened.map(closeWeights));
  };
  try {
    for (const { folder } of mixed) opened.push(await weightsOf(folder, part));
    const hashesOf = mixed.map(({ folder }) => options.hashOf?.(folder, part));
    const blendOf = (contributions: readonly Contribution[]): Blend => {
      const soup = mixesOf(contributions, part === 'unet' ? config : undefined, recipe.normalize ?? true);
      return {
        ingredients: opened,
        mix: base ? towards(soup, strength) : soup,
        ...(recipe.dtype && { dtype: recipe.dtype }),
        ...(recipe.allowNonFinite && { allowNonFinite: true }),
        isEqual: (key) => isEqualIn(key, hashesOf),
      };
    };
    const blend = blendOf(needed);
    return {
      part,
      from: mixed.map(({ folder }) => folder),
      isCopy: mixed.length === 1 && recipe.dtype === undefined && isOne(blend.mix('')),
      blend,
      reweigh: (weights) =>
        blendOf(
          needed.map((one) => (one.index === undefined ? one : { ...one, weight: parseWeight(weights[one.index]!) })),
        ),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
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

function baseOf(
  { base }: OpenRecipe,
  part: WeightedComponent,
  having: readonly Contribution[],
): ModelFolder | undefined {
  if (!base) throw new UsageError('a strength needs the model that the fine-tunes started from; name it with --base');
  if (having.some(({ folder }) => folder === base)) return undefined;
  if (base.components.has(part)) return base;
  throw new IncompatibleError(`the base ${base.name} has no ${part}, from which a strength could be counted`, { part });
}

function mixesOf(
  having: readonly Contribution[],
  config: object | undefined,
  normalize: boolean,
): (key: string) => Mix {
  if (config && having.some(({ blocks }) => blocks !== undefined)) {
    return blockMix(
      having.map(({ folder, weight, blocks }) => ({
        name: folder.name,
        weight,
        ...(blocks !== undefined && { blocks }),
      })),
      config as Parameters<typeof blockMix>[1],
    );
  }
  const mix = mixOf(
    having.map(({ weight }) => weight),
    { normalize },
  );
  return () => mix;
}

/** base + strength * (soup - base). */
function towards(soup: (key: string) => Mix, strength: Fraction): (key: string) => Mix {
  const rest = add(ONE, multiply(fraction(-1n), strength));
  const known = new Map<Mix, Mix>();
  return (key) => {
    const before = soup(key);
    let after = known.get(before);
    if (!after) {
      const shares = before.p.map((n) => multiply(strength, fraction(BigInt(n), BigInt(before.q))));
      after = mixOf([rest, ...shares], { normalize: false });
      known.set(before, after);
    }
    return after;
  };
}

const isOne = ({ p, q }: Mix): boolean => p.length === 1 && p[0] === 1 && q === 1;

function isEqualIn(key: string, hashes: readonly (ContentHash | undefined)[]): boolean {
  const [first, ...others] = hashes.map((hash) => hash?.tensors.get(key)?.dataHash);
  return first !== undefined && others.every((hash) => hash === first);
}

const CONFIGS = {
  unet: (folder: ModelFolder) => folder.unetConfig(),
  vae: (folder: ModelFolder) => folder.vaeConfig(),
  text_encoder: (folder: ModelFolder) => folder.textEncoderConfig(),
} as const;

const partConfig = (having: readonly { folder: ModelFolder }[], part: WeightedComponent): Promise<object> =>
  sameConfig<object>(having, part, CONFIGS[part]);

/** The config of a part, which all ingredients must share. */
export async function sameConfig<C>(
  having: readonly { readonly folder: ModelFolder }[],
  part: string,
  configOf: (folder: ModelFolder) => Promise<C>,
): Promise<C> {
  const [first, ...others] = having;
  const config = await configOf(first!.folder);
  for (const { folder } of others) {
    const other = await configOf(folder);
    for (const key of Object.keys(config as object) as (keyof C)[]) {
      const [a, b] = [JSON.stringify(config[key]), JSON.stringify(other[key])];
      if (a === b) continue;
      throw new IncompatibleError(
        `${part}: ${String(key)} is ${a} in ${first!.folder.name} but ${b} in ${folder.name}. ` +
          'Only models of the same architecture can be averaged.',
        { part, key },
      );
    }
  }
  return config;
}

export async function weightsOf(folder: ModelFolder, part: WeightedComponent): Promise<Weights> {
  const weights = await folder.weights(part);
  if (weights) return weights;
  throw new CheckpointError(`${folder.name} has a ${part}/config.json but no ${part} weights (*.safetensors).`, {
    file: folder.name,
    part,
  });
}
