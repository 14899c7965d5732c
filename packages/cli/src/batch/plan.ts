/** A batch, decided: what is drawn, under which name, in which order; and what cannot be, and why. */
import { type Settings, SoupError } from '@diffusion-soup/core';
import { addressOf, type Machine, sha256Of } from './address.js';
import type { Item } from './item.js';
import { DEFAULT_NAME, type Format, pathsFor, stemOf } from './names.js';
import { settleItem } from './settle-item.js';
import type { Soup, SoupOf } from './soups.js';
import { type StartPicture, startOpener } from './start.js';

export interface Planned {
  readonly item: Item;
  readonly soup: Soup;
  readonly settings: Settings;
  /** What it is started from, if not from noise. */
  readonly start?: StartPicture;
  readonly id: string;
  /** Undefined where it is not known yet on what it is drawn. */
  readonly address?: string;
  /** Below the output folder, with slashes. */
  readonly path: string;
}

export interface Failure {
  readonly name: string;
  readonly message: string;
  readonly exitCode: number;
}

export interface Refused {
  readonly item: Item;
  readonly id: string;
  readonly error: Failure;
}

export interface Plan {
  /** In the order of work. */
  readonly items: readonly Planned[];
  readonly refused: readonly Refused[];
  /** Items that are the same picture as one before them. */
  readonly duplicates: number;
  readonly soups: readonly Soup[];
}

export interface PlanOptions {
  readonly soupOf: SoupOf;
  readonly machine?: Machine;
  readonly format?: Format;
  /** The template of names where an item has none. */
  readonly name?: string;
}

export function failureOf(error: unknown): Failure {
  if (error instanceof SoupError) return { name: error.name, message: error.message, exitCode: error.exitCode };
  const { name, message } = error instanceof Error ? error : { name: 'Error', message: String(error) };
  return { name, message: `internal error: ${message}`, exitCode: 1 };
}

export async function planBatch(items: readonly Item[], options: PlanOptions): Promise<Plan> {
  const { soupOf, machine, format = 'png', name = DEFAULT_NAME } = options;
  const startOf = startOpener();
  const settled: Omit<Planned, 'path'>[] = [];
  const stems: string[] = [];
  const refused: Refused[] = [];
  const seen = new Set<string>();
  let duplicates = 0;
  for (const item of items) {
    try {
      const soup = await soupOf(item.soup);
      const what = await settleItem(item, soup, startOf);
      const { id } = what;
      if (seen.has(id)) {
        duplicates++;
        continue;
      }
      const planned = { item, soup, ...what, ...(machine && { address: addressOf(id, machine) }) };
      const stem = stemOf(item.name ?? name, planned);
      seen.add(id);
      stems.push(stem);
      settled.push(planned);
    } catch (error) {
      if (!(error instanceof SoupError) || error.name === 'CancelledError') throw error;
      const { index: _, line: __, ...asked } = item;
      refused.push({ item, id: sha256Of(asked), error: failureOf(error) });
    }
  }
  const paths = pathsFor(settled, stems, format);
  const planned = settled.map((one, i): Planned => ({ ...one, path: paths[i]! }));
  const soups = [...new Map(planned.map(({ soup }) => [soup.key, soup])).values()];
  return { items: inOrder(planned), refused, duplicates, soups };
}

/** What can be drawn in one go: the same soup, and the same shape and course of the work. */
export const shapeOf = ({ soup, settings, start }: Pick<Planned, 'soup' | 'settings' | 'start'>): string => {
  const { steps, sampler, guidance, width, height, clipSkip, noise, strength } = settings;
  return [soup.key, width, height, steps, sampler, guidance, clipSkip, noise, start?.sha256, strength].join(' ');
};

/** Families one after the other, in each its soups, in each what can be drawn together; else as in the manifest. */
export function inOrder<T extends Pick<Planned, 'soup' | 'settings' | 'start'>>(items: readonly T[]): T[] {
  const rank = (keyOf: (one: T) => string): Map<string, number> => {
    const ranks = new Map<string, number>();
    for (const one of items) if (!ranks.has(keyOf(one))) ranks.set(keyOf(one), ranks.size);
    return ranks;
  };
  const keys = [(one: T) => one.soup.family, (one: T) => one.soup.key, shapeOf];
  const ranks = keys.map(rank);
  const place = (one: T) => keys.map((keyOf, i) => ranks[i]!.get(keyOf(one))!);
  return items
    .map((one) => ({ one, at: place(one) }))
    .sort((a, b) => a.at[0]! - b.at[0]! || a.at[1]! - b.at[1]! || a.at[2]! - b.at[2]!)
    .map(({ one }) => one);
}

export interface Shard {
  /** From 1. */
  readonly index: number;
  readonly count: number;
}

/** The part of one machine: a run of the order of work, so that soups change least. Parts differ by one item at most. */
export function shardOf<T>(items: readonly T[], { index, count }: Shard): T[] {
  const at = (i: number) => Math.floor((items.length * i) / count);
  return items.slice(at(index - 1), at(index));
}
