/** A blend of the page as a recipe whose models are open. */
import { isZero, type OpenRecipe, parseFraction, UsageError } from '@diffusion-soup/core';
import type { Blend, Portion } from '../messages.js';
import type { Library } from './library.js';

/** Portions of weight 0 stay out. */
export const usedPortions = ({ portions }: Blend): Portion[] =>
  portions.filter(({ weight }) => !isZero(parseFraction(weight)));

export const tableOf = (blocks: NonNullable<Portion['blocks']>) =>
  Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, parseFraction(factor)]));

export async function openBlend(library: Library, blend: Blend): Promise<OpenRecipe> {
  const used = usedPortions(blend);
  if (used.length === 0) throw new UsageError('Every weight is 0. Give one model a weight.');
  const ingredients = await Promise.all(
    used.map(async ({ name, weight, blocks }) => ({
      folder: await library.folder(name),
      weight: parseFraction(weight),
      ...(blocks && { blocks: tableOf(blocks) }),
    })),
  );
  return { ingredients, ...(blend.base !== undefined && { base: await library.folder(blend.base) }) };
}
