/** An item with every default filled in, and the hash of what it asks for. */
import { type Settings, settle } from '@diffusion-soup/core';
import { idOf } from './address.js';
import type { Item } from './item.js';
import type { Soup } from './soups.js';
import type { StartOf, StartPicture } from './start.js';

export interface Settled {
  readonly settings: Settings;
  readonly start?: StartPicture;
  readonly id: string;
}

export async function settleItem(item: Item, { key, facts }: Soup, startOf: StartOf): Promise<Settled> {
  const { prompt, negative, seed, steps, sampler, guidance, clipSkip, noise, image, strength } = item;
  const side = facts.unet.config.sampleSize * facts.vae.factor;
  const size = item.size ?? { width: side, height: side };
  const start = image === undefined ? undefined : await startOf(image);
  const request = { prompt, negative, seed, steps, sampler, guidance, ...size, clipSkip, noise };
  const settings = settle(facts, { ...request, ...(start && { image: size, strength }) });
  return { settings, ...(start && { start }), id: idOf(key, settings, start?.sha256) };
}
