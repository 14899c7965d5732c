/** The values that options take, checked as they are read; and the options that every command has. */
import { type Command, InvalidArgumentError } from 'commander';

export interface CommonFlags {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
  readonly color?: boolean;
}

export const withCommonFlags = (command: Command): Command =>
  command
    .option('--json', 'print one JSON document on stdout, for programs')
    .option('-q, --quiet', 'no progress and no notes')
    .option('--no-color', 'no colours (also: NO_COLOR=1)')
    .option('--debug', 'show where an unexpected error comes from (also: SOUP_DEBUG=1)');

const refuse = (what: string): never => {
  throw new InvalidArgumentError(what);
};

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export function parseNumber(text: string): number {
  const value = NUMBER.test(text.trim()) ? Number(text) : Number.NaN;
  return Number.isFinite(value) ? value : refuse('Give a number, such as 7.5.');
}

export const wholeNumber =
  (least: number, most: number) =>
  (text: string): number => {
    const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN;
    return value >= least && value <= most ? value : refuse(`Give a whole number from ${least} to ${most}.`);
  };

const LARGEST_SEED = 2n ** 64n - 1n;

export function parseSeed(text: string): bigint {
  const seed = /^\d{1,20}$/.test(text.trim()) ? BigInt(text) : -1n;
  if (seed >= 0n && seed <= LARGEST_SEED) return seed;
  return refuse(`Give a whole number from 0 to ${LARGEST_SEED}, or leave it out for a random one.`);
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** "512" or "768x512". */
export function parseSize(text: string): Size {
  const [, width, height] = /^(\d{1,5})(?:[x×*](\d{1,5}))?$/i.exec(text.trim()) ?? [];
  const size = { width: Number(width), height: Number(height ?? width) };
  if (size.width > 0 && size.height > 0) return size;
  return refuse('Give the pixels of a side or of both, such as 512 or 768x512.');
}

/** "1", or "2,1,1". */
export function parseWeights(text: string): number[] {
  return text.split(',').map((part) => {
    const value = NUMBER.test(part.trim()) ? Number(part) : Number.NaN;
    return Number.isFinite(value) ? value : refuse('Give numbers with commas between them, such as 2,1,1.');
  });
}

const UNITS: Readonly<Record<string, number>> = {
  ...{ kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12 },
  ...{ kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40 },
};

/** "6GB", "512 MiB". */
export function parseBytes(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?)\s*([kmgt]i?b)$/i.exec(text.trim()) ?? [];
  const bytes = Math.floor(Number(amount) * (UNITS[unit?.toLowerCase() ?? ''] ?? Number.NaN));
  return bytes > 0 && Number.isSafeInteger(bytes)
    ? bytes
    : refuse('Give an amount with its unit, such as 6GB or 512MiB.');
}

export function parseFormat(text: string): 'png' {
  return text.toLowerCase() === 'png' ? 'png' : refuse('Pictures are written as png only, so far.');
}

/** For options that may be given several times. */
export const collect = (value: string, previous: readonly string[] = []): string[] => [...previous, value];
