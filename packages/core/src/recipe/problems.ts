/** What is wrong with a recipe, and where: collected, so that all of it is said at once. */
import { printable } from '../checkpoint/printable.js';
import { ConfigError } from '../errors.js';

/** From a value's root to a value: keys and positions. */
export type Path = readonly (string | number)[];

/** Counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface Problem extends Place {
  /** What it is about, as "ingredients[2].weight"; '' for the whole. */
  readonly path: string;
  readonly message: string;
}

/** More would scroll the first ones off the screen. */
const MOST_SHOWN = 20;

export const pathText = (path: Path): string =>
  path
    .map((part, i) => (typeof part === 'number' ? `[${part}]` : `${i > 0 ? '.' : ''}${printable(part, 60)}`))
    .join('');

/** Throws a ConfigError with a line for each problem, in the order of the file; nothing when there are none. */
export function refuse(problems: readonly Problem[], file: string): void {
  if (problems.length === 0) return;
  const sorted = [...problems].sort((a, b) => a.line - b.line || a.column - b.column);
  const unique = sorted.filter((one, i) => i === 0 || lineOf(one, file) !== lineOf(sorted[i - 1]!, file));
  const lines = unique.slice(0, MOST_SHOWN).map((problem) => lineOf(problem, file));
  if (unique.length > MOST_SHOWN) lines.push(`... and ${unique.length - MOST_SHOWN} more`);
  throw new ConfigError(lines.join('\n'), { file: printable(file, 1000), problems: unique.slice(0, MOST_SHOWN) });
}

const lineOf = ({ line, column, path, message }: Problem, file: string): string =>
  `${printable(file, 1000)}:${line}:${column}: ${path ? `${path}: ` : ''}${message}`;
