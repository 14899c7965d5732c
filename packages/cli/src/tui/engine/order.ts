/** A soup of the screen as what the rest of the command line cooks from. */
import { parseFraction } from '@diffusion-soup/core';
import type { Order } from '../../kitchen.js';
import type { Portion } from './protocol.js';

export const kitchenOrder = (soup: readonly Portion[]): Order => ({
  ingredients: soup.map(({ id, weight, blocks }) => ({
    model: id,
    weight: parseFraction(weight),
    ...(blocks && { blocks: tableOf(blocks) }),
  })),
});

export const tableOf = (blocks: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(blocks).map(([block, factor]) => [block, parseFraction(factor)]));
