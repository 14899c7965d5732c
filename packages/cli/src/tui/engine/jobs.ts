/** From what is on the screen to pictures that can be drawn. Equal pictures have equal keys, however they came about. */
import { createHash } from 'node:crypto';
import { mixOf, parseFraction } from '@diffusion-soup/core';
import type { PictureSettings } from '../state/picture.js';
import { hasBlocks, isUsed, type Shard, sumOf } from '../state/soup.js';
import type { Job, Soup } from './protocol.js';

/** Enough to see which way a slider goes. */
export const SKETCH_STEPS = 4;

/** Without shards that are off; undefined when nothing is left, or when the weights cancel each other. */
export function soupOf(shards: readonly Shard[], base?: string): Soup | undefined {
  const used = shards.filter(isUsed);
  if (used.length === 0 || sumOf(shards) === 0) return undefined;
  // With block weights every shard gets a table: one alone of two would mean its share, not a factor.
  const tables = hasBlocks(shards);
  const portions = used.map(({ id, weight, blocks, root }) => ({
    ...{ id, weight },
    ...(tables && { blocks: { BASE: 1, ...blocks } }),
    ...(root && { root }),
  }));
  return { portions, ...(base !== undefined && { base }) };
}

export function jobOf(soup: Soup, picture: PictureSettings, effort: Job['effort']): Job {
  const steps = effort === 'sketch' ? Math.min(SKETCH_STEPS, picture.steps) : picture.steps;
  return { key: keyOf(soup, { ...picture, steps }), soup, picture: { ...picture, steps }, effort };
}

function keyOf({ portions, base }: Soup, picture: PictureSettings): string {
  const ordered = [...portions].sort((a, b) => (a.id < b.id ? -1 : 1));
  const { p, q } = mixOf(ordered.map(({ weight }) => parseFraction(weight)));
  const tables = ordered.map(({ blocks }) => Object.entries(blocks ?? {}).sort());
  const text = JSON.stringify([
    base,
    ordered.map(({ id, root }) => [id, root]),
    p,
    q,
    tables,
    { ...picture, seed: String(picture.seed) },
  ]);
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

/** A sketch first where the picture takes long, then the picture. */
export function jobsFor(soup: Soup, picture: PictureSettings): Job[] {
  const full = jobOf(soup, picture, 'full');
  return picture.steps > 2 * SKETCH_STEPS ? [jobOf(soup, picture, 'sketch'), full] : [full];
}
