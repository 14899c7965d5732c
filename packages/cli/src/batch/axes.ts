/** What an axis runs through: a list, the lines of a file, a range, or soups made of a few names. */
import { existsSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { parseInline, SoupError } from '@diffusion-soup/core';
import { readTextFile } from '../recipe-file.js';
import { printable } from '../text.js';
import { FieldError } from './fields.js';
import { decimal } from './template.js';

export const MOST_ITEMS = 1_000_000;

/** A file is looked for beside the manifest first. */
export function beside(manifest: string, name: string): string {
  const path = join(dirname(manifest), name);
  return !isAbsolute(name) && existsSync(path) ? path : name;
}

export async function linesOf(manifest: string, name: string): Promise<string[]> {
  const text = await readTextFile(beside(manifest, name)).catch((error: unknown) => {
    if (!(error instanceof SoupError)) throw error;
    throw new FieldError(error.message.replace('the text of a recipe', 'a text').replace('a recipe', 'a text'));
  });
  const lines = text
    .replace(/^\ufeff/, '')
    .split(/\r\n|\n|\r/)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
  if (lines.length === 0) throw new FieldError(`${printable(name)} has no lines`);
  return lines;
}

export async function axisValues(name: string, value: unknown, manifest: string): Promise<readonly unknown[]> {
  if (Array.isArray(value)) return value.length > 0 ? value : refuse('an axis needs at least one value');
  if (typeof value === 'string') {
    const [, from, to] = /^\s*(\d{1,15})\s*\.\.\s*(\d{1,15})\s*$/.exec(value) ?? [];
    if (from !== undefined) return whole(Number(from), Number(to));
  }
  if (typeof value !== 'object' || value === null) {
    return refuse(
      `expected a list${name === 'seed' ? ', or a range such as 1..8' : ''}; found ${printable(String(value))}`,
    );
  }
  const { file, from, to, steps, between, leave_one_out: out, ...rest } = value as Record<string, unknown>;
  const [more] = Object.keys(rest);
  if (more !== undefined) refuse(`"${printable(more)}" has no meaning for an axis; expected ${WAYS}`);
  if (typeof file === 'string') return linesOf(manifest, file);
  if (typeof out === 'string') return leaveOneOut(out);
  if (Array.isArray(between)) return sweep(between.map(String), stepsOf(steps ?? 5));
  if (typeof from === 'number' && typeof to === 'number') {
    const count = stepsOf(steps ?? Math.abs(to - from) + 1);
    return Array.from({ length: count }, (_, i) => decimal(from + ((to - from) * i) / Math.max(1, count - 1)));
  }
  return refuse(`expected a list, or ${WAYS}`);
}

const WAYS = '{file: NAME}, {from: 0, to: 1, steps: 5}, {leave_one_out: A+B+C} or {between: [A, B], steps: 5}';

const refuse = (message: string): never => {
  throw new FieldError(message);
};

function stepsOf(steps: unknown): number {
  if (typeof steps === 'number' && Number.isInteger(steps) && steps >= 2 && steps <= MOST_ITEMS) return steps;
  return refuse(`steps: expected a whole number from 2; found ${printable(String(steps))}`);
}

function whole(from: number, to: number): string[] {
  const count = Math.abs(to - from) + 1;
  if (count > MOST_ITEMS) refuse(`${count} values; expected at most ${MOST_ITEMS}`);
  return Array.from({ length: count }, (_, i) => String(from + Math.sign(to - from) * i));
}

const named = (word: string) => {
  const parts = parseInline(word, () => false);
  return parts.map(({ model, weight }) => `${model}${weight === undefined ? '' : `:${weight.n}/${weight.d}`}`);
};

/** The whole soup, then without each of its ingredients. */
function leaveOneOut(word: string): string[] {
  const parts = named(word);
  if (parts.length < 2) refuse('leave_one_out needs at least two ingredients, as A+B+C');
  return [parts, ...parts.map((_, i) => parts.filter((_, j) => j !== i))].map((soup) => soup.join('+'));
}

/** From all of A to all of B; the ends are the models themselves. */
function sweep([a, b, ...more]: readonly string[], steps: number): string[] {
  if (a === undefined || b === undefined || more.length > 0) return refuse('between takes two models, as [A, B]');
  return Array.from({ length: steps }, (_, i) => {
    if (i === 0) return a;
    return i === steps - 1 ? b : `${a}:${steps - 1 - i}/${steps - 1}+${b}:${i}/${steps - 1}`;
  });
}
