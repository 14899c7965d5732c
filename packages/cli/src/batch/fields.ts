/** The fields of an item: what each may hold, in YAML as in CSV, where all is text. */
import { DEFAULTS, nearest, parseFraction, resolveSampler, type SamplerName, SoupError } from '@diffusion-soup/core';
import { InvalidArgumentError } from 'commander';
import { parseNumber, parseSeed, parseSize, type Size, wholeNumber } from '../flags.js';
import { printable } from '../text.js';

/** A value as it was read: from CSV always a text. */
export type Raw = unknown;

/** Says what is wrong with a value; thrown by readers, placed by whoever reads a manifest. */
export class FieldError extends Error {}

function refuse(message: string): never {
  throw new FieldError(message);
}

const shown = (value: Raw): string =>
  typeof value === 'string' ? `"${printable(value).slice(0, 80)}"` : value === null ? 'nothing' : JSON.stringify(value);

function text(value: Raw): string {
  if (typeof value === 'string') return value;
  if (typeof value === 'number') return String(value);
  return refuse(`expected a text; found ${shown(value)}`);
}

function filled(value: Raw): string {
  const found = text(value).trim();
  return found === '' ? refuse('expected a text; found nothing') : found;
}

/** The command line's readers, for values that may also be numbers. */
const as =
  <T>(parse: (text: string) => T) =>
  (value: Raw): T => {
    try {
      return parse(text(value));
    } catch (error) {
      if (error instanceof InvalidArgumentError || error instanceof SoupError)
        refuse(`${error.message.replace(/\.$/, '')}; found ${shown(value)}`);
      throw error;
    }
  };

const list = (value: Raw): string[] => {
  const parts = Array.isArray(value) ? value : [value];
  return parts.length === 0 ? refuse('expected at least one model') : parts.map(filled);
};

function weights(value: Raw): string[] {
  const parts = Array.isArray(value) ? value.map(text) : text(value).split(',');
  return parts.map((part) => {
    as(parseFraction)(part.trim());
    return part.trim();
  });
}

const noise = (value: Raw): 'cpu' | 'cuda' => {
  if (value === 'cpu' || value === 'cuda') return value;
  return refuse(`expected cpu or cuda; found ${shown(value)}`);
};

function vars(value: Raw): Record<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return refuse('expected a map of texts');
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, text(inner)]));
}

export const FIELDS = {
  model: list,
  recipe: filled,
  weights,
  base: filled,
  prompt: filled,
  negative: text,
  seed: as(parseSeed),
  steps: as(wholeNumber(1, 1000)),
  sampler: as((name): SamplerName => resolveSampler(name)),
  guidance: as(parseNumber),
  size: as((value): Size => parseSize(value)),
  clip_skip: as(wholeNumber(0, 99)),
  noise,
  /** A picture to start from, and how much of it to replace. */
  image: filled,
  strength: as(parseNumber),
  /** Pictures with the seeds that follow. */
  count: as(wholeNumber(1, 100_000)),
  name: filled,
  vars,
} as const;

export type FieldName = keyof typeof FIELDS;
export type Fields = { readonly [Name in FieldName]?: ReturnType<(typeof FIELDS)[Name]> };

export const FIELD_NAMES = Object.keys(FIELDS) as FieldName[];
export const isField = (name: string): name is FieldName => Object.hasOwn(FIELDS, name);

/** What an item is where nothing is said: as `soup generate` draws, but for the seed, which must not change. */
export const ITEM_DEFAULTS = {
  negative: '',
  seed: 0n,
  steps: DEFAULTS.steps,
  guidance: DEFAULTS.guidance,
  clip_skip: 0,
  noise: 'cpu',
  count: 1,
} as const;

export function unknownField(name: string, also: readonly string[] = []): string {
  const known = [...also, ...FIELD_NAMES];
  const near = nearest(name, known);
  return `"${printable(name).slice(0, 60)}" is no field; ${near ? `did you mean "${near}"?` : `expected one of ${known.join(', ')}`}`;
}
