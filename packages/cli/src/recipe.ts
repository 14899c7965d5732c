/**
 * What the user asks to be cooked: "noto", "noto+ink", "noto:2 + ink:1" or several words, with --weights or without;
 * and what is written of it into pictures and checkpoints.
 */
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, isAbsolute, join, resolve } from 'node:path';
import {
  add,
  CheckpointError,
  type Recipe as CoreRecipe,
  type Fraction,
  formatWeight,
  isZero,
  nearest,
  ONE,
  parseFraction,
  parseHuggingFaceId,
  parseInline,
  type RecipeIngredient,
  UsageError,
  type WrittenRecipe,
  writtenRecipe,
  ZERO,
} from '@diffusion-soup/core';
import { recoverFolder } from './atomic-folder.js';
import { locateHuggingFace } from './hugging-face.js';
import { locateInPantry } from './pantry/find.js';
import { printable } from './text.js';
import { version } from './version.js';

/** An ingredient as it was named, not yet looked for. */
export interface NamedIngredient {
  readonly name: string;
  readonly weight: Fraction;
}

/** The recipe that travels with a picture or a checkpoint. */
export type Recipe = WrittenRecipe;

type Env = Readonly<Record<string, string | undefined>>;

/** What a name could mean, beside a name of the pantry's index: a path, or a folder of the pantry. */
function candidates(name: string, env: Env): string[] {
  const isPlain = !isAbsolute(name) && !name.split(/[/\\]/).includes('..');
  return [resolve(name), ...(isPlain ? [join(pantry(env), name)] : [])];
}

export const pantry = (env: Env): string => resolve(env.SOUP_PANTRY || 'pantry');

const kindOf = (path: string): 'folder' | 'file' | undefined => {
  const facts = recoverFolder(path) ? statSync(path, { throwIfNoEntry: false }) : undefined;
  return facts && (facts.isDirectory() ? 'folder' : 'file');
};

function find(name: string, env: Env): string | undefined {
  if (name === '' || name.includes('\0')) return undefined;
  const paths = candidates(name, env);
  if (kindOf(paths[0]!) !== 'folder') {
    const indexed = locateInPantry(name, env);
    if (indexed !== undefined) return indexed;
  }
  return (
    paths.find((path) => kindOf(path) === 'folder') ??
    paths.find((path) => kindOf(path) === 'file') ??
    locateHuggingFace(name, env)
  );
}

/** The words of the command line as ingredients. A name that exists is never taken apart. */
export function parseRecipe(words: readonly string[], weights: readonly (number | string)[] | undefined, env: Env) {
  const named = words.flatMap((word) => parseInline(word, (name) => find(name, env) !== undefined));
  if (weights && named.some(({ weight }) => weight !== undefined)) {
    throw new UsageError('weights were given both with the names and with --weights; give them once');
  }
  if (weights && weights.length !== named.length) {
    const [a, b] = [count(named.length, 'ingredient'), count(weights.length, 'weight')];
    throw new UsageError(`there are ${a} but ${b}; give one weight for each`);
  }
  const ingredients = named.map(
    ({ model, weight }, i): NamedIngredient => ({
      name: model,
      weight: weights === undefined ? (weight ?? ONE) : parseFraction(weights[i]!),
    }),
  );
  if (isZero(ingredients.reduce((total, { weight }) => add(total, weight), ZERO))) {
    const list = ingredients.map(({ weight }) => formatWeight(weight)).join(', ');
    throw new UsageError(`the weights ${list} add up to 0: nothing would be left`);
  }
  return ingredients;
}

const count = (n: number, what: string): string => `${n} ${what}${n === 1 ? '' : 's'}`;

/** The folder that a name means. */
export async function locate(name: string, env: Env): Promise<string> {
  const path = find(name, env);
  const shown = printable(name);
  if (path === undefined) {
    if (/^\w{2,}:\/\//.test(name)) {
      throw new UsageError(`${shown} is a URL; download the model first, then name its folder`);
    }
    const hub = parseHuggingFaceId(name);
    if (hub) {
      const revision = hub.revision === undefined ? '' : ` --revision ${hub.revision}`;
      throw new CheckpointError(
        `There is no folder ${shown}, neither here nor in the pantry (${printable(pantry(env))}). If it is meant as a Hugging ` +
          `Face id, it is not in the cache either; download it first: hf download ${hub.repository}${revision}`,
        { file: name },
      );
    }
    const folders = await readdir(pantry(env)).catch(() => []);
    const near = nearest(name, folders);
    const hint = near ? ` Did you mean ${printable(near)}?` : '';
    throw new CheckpointError(
      `There is no folder ${shown}, neither here nor in the pantry (${printable(pantry(env))}).${hint} ` +
        'Name a model folder as diffusers writes it.',
      { file: name },
    );
  }
  if (kindOf(path) === 'file' && !path.toLowerCase().endsWith('.safetensors')) {
    throw new CheckpointError(
      `${shown} is a file, and no *.safetensors; expected a model folder as diffusers writes it, or a single file of ` +
        'weights. Files such as *.ckpt can run code: convert them on a machine you trust, with diffusers ' +
        '(from_single_file(...).save_pretrained(...)).',
      { file: path },
    );
  }
  return path;
}

type CookedIngredient = { readonly path: string } & Omit<RecipeIngredient, 'model' | 'loras'> & {
    readonly loras?: readonly { readonly path: string; readonly strength: number }[];
  };

/** Names only: paths are nobody's business. */
export function recipeOf(
  ingredients: readonly CookedIngredient[],
  base?: string,
  { components, loras, ...settings }: Partial<Omit<CoreRecipe, 'ingredients' | 'base' | 'out'>> = {},
): Recipe {
  const named = Object.entries(components ?? {}).map(([part, from]) => [
    part,
    from === 'average' ? from : basename(from),
  ]);
  return writtenRecipe(
    version,
    ingredients.map(({ path, loras, ...one }) => ({
      ...one,
      name: basename(path),
      ...(loras && { loras: loras.map(({ path, strength }) => ({ file: basename(path), strength })) }),
    })),
    base === undefined ? undefined : basename(base),
    {
      ...settings,
      ...(components && { components: Object.fromEntries(named) }),
      ...(loras && { loras: loras.map((lora) => ({ ...lora, file: basename(lora.file) })) }),
    },
  );
}
