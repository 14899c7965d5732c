/** What is kept of a soup as files, and what is opened of them again. */
import { existsSync } from 'node:fs';
import { copyFile, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import {
  CheckpointError,
  formatRecipe,
  fractionToNumber,
  parseFraction,
  parseRecipe,
  type Recipe,
  UsageError,
} from '@diffusion-soup/core';
import { diskError, writeFileAtomic } from '../atomic-file.js';
import { freePath, makeFolder, slug } from '../picture-file.js';
import { printable } from '../text.js';
import { soupOf } from './engine/jobs.js';
import { tableOf } from './engine/order.js';
import type { Drawn } from './engine/protocol.js';
import { newShard, rounded, type Shard } from './state/soup.js';
import type { Doc, KeepTarget } from './state/state.js';

const LARGEST_RECIPE = 1_000_000;

/** The soup as a recipe that every command takes. */
export function recipeOf({ shards }: Pick<Doc, 'shards'>): Recipe {
  const soup = soupOf(shards);
  if (!soup) throw new UsageError('there is nothing in the soup yet: put a shard in first');
  return {
    method: 'linear',
    ingredients: soup.map(({ id, weight, blocks }) => ({
      model: id,
      weight: parseFraction(weight),
      ...(blocks && { blocks: tableOf(blocks) }),
    })),
    parameters: {},
    normalize: true,
  };
}

/** Names that are free, so that nothing is overwritten unless somebody types its name. */
export function suggestion(target: KeepTarget, { shards, picture }: Doc, folder = '.'): string {
  const names = (soupOf(shards) ?? []).map(({ id }) => slug(id));
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
  const text = formatRecipe(recipeOf(doc));
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
export async function openRecipe(path: string): Promise<readonly Shard[]> {
  const facts = await stat(path).catch((error: unknown) => {
    throw diskError(path, error, 'read');
  });
  if (!facts.isFile() || facts.size > LARGEST_RECIPE) {
    throw new CheckpointError(`${printable(path)} is no recipe: not a file, or too large.`, { file: path });
  }
  const recipe = parseRecipe(await readFile(path, 'utf8'), { file: path });
  if (recipe.method !== 'linear' || !recipe.normalize || recipe.loras || recipe.components || recipe.dtype) {
    throw new UsageError(
      `${printable(path)}: weights can be turned of plain averages; this recipe has more than that. Draw with it by ` +
        `"soup generate ${printable(path)}".`,
    );
  }
  return recipe.ingredients.map(({ model, weight, blocks }) => ({
    ...newShard(model),
    on: true,
    weight: rounded(fractionToNumber(weight)),
    blocks:
      typeof blocks === 'object'
        ? Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, rounded(fractionToNumber(factor))]))
        : {},
  }));
}
