/** The first soup, from what there is beside the page. */
import type { Listing, ModelReference } from '../messages.js';
import { type Doc, EMPTY } from './document.js';
import { newIngredient } from './ingredients.js';

/** models.json is ours or our server's, but may be older or cut off. */
export function parseListing(value: unknown): Listing {
  const { models, recipe } = (value ?? {}) as Partial<Listing>;
  if (!Array.isArray(models)) return { models: [] };
  return { models: models.filter(({ name, path }) => typeof name === 'string' && typeof path === 'string'), recipe };
}

export const referencesOf = ({ models }: Listing): ModelReference[] =>
  models.map(({ name, path }) => ({ name, place: { type: 'pantry', path } }));

/** All shards in equal parts; other models lie ready. */
export function firstDoc({ models }: Listing): Doc {
  const base = models.find(({ role }) => role === 'base');
  const others = models.filter((model) => model !== base);
  const hasShards = others.some(({ role }) => role === 'shard');
  const ingredients = others.map(({ name, role }, i) => newIngredient(name, hasShards ? role === 'shard' : i === 0));
  return { ...EMPTY, ingredients, ...(base && { base: base.name }) };
}
