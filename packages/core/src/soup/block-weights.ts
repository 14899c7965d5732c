/**
 * Block weights: another factor for every block of the UNet, under the names that the community's tools use (merge
 * block weighted, "MBW"): IN00, IN01, ... for the way down, M00 for the middle, OUT00, ... for the way up, BASE for the
 * rest. The blocks are those of the original implementation (input_blocks.4 is IN04), counted from the config, so that
 * they fit UNets of other depths as well. As in supermerger the time embedding and everything outside of the UNet is
 * BASE, conv_in is IN00, and the last norm and convolution belong to the last OUT.
 */
import type { UNetConfig } from '../checkpoint/configs.js';
import { printable } from '../checkpoint/printable.js';
import { UsageError } from '../errors.js';
import { blockPresets } from './block-presets.js';
import {
  add,
  type Fraction,
  formatFraction,
  fraction,
  isZero,
  multiply,
  ONE,
  parseFraction,
  ZERO,
} from './fraction.js';
import { type Mix, mixOf } from './mix.js';

/** What of a config decides the blocks. */
export type BlockConfig = Pick<UNetConfig, 'layersPerBlock'>;

/**
 * Factors by block ("IN04") or group of blocks ("IN", "MID", "OUT"), of which the block counts; or the name of a preset
 * ("GRAD_V"); or its 26 numbers with commas between them, 25 without BASE.
 */
export type BlockTable = Readonly<Record<string, Fraction>> | string;

const BASE = 'BASE';
const MIDDLE = 'M00';
const GROUPS: Readonly<Record<string, RegExp>> = { IN: /^IN\d/, MID: /^M00$/, OUT: /^OUT\d/ };
/** Blocks of Stable Diffusion 1 and 2 in each direction, for which presets are made. */
const PRESET_BLOCKS = 12;

const two = (n: number): string => String(n).padStart(2, '0');
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);
const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** A level has its layers and, but for the last, a downsampler; conv_in is before all. The way up has as many. */
const blocksEachWay = ({ layersPerBlock }: BlockConfig): number => sum(layersPerBlock) + layersPerBlock.length;

/** In the order of presets: BASE, IN00, ..., M00, OUT00, ... */
export function blockNames(config: BlockConfig): string[] {
  const each = range(blocksEachWay(config));
  return [BASE, ...each.map((i) => `IN${two(i)}`), MIDDLE, ...each.map((i) => `OUT${two(i)}`)];
}

/** The block that a tensor of the UNet belongs to, by its name in diffusers; BASE for what is in none. */
export function blockOf(key: string, config: BlockConfig): string {
  const layers = config.layersPerBlock;
  if (/^conv_in\./.test(key)) return 'IN00';
  if (/^conv_(?:norm_)?out\./.test(key)) return `OUT${two(blocksEachWay(config) - 1)}`;
  if (key.startsWith('mid_block.')) return MIDDLE;
  const [, way, level, kind, index] =
    /^(down|up)_blocks\.(\d+)\.(resnets|attentions|downsamplers|upsamplers)\.(\d+)\./.exec(key) ?? [];
  const i = Number(level);
  if (way === undefined || i >= layers.length) return BASE;
  if (way === 'down') {
    const first = 1 + sum(layers.slice(0, i)) + i;
    return `IN${two(first + (kind === 'downsamplers' ? layers[i]! : Number(index)))}`;
  }
  // On the way up levels are the other way round, and each has a layer more; the upsampler is part of the last.
  const upLayers = [...layers].reverse().map((count) => count + 1);
  const first = sum(upLayers.slice(0, i));
  return `OUT${two(first + (kind === 'upsamplers' ? upLayers[i]! - 1 : Number(index)))}`;
}

/** The factors of a table by block; a block that the table does not speak of is missing. */
export function expandBlocks(table: BlockTable, config: BlockConfig): ReadonlyMap<string, Fraction> {
  if (typeof table === 'string') return presetFactors(table, config);
  const names = blockNames(config);
  for (const name of Object.keys(table)) {
    if (names.includes(name) || name in GROUPS) continue;
    throw new UsageError(
      `"${printable(name)}" is no block of this UNet; it has ${BASE}, IN00 to ${names[names.indexOf(MIDDLE) - 1]}, ` +
        `${MIDDLE}, OUT00 to ${names.at(-1)}, and the groups IN, MID and OUT`,
      { block: name },
    );
  }
  const factors = names.map((name): [string, Fraction | undefined] => {
    const group = Object.keys(GROUPS).find((key) => Object.hasOwn(table, key) && GROUPS[key]!.test(name));
    return [name, Object.hasOwn(table, name) ? table[name] : group === undefined ? undefined : table[group]];
  });
  return new Map(factors.filter((entry): entry is [string, Fraction] => entry[1] !== undefined));
}

