/** What a picture is made of: the part of the state that can be undone, saved and shared. */
import { formatFraction } from '@diffusion-soup/core';
import type { Blend, PictureSettings, Portion, Quality } from '../messages.js';
import { type Ingredient, isUsed, shares } from './ingredients.js';

export interface Doc {
  readonly ingredients: readonly Ingredient[];
  /** Where parts come from that no ingredient has. */
  readonly base?: string;
  readonly picture: PictureSettings;
  /** Dice and restoring leave a locked seed alone. */
  readonly seedLocked: boolean;
}

export const FIRST_PICTURE: PictureSettings = {
  prompt: 'red apple',
  negative: '',
  seed: '42',
  steps: 12,
  sampler: 'dpmpp-2m',
  guidance: 4,
};

/** Enough to see where a slider leads. */
const COARSE_STEPS = 4;

export const EMPTY: Doc = { ingredients: [], picture: FIRST_PICTURE, seedLocked: false };

export function blendOf({ ingredients, base }: Doc): Blend {
  const portions = ingredients.filter(isUsed).map(
    ({ name, weight, blocks }): Portion => ({
      name,
      weight,
      ...(Object.keys(blocks).length > 0 && { blocks }),
    }),
  );
  return { portions, ...(base !== undefined && { base }) };
}

export const settingsOf = ({ picture }: Doc, quality: Quality): PictureSettings =>
  quality === 'full' ? picture : { ...picture, steps: Math.min(picture.steps, COARSE_STEPS) };

/** A preview costs as much as the last picture does, so there are few. */
const PREVIEWS = 4;
export const previewEvery = (steps: number): number => (steps > PREVIEWS ? Math.ceil(steps / PREVIEWS) : 0);

/** Equal for equal pictures: 2:2 is 1:1, and the order of ingredients does not matter. */
export function keyOf(doc: Doc, quality: Quality): string {
  const blocks = new Map(doc.ingredients.map((one) => [one.name, Object.entries(one.blocks).sort()]));
  const parts = [...shares(doc.ingredients)].map(([name, share]) => [name, formatFraction(share), blocks.get(name)]);
  parts.sort(([a], [b]) => (String(a) < String(b) ? -1 : 1));
  const { prompt, negative, seed, steps, sampler, guidance, width, height } = settingsOf(doc, quality);
  return JSON.stringify([parts, doc.base, prompt, negative, seed, steps, sampler, guidance, width, height]);
}

/** The models that must be loaded: asked about once, whatever their weights. */
export const loadKey = ({ portions, base }: Blend): string =>
  JSON.stringify([portions.map(({ name }) => name).sort(), base]);

const SEEDS = 2n ** 64n;

export function parseSeed(text: string): string | undefined {
  const digits = text.trim();
  return /^\d{1,20}$/.test(digits) && BigInt(digits) < SEEDS ? String(BigInt(digits)) : undefined;
}

export const randomSeed = (): string => String(crypto.getRandomValues(new BigUint64Array(1))[0]);
