/** What a worker is told: an item as it was asked for, what it must turn out to be, and where the picture goes. */
import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { toJson } from '@diffusion-soup/core';
import type { Item } from '../batch/item.js';
import type { Format } from '../batch/names.js';
import type { Planned } from '../batch/plan.js';

export interface Work {
  readonly version: 1;
  readonly item: Omit<Item, 'seed'> & { readonly seed: string };
  /** The soup's hash where it was submitted: a worker with other files under those names must not draw it. */
  readonly soup: string;
  readonly id: string;
  readonly path: string;
  readonly out: string;
  readonly format: Format;
  readonly quality?: number;
}

export function workOf({ item, soup, id, path }: Planned, rest: Pick<Work, 'out' | 'format' | 'quality'>): Work {
  // A worker may stand in another folder.
  const { recipe } = item.soup;
  const told: Item = {
    ...item,
    soup: { ...item.soup, ...(recipe !== undefined && { recipe: resolve(recipe) }) },
    ...(item.image !== undefined && { image: resolve(item.image) }),
  };
  return { version: 1, item: JSON.parse(toJson(told)), soup: soup.key, id, path, ...rest };
}

export const itemOf = ({ item }: Work): Item => ({ ...item, seed: BigInt(item.seed) });

/** One job for one picture in one place, however often it is submitted. */
export const jobIdOf = ({ id, out, path }: Pick<Work, 'id' | 'out' | 'path'>): string =>
  createHash('sha256').update([id, out, path].join('\0')).digest('hex').slice(0, 40);

/** Each soup has a queue of its own, so that a worker can stay with what it has loaded. */
export const queueOf = (name: string, soup: string): string => `${name}.${soup.slice(0, 16)}`;