function presetFactors(text: string, config: BlockConfig): ReadonlyMap<string, Fraction> {
  const names = blockNames(config);
  const numbers = text.includes(',') ? text.split(',').map(parseFraction) : blockPresets.get(text.trim());
  if (!numbers) {
    throw new UsageError(
      `"${printable(text)}" is no preset of block weights; expected one of ${[...blockPresets.keys()].join(', ')}, ` +
        'or numbers with commas between them',
      { preset: text },
    );
  }
  const named = [names, names.slice(1)].find(({ length }) => length === numbers.length);
  if (named) return new Map(named.map((name, i) => [name, numbers[i]!]));
  const standard = 2 + 2 * PRESET_BLOCKS;
  if (numbers.length !== standard && numbers.length !== standard - 1) {
    throw new UsageError(
      `there are ${numbers.length} block weights; this UNet has ${names.length} blocks with BASE, and ` +
        `Stable Diffusion ${standard}`,
      { found: numbers.length, expected: [names.length, standard] },
    );
  }
  // Another UNet than the preset was made for: each way's numbers are stretched over as many blocks as there are.
  const base = numbers.length - standard + 1;
  const down = stretched(numbers.slice(base, base + PRESET_BLOCKS), blocksEachWay(config));
  const up = stretched(numbers.slice(base + PRESET_BLOCKS + 1), blocksEachWay(config));
  const all = [...numbers.slice(0, base), ...down, numbers[base + PRESET_BLOCKS]!, ...up];
  return new Map(names.slice(1 - base).map((name, i) => [name, all[i]!]));
}

/** Values of the line through `numbers` at `count` places from the first to the last. */
function stretched(numbers: readonly Fraction[], count: number): Fraction[] {
  return range(count).map((i) => {
    const steps = i * (numbers.length - 1);
    const last = Math.max(1, count - 1);
    const below = Math.floor(steps / last);
    const part = fraction(BigInt(steps % last), BigInt(last));
    const next = numbers[Math.min(below + 1, numbers.length - 1)]!;
    const rest = add(ONE, multiply(fraction(-1n), part));
    return add(multiply(rest, numbers[below]!), multiply(part, next));
  });
}

/** The factor of a tensor; 1 where the table does not speak of its block. */
export const blockFactor = (table: BlockTable, key: string, config: BlockConfig): Fraction =>
  expandBlocks(table, config).get(blockOf(key, config)) ?? ONE;

/** An ingredient of a soup with block weights. */
export interface BlockIngredient {
  readonly name: string;
  readonly weight: Fraction;
  readonly blocks?: BlockTable;
}

/**
 * The mix of every block.
 *
 * Of two ingredients of which one, B, has a table, the factor is B's share: (1 - a) A + a B, which is what block weights
 * mean everywhere; where the table does not speak of a block, the shares are the ingredients' weights. Otherwise the
 * weight of an ingredient in a block is its weight times its factor there (1 without one), scaled to add up to 1.
 */
export function blockMixes(ingredients: readonly BlockIngredient[], config: BlockConfig): ReadonlyMap<string, Mix> {
  const tables = ingredients.map(({ blocks }) => (blocks === undefined ? undefined : expandBlocks(blocks, config)));
  const isPair = ingredients.length === 2 && tables.filter(Boolean).length === 1;
  const mixAt = (block: string): Mix => {
    const share = isPair ? tables.map((table) => table?.get(block)).find(Boolean) : undefined;
    if (share) {
      const rest = add(ONE, multiply(fraction(-1n), share));
      return mixOf(tables.map((table) => (table ? share : rest)));
    }
    const weights = ingredients.map(({ weight }, i) => multiply(weight, tables[i]?.get(block) ?? ONE));
    if (isZero(weights.reduce(add, ZERO))) throw emptyBlock(block, ingredients, weights);
    return mixOf(weights);
  };
  return new Map(blockNames(config).map((block) => [block, mixAt(block)]));
}

function emptyBlock(block: string, ingredients: readonly BlockIngredient[], weights: readonly Fraction[]): UsageError {
  const shown = ingredients.map(({ name }, i) => `${printable(name)}: ${formatFraction(weights[i]!)}`);
  return new UsageError(
    `the block weights of ${block} add up to 0 (${shown.join(', ')}): nothing would be left of it. ` +
      'Give some ingredient a share of it.',
    { block },
  );
}

/** The mix of each tensor of the UNet, by its name; for Blend.mix. */
export function blockMix(ingredients: readonly BlockIngredient[], config: BlockConfig): (key: string) => Mix {
  const mixes = blockMixes(ingredients, config);
  return (key) => mixes.get(blockOf(key, config))!;
}
