/** What a picture's file says of how it was made: the recipe of its soup by names, and every setting. */
import type { Precision } from '../gpu/gpu.js';
import { toJson, writeInfotext } from '../metadata/index.js';
import { blocksJson, formatWeight, type Recipe, recipeJson } from '../recipe/index.js';
import { a1111Name } from '../sampler/index.js';
import type { BlockTable } from '../soup/block-weights.js';
import type { Fraction } from '../soup/fraction.js';
import type { Settings } from './generate.js';

/** The recipe that travels with a picture or a checkpoint. Names only: paths are nobody's business. */
export interface WrittenRecipe extends WrittenSettings {
  readonly type: 'diffusion-soup';
  /** Of the program. */
  readonly version: string;
  readonly ingredients: readonly {
    readonly name: string;
    readonly weight: number | string;
    readonly blocks?: unknown;
    readonly root?: string;
    readonly loras?: unknown;
  }[];
  readonly base?: string;
  /** The mean of predictions, not of weights. */
  readonly ensemble?: boolean;
}

/** What is not the default, as in a soup.yaml. */
interface WrittenSettings {
  readonly method?: string;
  readonly parameters?: unknown;
  readonly normalize?: boolean;
  readonly dtype?: string;
  readonly components?: unknown;
  readonly loras?: unknown;
}

export interface WrittenIngredient {
  readonly name: string;
  readonly weight: Fraction;
  readonly blocks?: BlockTable;
  /** The content hash that the recipe asks for. */
  readonly root?: string;
  readonly loras?: readonly { readonly file: string; readonly strength: number }[];
}

const PLAIN = { method: 'linear', ingredients: [], parameters: {}, normalize: true } as const;

export function writtenRecipe(
  version: string,
  ingredients: readonly WrittenIngredient[],
  base?: string,
  settings: Partial<Omit<Recipe, 'ingredients' | 'base' | 'out'>> = {},
): WrittenRecipe {
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined));
  const { ingredients: _, ...written } = recipeJson({ ...PLAIN, ...given });
  return {
    type: 'diffusion-soup',
    version,
    ingredients: ingredients.map(({ name, weight, blocks, root, loras }) => ({
      name,
      weight: shownWeight(weight),
      ...(blocks !== undefined && { blocks: blocksJson(blocks) }),
      ...(root !== undefined && { root }),
      ...(loras && { loras }),
    })),
    ...(base !== undefined && { base }),
    ...written,
  };
}

/** A number where it is short, else a fraction. */
function shownWeight(weight: Fraction): number | string {
  const text = formatWeight(weight);
  return text.includes('/') ? text : Number(text);
}

/** "noto + ink", or with weights where they differ "noto:2 + ink:1". */
export function formula({ ingredients, ensemble }: Pick<WrittenRecipe, 'ingredients' | 'ensemble'>): string {
  const isUniform = ingredients.every(({ weight }) => weight === ingredients[0]!.weight);
  const sum = ingredients.map(({ name, weight }) => (isUniform ? name : `${name}:${weight}`)).join(' + ');
  return ensemble ? `ensemble of ${sum}` : sum;
}

export interface PictureProvenance {
  readonly recipe: WrittenRecipe;
  readonly adapter: string;
  readonly precision: Precision;
  /** Of a picture of a batch: its content's hashes, by which it is known again. */
  readonly id?: string;
  readonly address?: string;
}

/** The texts of a PNG: `parameters` for every viewer that knows A1111's pictures, `diffusion_soup` for us. */
export function pictureTexts(settings: Settings, seed: bigint, { recipe, ...provenance }: PictureProvenance) {
  const { prompt, negative, steps, sampler, guidance, width, height, clipSkip, strength } = settings;
  return {
    parameters: writeInfotext(prompt, negative, {
      Steps: steps,
      Sampler: a1111Name(sampler),
      'CFG scale': guidance,
      Seed: seed,
      Size: `${width}x${height}`,
      Model: formula(recipe),
      // A1111 counts from 1 what diffusers counts from 0.
      'Clip skip': clipSkip > 0 ? clipSkip + 1 : undefined,
      'Denoising strength': strength,
      RNG: settings.noise === 'cpu' ? 'CPU' : 'GPU',
      Version: `diffusion-soup ${recipe.version}`,
    }),
    diffusion_soup: toJson({ ...recipe, settings: { ...settings, seed, count: 1 }, ...provenance }),
  };
}
