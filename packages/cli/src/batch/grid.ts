/** Pictures of a batch in rows and columns: by soup, seed, prompt or any axis of its manifest. */
import { ConfigError, UsageError } from '@diffusion-soup/core';
import { printable } from '../text.js';
import type { Result } from './results.js';

export interface Sheet {
  /** What all its pictures share and other sheets do not; '' where there is one sheet. */
  readonly title: string;
  readonly rows: readonly string[];
  readonly columns: readonly string[];
  /** `cells[row][column]`; undefined where there is no picture. */
  readonly cells: readonly (readonly (Result | undefined)[])[];
}

export interface GridOptions {
  readonly rows?: string;
  readonly columns?: string;
}

/** What a picture may be placed by; the axes of a manifest count first. */
const BASIC = ['model', 'prompt', 'seed', 'steps'] as const;
const MOST_SHEETS = 200;

export function valueOfKey(result: Result, key: string): string {
  const own = result.vars && Object.hasOwn(result.vars, key) ? result.vars[key] : undefined;
  if (own !== undefined) return own;
  return (BASIC as readonly string[]).includes(key) ? String(result[key as (typeof BASIC)[number]] ?? '') : '';
}

export function layOutSheets(
  results: readonly Result[],
  options: GridOptions,
): { sheets: Sheet[]; rows: string; columns: string } {
  const done = results.filter(({ status }) => status === 'done').sort((a, b) => a.index - b.index);
  if (done.length === 0)
    throw new ConfigError('there are no pictures of a batch in it; draw them with "soup batch" first.');
  const keys = [...new Set([...done.flatMap(({ vars = {} }) => Object.keys(vars)), ...BASIC])];
  const valuesOf = (key: string): string[] => [...new Set(done.map((result) => valueOfKey(result, key)))];
  for (const key of [options.rows, options.columns]) {
    if (key === undefined || keys.includes(key)) continue;
    throw new UsageError(
      `no picture has a ${printable(key)}; there are ${keys.map((one) => printable(one)).join(', ')}`,
    );
  }
  const varying = keys.filter((key) => valuesOf(key).length > 1);
  const free = varying.filter((key) => key !== options.rows && key !== options.columns);
  // Soups downwards and seeds across, as most would lay them.
  const take = (wanted: readonly string[]): string | undefined => {
    const key = wanted.find((one) => free.includes(one)) ?? free[0];
    if (key !== undefined) free.splice(free.indexOf(key), 1);
    return key;
  };
  const rows = options.rows ?? take(['model', 'prompt']) ?? 'model';
  const columns = options.columns ?? take(['seed', 'prompt']) ?? (rows === 'seed' ? 'prompt' : 'seed');
  // What goes with the rows or the columns, as a prompt made of an axis does, tells no sheets apart.
  const others = free.filter((key) => !follows(done, key, [rows, columns]));
  const titleOf = (result: Result): string => others.map((key) => `${key} ${valueOfKey(result, key)}`).join(', ');
  const titles = [...new Set(done.map(titleOf))];
  if (titles.length > MOST_SHEETS) {
    throw new UsageError(
      `that makes ${titles.length} sheets, by ${others.join(' and ')}; choose other --rows and --columns`,
    );
  }
  const [down, across] = [valuesOf(rows), valuesOf(columns)];
  const sheets = titles.map((title) => {
    const mine = done.filter((result) => titleOf(result) === title);
    const cells = down.map((row) =>
      across.map((column) => mine.find((one) => valueOfKey(one, rows) === row && valueOfKey(one, columns) === column)),
    );
    return { title, rows: down, columns: across, cells };
  });
  return { sheets, rows, columns };
}

function follows(results: readonly Result[], key: string, from: readonly string[]): boolean {
  const seen = new Map<string, string>();
  return results.every((result) => {
    const place = JSON.stringify(from.map((one) => valueOfKey(result, one)));
    const value = valueOfKey(result, key);
    const before = seen.get(place) ?? value;
    seen.set(place, value);
    return before === value;
  });
}
