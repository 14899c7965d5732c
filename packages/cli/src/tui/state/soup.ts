/** What the user works on, as plain data: which shards go into the soup, and how much of each. All of it is pure. */
import { UsageError } from '@diffusion-soup/core';

/** A model that can go into the soup. */
export interface Shard {
  /** As commands name it: a name of the pantry, or a path. */
  readonly id: string;
  readonly on: boolean;
  readonly weight: number;
  /** Equalising and normalising leave it as it is. */
  readonly locked: boolean;
  /** Factors by block of the UNet; 1 for those that are missing. */
  readonly blocks: Readonly<Record<string, number>>;
  /** The content hash that a recipe asks for. */
  readonly root?: string;
}

export const FIRST_WEIGHT = 0.5;
/** Turning goes from 0 to 1; other weights can be typed. */
export const MOST_TURNED = 1;
const LARGEST_WEIGHT = 1000;
const DIGITS = 1e4;

export const rounded = (weight: number): number => Math.round(weight * DIGITS) / DIGITS || 0;

export const newShard = (id: string): Shard => ({ id, on: false, weight: FIRST_WEIGHT, locked: false, blocks: {} });

export const isUsed = ({ on, weight }: Shard): boolean => on && weight !== 0;

export const sumOf = (shards: readonly Shard[]): number =>
  rounded(shards.reduce((sum, { on, weight }) => sum + (on ? weight : 0), 0));

/** Of the whole; undefined when there is no whole. */
export function shareOf(shard: Shard, shards: readonly Shard[]): number | undefined {
  const sum = sumOf(shards);
  return shard.on && sum !== 0 ? shard.weight / sum : undefined;
}

const change = (shards: readonly Shard[], id: string, make: (shard: Shard) => Partial<Shard>): readonly Shard[] =>
  shards.map((shard) => (shard.id === id ? { ...shard, ...make(shard) } : shard));

export const switched = (shards: readonly Shard[], id: string): readonly Shard[] =>
  change(shards, id, ({ on }) => ({ on: !on }));

export const lockedOrNot = (shards: readonly Shard[], id: string): readonly Shard[] =>
  change(shards, id, ({ locked }) => ({ locked: !locked }));

/** Turning a shard that is off switches it on: whoever turns it wants it. */
export function turned(shards: readonly Shard[], id: string, by: number): readonly Shard[] {
  return change(shards, id, ({ weight, on }) => {
    const from = on ? weight : 0;
    const most = Math.max(MOST_TURNED, from);
    return { on: true, weight: rounded(Math.min(most, Math.max(Math.min(0, from), from + by))) };
  });
}

export const weighed = (shards: readonly Shard[], id: string, weight: number): readonly Shard[] =>
  change(shards, id, () => ({ on: true, weight: rounded(weight) }));

/** "0.25", ".5", "1/3", "-1": what may be typed as a weight. */
export function parseWeight(text: string): number {
  const [top, bottom, ...more] = text.trim().split('/');
  const number = (part: string | undefined) => (/^-?(\d+\.?\d*|\.\d+)$/.test(part?.trim() ?? '') ? Number(part) : NaN);
  const value = bottom === undefined ? number(top) : number(top) / number(bottom);
  if (more.length === 0 && Number.isFinite(value) && Math.abs(value) <= LARGEST_WEIGHT) return rounded(value);
  throw new UsageError(`"${text}" is no weight; type one as 0.3, 2 or 1/3, up to ${LARGEST_WEIGHT}`);
}

const isFree = ({ on, locked }: Shard): boolean => on && !locked;
const lockedSum = (shards: readonly Shard[]): number =>
  shards.reduce((sum, { on, locked, weight }) => sum + (on && locked ? weight : 0), 0);

/** Equal parts of what the locked ones leave of 1; of 1 when they leave nothing. */
export function equalised(shards: readonly Shard[]): readonly Shard[] {
  const free = shards.filter(isFree).length;
  const rest = 1 - lockedSum(shards);
  const each = rounded((rest > 0 ? rest : 1) / free);
  return shards.map((shard) => (isFree(shard) ? { ...shard, weight: each } : shard));
}

/** Scaled so that all weights add up to 1, in the proportions they have. */
export function normalised(shards: readonly Shard[]): readonly Shard[] {
  const free = shards.filter(isFree).reduce((sum, { weight }) => sum + weight, 0);
  const rest = 1 - lockedSum(shards);
  if (!(free > 0) || !(rest > 0)) return shards;
  return shards.map((shard) => (isFree(shard) ? { ...shard, weight: rounded((shard.weight * rest) / free) } : shard));
}

export const MOST_FACTOR = 2;

export function blockTurned(shards: readonly Shard[], id: string, block: string, by: number): readonly Shard[] {
  return change(shards, id, ({ blocks }) => {
    const factor = rounded(Math.min(MOST_FACTOR, Math.max(0, (blocks[block] ?? 1) + by)));
    const { [block]: _, ...others } = blocks;
    return { blocks: factor === 1 ? others : { ...others, [block]: factor } };
  });
}

export const blocksSet = (
  shards: readonly Shard[],
  id: string,
  blocks: Readonly<Record<string, number>>,
): readonly Shard[] => change(shards, id, () => ({ blocks }));

export const hasBlocks = (shards: readonly Shard[]): boolean =>
  shards.some((shard) => isUsed(shard) && Object.keys(shard.blocks).length > 0);

/** "0.6 noto + 0.4 ink". */
export function formulaOf(shards: readonly Shard[]): string {
  const used = shards.filter(isUsed);
  const parts = used.map(({ id, weight, blocks }, i) => {
    const sign = weight < 0 ? (i === 0 ? '-' : ' - ') : i === 0 ? '' : ' + ';
    return `${sign}${Math.abs(weight)} ${id}${Object.keys(blocks).length > 0 ? '*' : ''}`;
  });
  return parts.join('');
}

/** Two digits behind the point, and more only where there are more. */
export const shownWeight = (weight: number): string =>
  Math.abs(weight * 100 - Math.round(weight * 100)) < 1e-9 ? weight.toFixed(2) : String(weight);
