/**
 * The text of a manifest, as YAML, JSON, JSON lines or CSV, to what it says; every mistake with its line and column.
 * A manifest is a list of items, or a map of items with defaults, axes and wildcards.
 */
import {
  ConfigError,
  type Located,
  type Place,
  type Problem,
  pathText,
  readLocated,
  refuse,
} from '@diffusion-soup/core';
import { printable } from '../text.js';
import { CsvError, readCsv } from './csv.js';
import { isField, unknownField } from './fields.js';

export const KINDS = ['yaml', 'json', 'jsonl', 'csv'] as const;
export type Kind = (typeof KINDS)[number];

/** Something with fields, and where it was written. */
export interface RawItem {
  readonly fields: Readonly<Record<string, unknown>>;
  place(field?: string): Place;
}

export interface RawAxis {
  readonly name: string;
  readonly value: unknown;
  readonly place: Place;
}

export interface RawManifest {
  readonly file: string;
  readonly defaults: RawItem;
  readonly items: readonly RawItem[];
  readonly axes: readonly RawAxis[];
  /** Axes that run side by side; the others are combined, each value with each. */
  readonly zip: readonly (readonly string[])[];
  readonly wildcards: readonly RawAxis[];
  /** The template of file names. */
  readonly name?: string;
}

const LIMITS = { what: 'a manifest', longest: 2 ** 23, mostNodes: 1_000_000, lines: true } as const;
const KEYS = ['items', 'defaults', 'axes', 'zip', 'wildcards', 'name'];
const START: Place = { line: 1, column: 1 };
const NOTHING: RawItem = { fields: {}, place: () => START };

/** By the ending of the name, or for stdin by what it looks like. */
export function kindOf(file: string, text: string): Kind {
  const ending = /\.(ya?ml|json|jsonl|ndjson|csv)$/i.exec(file)?.[1]?.toLowerCase();
  if (ending) return ending === 'yml' ? 'yaml' : ending === 'ndjson' ? 'jsonl' : (ending as Kind);
  const first = text.split('\n').find((line) => line.trim() !== '') ?? '';
  return isItemLine(first) ? 'jsonl' : 'yaml';
}

/** A whole JSON object that is an item, not a manifest in one line. */
function isItemLine(text: string): boolean {
  try {
    const value: unknown = JSON.parse(text);
    return isMap(value) && !['items', 'axes', 'defaults', 'wildcards'].some((key) => key in value);
  } catch {
    return false;
  }
}

export function readManifest(text: string, file: string, kind: Kind = kindOf(file, text)): RawManifest {
  const manifest =
    kind === 'csv' ? fromCsv(text, file) : kind === 'jsonl' ? fromLines(text, file) : fromDocument(text, file);
  if (manifest.items.length > 0 || manifest.axes.length > 0 || 'prompt' in manifest.defaults.fields) return manifest;
  throw new ConfigError(`${printable(file)}:1:1: there is nothing in it; expected items, each with a prompt.`, {
    file,
  });
}

const plain = (file: string, items: readonly RawItem[]): RawManifest => ({
  ...{ file, items, defaults: NOTHING, axes: [], zip: [], wildcards: [] },
});

function fromCsv(text: string, file: string): RawManifest {
  try {
    const [header = [], ...records] = readCsv(text);
    const names = header.map((field) => field.text.trim());
    const problems: Problem[] = [];
    header.forEach(({ line, column }, i) => {
      const name = names[i]!;
      const message = names.indexOf(name) < i ? `the column "${printable(name)}" occurs twice` : wrongColumn(name);
      if (message) problems.push({ line, column, path: '', message });
    });
    for (const record of records) {
      if (record.length === names.length) continue;
      const message = `${record.length} fields, but the header has ${names.length}`;
      problems.push({ ...record[0]!, path: '', message });
    }
    refuse(problems, file);
    return plain(
      file,
      records.map((record) => {
        const at = (name: string) => record.find((_, i) => names[i] === name);
        const fields: Record<string, unknown> = {};
        const vars: Record<string, string> = {};
        names.forEach((name, i) => {
          if (name.startsWith('vars.')) vars[name.slice(5)] = record[i]!.text;
          else if (record[i]!.text !== '') fields[name] = record[i]!.text;
        });
        if (Object.keys(vars).length > 0) fields.vars = vars;
        return { fields, place: (field) => at(field ?? '') ?? record[0]! };
      }),
    );
  } catch (error) {
    if (!(error instanceof CsvError)) throw error;
    refuse([{ ...error.place, path: '', message: error.message }], file);
    throw error;
  }
}

const wrongColumn = (name: string): string | undefined =>
  (isField(name) && name !== 'vars') || /^vars\.\w+$/.test(name) ? undefined : unknownField(name, ['vars.NAME']);

