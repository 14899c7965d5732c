/** A soup of the screen as what the rest of the command line cooks from. */
import { parseFraction, type Recipe } from '@diffusion-soup/core';
import type { Order } from '../../kitchen.js';
import type { Soup } from './protocol.js';

export const kitchenOrder = ({ portions, base }: Soup): Pick<Order & Recipe, 'ingredients' | 'base'> => ({
  ...(base !== undefined && { base }),
  ingredients: portions.map(({ id, weight, blocks, root }) => ({
    model: id,
    weight: parseFraction(weight),
    ...(blocks && { blocks: tableOf(blocks) }),
    ...(root && { root }),
  })),
});

export const tableOf = (blocks: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(blocks).map(([block, factor]) => [block, parseFraction(factor)]));

/** As a recipe that every command takes. */
export const recipeOf = (soup: Soup): Recipe => ({
  method: 'linear',
  ...kitchenOrder(soup),
  parameters: {},
  normalize: true,
});
