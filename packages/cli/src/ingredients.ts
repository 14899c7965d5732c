/** From a recipe to open model folders, with a base for the parts that no ingredient has. */
import { dirname, join } from 'node:path';
import { type ModelFolder, openModelFolder } from '@diffusion-soup/core';
import { diskFolder } from './files.js';
import type { Output } from './output.js';
import { formula, locate, type NamedIngredient, parseRecipe, type Recipe, recipeOf } from './recipe.js';
import { printable } from './text.js';

export interface OpenIngredient {
  readonly path: string;
  readonly folder: ModelFolder;
  readonly weight: number;
}

export interface Kitchen {
  readonly ingredients: readonly OpenIngredient[];
  readonly base?: { readonly path: string; readonly folder: ModelFolder };
  readonly recipe: Recipe;
  /** The recipe in one line. */
  readonly title: string;
}

export interface RecipeFlags {
  readonly weights?: readonly number[];
  readonly base?: string;
}

/** Parts without which nothing can be drawn. */
const NEEDED = ['unet', 'text_encoder', 'vae', 'scheduler'] as const;

export async function openIngredients(words: readonly string[], flags: RecipeFlags, output: Output): Promise<Kitchen> {
  return openNamed(parseRecipe(words, flags.weights, output.io.env), flags.base, output);
}

export async function openNamed(
  named: readonly NamedIngredient[],
  baseName: string | undefined,
  output: Output,
): Promise<Kitchen> {
  const { env } = output.io;
  const ingredients: OpenIngredient[] = [];
  for (const { name, weight } of named) {
    const path = await locate(name, env);
    ingredients.push({ path, weight, folder: await openModelFolder(diskFolder(path)) });
  }
  const base =
    baseName === undefined ? await findBase(ingredients, output) : await openBase(await locate(baseName, env));
  const recipe = recipeOf(ingredients, base?.path);
  return { ingredients, ...(base && { base }), recipe, title: formula(recipe) };
}

const openBase = async (path: string) => ({ path, folder: await openModelFolder(diskFolder(path)) });

/** Fine-tuned shards lie beside the base that they started from. */
async function findBase(ingredients: readonly OpenIngredient[], { note }: Output) {
  const missing = NEEDED.filter((part) => !ingredients.some(({ folder }) => folder.components.has(part)));
  if (missing.length === 0) return undefined;
  for (const parent of new Set(ingredients.map(({ path }) => dirname(path)))) {
    const path = join(parent, 'base');
    const index = await diskFolder(path).open('model_index.json');
    if (!index) continue;
    await index.close?.();
    note(
      `${missing.join(', ')}: from ${printable(path)}, as no ingredient has ${missing.length === 1 ? 'it' : 'them'}`,
    );
    return openBase(path);
  }
  return undefined;
}
