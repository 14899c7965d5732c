/**
 * What a picture is called by its content: the hash of everything that decides its pixels. `id` says what was asked for
 * and is the same on every machine; `address` adds on what it is drawn, since adapters round differently.
 */
import { createHash } from 'node:crypto';
import type { Settings } from '@diffusion-soup/core';

/** JSON with sorted keys: one text for one value. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_, item: unknown) => {
    if (typeof item === 'bigint') return item.toString();
    if (typeof item !== 'object' || item === null || Array.isArray(item)) return item;
    return Object.fromEntries(Object.entries(item).sort(([a], [b]) => (a < b ? -1 : 1)));
  });
}

export const sha256Of = (value: unknown): string => createHash('sha256').update(canonicalJson(value)).digest('hex');

/** Raised when the same request would be drawn otherwise. */
const DRAWING = 1;

/** `start` is the hash of the picture that is started from. */
export function idOf(soup: string, settings: Settings, start?: string): string {
  const { prompt, negative, seed, steps, sampler, guidance, width, height, clipSkip, noise, strength } = settings;
  const asked = { prompt, negative, seed, steps, sampler, guidance, width, height, clipSkip, noise };
  // Without guidance nothing is steered away from.
  const from = start === undefined ? {} : { start, strength };
  return sha256Of({ drawing: DRAWING, soup, ...asked, negative: guidance > 1 ? negative : '', ...from });
}

export interface Machine {
  /** As the adapter calls itself, for people. */
  readonly adapter: string;
  /** Adapters of one class draw the same bits. */
  readonly adapterClass: string;
  readonly precision: 'f32' | 'f16';
}

export const addressOf = (id: string, { adapterClass, precision }: Machine): string =>
  sha256Of({ id, adapterClass, precision });
