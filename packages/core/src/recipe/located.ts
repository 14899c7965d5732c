/**
 * YAML (and so JSON) as plain values that know where they were written. Stricter than YAML is: one document of maps,
 * lists, texts, finite decimal numbers, true, false and null. No tags and no directives, since both change what a text
 * means; no characters that control a terminal; aliases only as far as the result stays small.
 */
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type Scalar,
} from 'yaml';
import { printable } from '../checkpoint/printable.js';
import { type Path, type Place, type Problem, pathText, refuse } from './problems.js';

/** Characters. A recipe of a thousand models has 60,000; this many take the parser seconds at worst. */
const LONGEST_TEXT = 2 ** 18;
const LONGEST_STRING = 4096;
/** Values, an alias counted as what it stands for. */
const MOST_NODES = 50_000;
const DEEPEST = 20;

/** 12, -0.5, 1e-3; not 012, 0x10, .inf or 1_000, which readers take for different things. */
const PLAIN_NUMBER = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i;

export interface Located {
  /** Objects have no prototype; whole numbers that a double cannot hold are their digits as text. */
  readonly value: unknown;
  /** Of the value at `path`, or of the nearest thing around it that is there. */
  place(path: Path): Place;
  /** Of the key itself. */
  keyPlace(path: Path): Place;
  has(path: Path): boolean;
}

/** What a text may hold; by default what a recipe needs. */
export interface LocatedLimits {
  /** What the text is to be, in messages. */
  readonly what?: string;
  /** Characters. */
  readonly longest?: number;
  readonly mostNodes?: number;
  /** Texts may have several lines. */
  readonly lines?: boolean;
}

const id = (path: Path): string => JSON.stringify(path);

/** Throws a ConfigError that says line and column of everything that is wrong. */
export function readLocated(text: string, file: string, limits: LocatedLimits = {}): Located {
  const { what = 'a recipe', longest = LONGEST_TEXT, mostNodes = MOST_NODES, lines = false } = limits;
  const counter = new LineCounter();
  const problems: Problem[] = [];
  const placeAt = (offset: number): Place => {
    const { line, col } = counter.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const problem = (offset: number, path: Path, message: string) =>
    void problems.push({ ...placeAt(offset), path: pathText(path), message });
  if (text.length > longest) {
    problem(0, [], `the text has ${text.length} characters; expected ${what}, of at most ${longest}`);
    refuse(problems, file);
  }
  const parsed = parseDocument(text, {
    lineCounter: counter,
    version: '1.2',
    schema: 'core',
    resolveKnownTags: false,
    uniqueKeys: false, // checked below: the parser's way takes quadratic time
    prettyErrors: false,
    logLevel: 'error',
  });
  for (const { pos, message } of [...parsed.errors, ...parsed.warnings]) problem(pos[0], [], readable(message));
  if (hasDirectives(parsed)) problem(0, [], 'directives (lines that begin with %) are not taken; leave them out');
  refuse(problems, file);

  const places = new Map<string, { readonly key: number; readonly value: number }>();
  const value = convert(parsed, { problem, places, mostNodes, lines });
  refuse(problems, file);
  const find = (path: Path): { readonly key: number; readonly value: number } => {
    for (let length = path.length; length >= 0; length--) {
      const found = places.get(id(path.slice(0, length)));
      if (found) return found;
    }
    return { key: 0, value: 0 };
  };
  return {
    value,
    place: (path) => placeAt(find(path).value),
    keyPlace: (path) => placeAt(find(path).key),
    has: (path) => places.has(id(path)),
  };
}

/** The parser's messages speak to programmers here and there. */
function readable(message: string): string {
  if (message.startsWith('Maximum call stack')) return `values nest deeper than ${DEEPEST} levels`;
  return printable(message.split('\n')[0]!).replace(/; please use YAML\.parseAllDocuments\(\)$/, '; expected one');
}

function hasDirectives({ directives }: Document.Parsed): boolean {
  const tags = Object.keys(directives.tags);
  return directives.yaml.explicit === true || tags.some((handle) => handle !== '!!');
}

interface Context {
  readonly problem: (offset: number, path: Path, message: string) => void;
  readonly places: Map<string, { readonly key: number; readonly value: number }>;
  readonly mostNodes: number;
  readonly lines: boolean;
}

/** The document as a plain value. */
function convert(parsed: Document.Parsed, { problem, places, mostNodes, lines }: Context): unknown {
  let count = 0;
  const anchors = new Map<string, Node>();
  const visit = (node: Node | null, path: Path, key: number, around: readonly Node[]): unknown => {
    const offset = node?.range?.[0] ?? key;
    places.set(id(path), { key, value: offset });
    if (++count === mostNodes + 1) problem(offset, path, `there are more than ${mostNodes} values`);
    if (count > mostNodes) return null;
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (!target) problem(offset, path, `there is no anchor "&${printable(node.source, 60)}" before this`);
      else if (around.includes(target)) problem(offset, path, 'the alias contains itself');
      else return visit(target, path, key, around);
      return null;
    }
    if (node?.anchor !== undefined) anchors.set(node.anchor, node);
    if (isScalar(node)) return scalar(node, lines, (message) => problem(offset, path, message));
    if (around.length > DEEPEST) {
      problem(offset, path.slice(0, 3), `values nest deeper than ${DEEPEST} levels`);
      return null;
    }
    if (isSeq(node)) {
      return node.items.map((item, i) => visit(item as Node, [...path, i], offset, [...around, node]));
    }
    if (!isMap(node)) return null;
    const object: Record<string, unknown> = Object.create(null);
    for (const pair of node.items) {
      const name = pair.key as Node | null;
      const at = name?.range?.[0] ?? offset;
      const text = isScalar(name) ? keyText(name) : undefined;
      if (text === undefined) problem(at, path, 'a key must be a text');
      else if (UNPRINTABLE.test(text)) problem(at, path, `the key "${printable(text, 60)}" has control characters`);
      else if (text === '__proto__') problem(at, path, 'the key "__proto__" has no meaning here');
      else if (text in object) problem(at, path, `the key "${printable(text, 60)}" occurs twice`);
      else object[text] = visit(pair.value as Node | null, [...path, text], at, [...around, node]);
    }
    return object;
  };
  return visit(parsed.contents, [], 0, []);
}

/** Names are texts even where they look like numbers: {2: 1} names the model "2". */
function keyText({ value, source }: Scalar): string | undefined {
  if (typeof value === 'string') return value;
  return typeof value === 'number' && source !== undefined ? source : undefined;
}

/** Controls, line separators and halves of surrogate pairs; no name or path needs them. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const UNPRINTABLE = /[\x00-\x1f\x7f-\x9f\u2028\u2029\p{Cs}]/u;

function scalar({ value, source = '' }: Scalar, lines: boolean, problem: (message: string) => void): unknown {
  if (typeof value === 'string') {
    if (value.length > LONGEST_STRING)
      problem(`a text has ${value.length} characters; expected at most ${LONGEST_STRING}`);
    else if (UNPRINTABLE.test(lines ? value.replace(/[\n\t]/g, ' ') : value))
      problem(`"${printable(value, 60)}" has control characters; expected plain text`);
    return value;
  }
  if (typeof value !== 'number') return value;
  if (!PLAIN_NUMBER.test(source)) {
    problem(`${printable(source, 60)} is no plain decimal number; write it as 12 or 0.5, or in quotes if it is a text`);
    return 0;
  }
  if (!Number.isFinite(value)) problem(`${printable(source, 60)} is too large`);
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? source : value;
}