function fromLines(text: string, file: string): RawManifest {
  const items: RawItem[] = [];
  const problems: Problem[] = [];
  text.split(/\r\n|\n/).forEach((line, i) => {
    if (line.trim() === '') return;
    const shift = ({ column }: Place): Place => ({ line: i + 1, column });
    try {
      JSON.parse(line);
      const located = readLocated(line, file, LIMITS);
      items.push(itemOf(located, [], (place, message) => problems.push({ ...shift(place), path: '', message }), shift));
    } catch (error) {
      const inner = error instanceof ConfigError ? (error.facts.problems as Problem[] | undefined) : undefined;
      if (!inner && !(error instanceof SyntaxError)) throw error;
      if (inner) problems.push(...inner.map((problem) => ({ ...problem, ...shift(problem) })));
      else problems.push({ ...shift(START), path: '', message: `no JSON: ${printable((error as Error).message)}` });
    }
  });
  refuse(problems, file);
  return plain(file, items);
}

type Complain = (place: Place, message: string) => void;

function itemOf(
  located: Located,
  path: readonly (string | number)[],
  complain: Complain,
  shift = (at: Place) => at,
): RawItem {
  const value = path.reduce<unknown>((inner, key) => (inner as Record<string, unknown>)[key], located.value);
  const place = (field?: string) => shift(located.place(field === undefined ? path : [...path, field]));
  if (!isMap(value)) {
    complain(
      located.place(path),
      `${pathText(path) || 'a line'}: expected an item: a map of fields such as prompt and seed`,
    );
    return { fields: {}, place };
  }
  for (const key of Object.keys(value)) {
    if (!isField(key)) complain(located.keyPlace([...path, key]), unknownField(key));
  }
  return { fields: value, place };
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function fromDocument(text: string, file: string): RawManifest {
  const located = readLocated(text, file, LIMITS);
  const problems: Problem[] = [];
  const complain: Complain = (place, message) => problems.push({ ...place, path: '', message });
  const { value } = located;
  const itemsOf = (list: readonly unknown[], path: readonly string[]) =>
    list.map((_, i) => itemOf(located, [...path, i], complain));
  if (Array.isArray(value)) {
    const items = itemsOf(value, []);
    refuse(problems, file);
    return plain(file, items);
  }
  if (!isMap(value)) {
    refuse([{ ...START, path: '', message: 'expected a list of items, or a map of items and axes' }], file);
    throw new Error('unreachable');
  }
  const isOne = Object.keys(value).some((key) => !KEYS.includes(key)) && Object.keys(value).every(isField);
  if (isOne) return plain(file, [itemOf(located, [], complain)]);
  for (const key of Object.keys(value)) {
    if (!KEYS.includes(key))
      complain(located.keyPlace([key]), `"${printable(key)}" is no key here; expected ${KEYS.join(', ')}`);
  }
  const { items = [], defaults, zip, name } = value;
  if (!Array.isArray(items)) complain(located.place(['items']), 'items: expected a list');
  if (name !== undefined && typeof name !== 'string') complain(located.place(['name']), 'name: expected a text');
  const mapOf = (key: 'axes' | 'wildcards'): RawAxis[] => {
    const map = value[key];
    if (map === undefined) return [];
    if (isMap(map)) {
      return Object.entries(map).map(([name, inner]) => ({ name, value: inner, place: located.place([key, name]) }));
    }
    complain(located.place([key]), `${key}: expected a map`);
    return [];
  };
  const axes = mapOf('axes');
  const manifest: RawManifest = {
    file,
    defaults: defaults === undefined ? NOTHING : itemOf(located, ['defaults'], complain),
    items: Array.isArray(items) ? itemsOf(items, ['items']) : [],
    axes,
    zip: zipOf(zip, axes, (message) => complain(located.place(['zip']), message)),
    wildcards: mapOf('wildcards'),
    ...(typeof name === 'string' && { name }),
  };
  refuse(problems, file);
  return manifest;
}

/** true for all axes, or lists of names. */
function zipOf(zip: unknown, axes: readonly RawAxis[], complain: (message: string) => void): string[][] {
  if (zip === undefined || zip === false) return [];
  const names = axes.map(({ name }) => name);
  if (zip === true) return [names];
  const groups = Array.isArray(zip) && zip.every((one) => typeof one === 'string') ? [zip] : zip;
  if (!Array.isArray(groups) || !groups.every((group) => Array.isArray(group))) {
    complain('zip: expected true, or lists of the axes that run side by side, as [[model, weights]]');
    return [];
  }
  const all = groups.flat().map(String);
  for (const [i, name] of all.entries()) {
    if (!names.includes(name)) complain(`zip: there is no axis ${printable(name)}; there are ${names.join(', ')}`);
    else if (all.indexOf(name) < i) complain(`zip: the axis ${printable(name)} is named twice`);
  }
  return groups as string[][];
}
