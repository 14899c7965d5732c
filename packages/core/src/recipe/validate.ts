/** A schema's verdict in words, each at its place in the file. */
import type * as z from 'zod/mini';
import { printable, printableValue } from '../checkpoint/printable.js';
import type { Located } from './located.js';
import { nearest } from './nearest.js';
import { type Path, type Problem, pathText, refuse } from './problems.js';

/** Throws what the schema says, at its place in the file. */
export function validate<Schema extends z.ZodMiniType>(
  schema: Schema,
  located: Located,
  file: string,
): z.output<Schema> {
  const result = schema.safeParse(located.value);
  if (result.success) return result.data;
  const issues = result.error.issues.flatMap((issue) => flattened(issue, []));
  refuse(
    issues.flatMap((issue) => problemsOf(issue, located)),
    file,
  );
  throw new Error('a recipe is refused without a reason');
}

type Issue = z.core.$ZodIssue;

/** Of alternatives, what is wrong with the one that was meant: the one of the right type. */
function flattened(issue: Issue, before: Path): Issue[] {
  const path = [...before, ...(issue.path as Path)];
  if (issue.code === 'invalid_union') {
    const meant = issue.errors.find(
      (issues) => !issues.some(({ code, path }) => code === 'invalid_type' && path.length === 0),
    );
    if (meant) return meant.flatMap((inner) => flattened(inner, path));
  }
  if (issue.code === 'invalid_key') return [{ ...issue, path }];
  return [{ ...issue, path: path as PropertyKey[] }];
}

function problemsOf(issue: Issue, located: Located): Problem[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    const known = issue.message.split(', ');
    return issue.keys.map((key) => {
      const message = `"${printable(key, 60)}" is no key here; ${didYouMean(key, known) ?? `expected ${known.join(', ')}`}`;
      return { ...located.keyPlace([...path, key]), path: pathText(path), message };
    });
  }
  const last = String(path.at(-1));
  const around = { path: pathText(path.slice(0, -1)) };
  if (!located.has(path)) {
    return [{ ...located.place(path.slice(0, -1)), ...around, message: `"${last}" is missing; ${issue.message}` }];
  }
  if (issue.code === 'invalid_key') {
    return [
      { ...located.keyPlace(path), ...around, message: `"${printable(last, 60)}" is ${issue.issues[0]?.message}` },
    ];
  }
  const found = valueAt(located.value, path);
  const hint = issue.code === 'invalid_value' ? didYouMean(found, issue.values.map(String)) : undefined;
  const message = `${issue.message}; found ${shown(found)}${hint ? `; ${hint}` : ''}`;
  return [{ ...located.place(path), path: pathText(path), message }];
}

function didYouMean(word: unknown, words: readonly string[]): string | undefined {
  const near = typeof word === 'string' ? nearest(word, words) : undefined;
  return near && `did you mean "${near}"?`;
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return `a map of ${Object.keys(value).length}`;
  return printableValue(value).slice(0, 200);
}

const valueAt = (value: unknown, path: Path): unknown =>
  path.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key as string], value);
