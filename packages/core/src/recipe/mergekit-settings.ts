/** Parameters of mergekit's recipes: one value for a whole model, nothing by layer. */
import { printable } from '../checkpoint/printable.js';
import type { Method } from '../methods/index.js';
import { type Fraction, parseFraction } from '../soup/fraction.js';
import type { Path } from './problems.js';
import { isWeight } from './weight.js';

export type Settings = Readonly<Record<string, unknown>>;
export type Reported = (path: Path, message: string) => void;

export function checkNames(
  settings: Settings,
  path: Path,
  known: readonly string[],
  method: Method,
  problem: Reported,
): void {
  for (const name of Object.keys(settings)) {
    if (known.includes(name)) continue;
    const has = known.length > 0 ? `it has ${known.join(', ')}` : 'it has none here';
    problem([...path, name], `mergekit's ${method} has no such parameter that is supported; ${has}`);
  }
}

export function checkReference(model: string, path: Path, problem: Reported): void {
  if (model.includes('+'))
    problem(
      path,
      `"${printable(model, 60)}": a LoRA on a model is not read from mergekit's form; use "loras" of our own`,
    );
}

export function numberAt(value: unknown, path: Path, problem: Reported): Fraction | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'number' || typeof value === 'string') {
    if (isWeight(value)) return parseFraction(value);
    problem(path, 'expected a number');
  } else if (Array.isArray(value)) {
    const isFiltered = value.some((one) => typeof one === 'object' && one !== null);
    problem(
      path,
      `${isFiltered ? 'values by filter' : 'a list of values by layer'} of language models; expected one number`,
    );
  } else problem(path, 'expected one number');
  return undefined;
}

export function booleanAt(value: unknown, path: Path, problem: Reported): boolean | undefined {
  if (typeof value === 'boolean' || value === undefined || value === null) return value ?? undefined;
  problem(path, 'expected true or false');
  return undefined;
}
