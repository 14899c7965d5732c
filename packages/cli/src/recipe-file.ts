/** Recipes as files: soup.yaml, or mergekit's. */
import { existsSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join } from 'node:path';
import { ConfigError, formatBytes, type LoraReference, parseRecipe, type Recipe } from '@diffusion-soup/core';
import { diskError } from './atomic-file.js';
import { printable } from './text.js';

/** Far more than any text that is read as a recipe, and little enough to be read at once. */
const MOST_BYTES = 2 ** 24;

/** Whether a word of the command line is the file of a recipe. */
export const isRecipeFile = (word: string): boolean =>
  /\.(ya?ml|json)$/i.test(word) && statSync(word, { throwIfNoEntry: false })?.isDirectory() !== true;

export async function readRecipeFile(path: string): Promise<Recipe> {
  return parseRecipe(await readTextFile(path), { file: path });
}

export async function readTextFile(path: string): Promise<string> {
  const facts = await stat(path).catch((error: unknown) => {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw diskError(path, error, 'read');
    throw new ConfigError(`${printable(path)} does not exist; expected a recipe.`, { file: path }, { cause: error });
  });
  if (!facts.isFile() || facts.size > MOST_BYTES) {
    const found = facts.isFile() ? `has ${formatBytes(facts.size)}` : 'is no file';
    throw new ConfigError(`${printable(path)} ${found}; expected the text of a recipe.`, { file: path });
  }
  const bytes = await readFile(path).catch((error: unknown) => {
    throw diskError(path, error, 'read');
  });
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${printable(path)} is no UTF-8 text; expected a recipe.`, { file: path }, { cause });
  }
}

/** The recipe with what lies beside its file named from here; other names are left as they are. */
export function besideFile(recipe: Recipe, file: string): Recipe {
  const folder = dirname(file);
  const beside = (name: string): string => {
    const path = join(folder, name);
    return folder !== '.' && !isAbsolute(name) && existsSync(path) ? path : name;
  };
  const loras = (list: readonly LoraReference[]) => list.map((lora) => ({ ...lora, file: beside(lora.file) }));
  const components = Object.entries(recipe.components ?? {}).map(([part, from]) => [
    part,
    from === 'average' ? from : beside(from),
  ]);
  return {
    ...recipe,
    ingredients: recipe.ingredients.map((one) => ({
      ...one,
      model: beside(one.model),
      ...(one.loras && { loras: loras(one.loras) }),
    })),
    ...(recipe.base !== undefined && { base: beside(recipe.base) }),
    ...(recipe.components && { components: Object.fromEntries(components) }),
    ...(recipe.loras && { loras: loras(recipe.loras) }),
    // What is not there yet: beside the recipe, wherever the command is given.
    ...(recipe.out !== undefined && { out: isAbsolute(recipe.out) ? recipe.out : join(folder, recipe.out) }),
  };
}
