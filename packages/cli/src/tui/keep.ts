/** What is kept of a soup as files, and what is opened of them again. */
import { existsSync } from 'node:fs';
import { copyFile, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { type Fraction, formatRecipe, fractionToNumber, type Recipe, UsageError } from '@diffusion-soup/core';
import { diskError, writeFileAtomic } from '../atomic-file.js';
import { freePath, makeFolder, slug } from '../picture-file.js';
import { besideFile, readRecipeFile } from '../recipe-file.js';
import { printable } from '../text.js';
import { soupOf } from './engine/jobs.js';
import { recipeOf } from './engine/order.js';
import type { Drawn } from './engine/protocol.js';
import { newShard, rounded } from './state/soup.js';
import type { Doc, KeepTarget } from './state/state.js';

export function recipeFor({ shards, base }: Pick<Doc, 'shards' | 'base'>): Recipe {
  const soup = soupOf(shards, base);
  if (!soup) throw new UsageError('there is nothing in the soup yet: put a shard in first');
  return recipeOf(soup);
}

/** Names that are free, so that nothing is overwritten unless somebody types its name. */
export function suggestion(target: KeepTarget, { shards, picture }: Doc, folder = '.'): string {
  const names = (soupOf(shards)?.portions ?? []).map(({ id }) => slug(id));
  const soup = names.length > 0 && names.length <= 3 ? names.join('-') : 'soup';
  if (target === 'add' || target === 'remove') return '';
  if (target === 'picture') return freePath({ folder: join(folder, 'out') }, picture.prompt, picture.seed);
  const ending = target === 'recipe' ? '.yaml' : '';
  for (let n = 1; ; n++) {
    const path = `${soup}${n === 1 ? '' : `-${n}`}${ending}`;
    if (!existsSync(join(folder, path))) return path;
  }
}

export async function saveRecipe(path: string, doc: Doc): Promise<string> {
  const text = formatRecipe(recipeFor(doc));
  const target = resolve(extname(path) === '' ? `${path}.yaml` : path);
  await refuseTaken(target);
  await makeFolder(dirname(target));
  await writeFileAtomic(target, text);
  return target;
}

/** The picture was written with its metadata when it was drawn. */
export async function saveDrawn(path: string, { path: from }: Drawn): Promise<string> {
  const target = resolve(extname(path).toLowerCase() === '.png' ? path : `${path}.png`);
  await refuseTaken(target);
  await makeFolder(dirname(target));
  await copyFile(from, target).catch((error: unknown) => {
    throw diskError(target, error);
  });
  return target;
}

async function refuseTaken(path: string): Promise<void> {
  const facts = await stat(path).catch(() => undefined);
  if (facts) throw new UsageError(`${printable(path)} exists; nothing was written. Give another name.`);
}

/** The shards of a recipe's file, all of them in the soup. */
export async function openRecipe(path: string): Promise<Pick<Doc, 'shards' | 'base'>> {
  const recipe = besideFile(await readRecipeFile(path), path);
  const { ingredients, base, method, normalize, loras, components, dtype } = recipe;
  const isPlain = method === 'linear' && normalize && Object.keys(recipe.parameters).length === 0;
  const isMore = loras ?? components ?? dtype ?? ingredients.some((one) => one.loras || typeof one.blocks === 'string');
  if (!isPlain || isMore) {
    throw new UsageError(
      `${printable(path)}: weights can be turned of plain averages; this recipe has more than that. Draw with it by ` +
        `"soup generate ${printable(path)}".`,
    );
  }
  const shards = ingredients.map(({ model, weight, blocks, root }) => ({
    ...newShard(model),
    on: true,
    weight: rounded(fractionToNumber(weight)),
    blocks: numbersOf(typeof blocks === 'object' ? blocks : {}),
    ...(root !== undefined && { root }),
  }));
  return { shards, ...(base !== undefined && { base }) };
}

const numbersOf = (blocks: Readonly<Record<string, Fraction>>): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, rounded(fractionToNumber(factor))]));
