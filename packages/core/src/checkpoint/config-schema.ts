/**
 * What the four config readers share: a zod object is the list of the options that this engine supports, and every
 * schema's message ends the sentence `unet/config.json: "norm_eps" is "x"; ...`. No option is ignored in silence.
 */
import * as z from 'zod/mini';
import { ConfigError } from '../errors.js';
import { printable, printableValue } from './printable.js';

/** The widest layer of any published Stable Diffusion has 10,240 channels; above 65,536 a file is mistaken or hostile. */
export const MAX_CHANNELS = 2 ** 16;

/** Every level halves the picture, so 16 of them reduce 65,536 pixels to one. */
export const MAX_LEVELS = 16;

/** Layers of one kind in one place; the deepest known text encoder has 32. */
export const MAX_LAYERS = 64;

/** Attention heads of one layer; the most known is 64. */
export const MAX_HEADS = 1024;

/** A whole number from 1 to `most`. */
export function count(most: number) {
  const message = `expected a whole number from 1 to ${most}`;
  return z.number(message).check(z.refine((n) => Number.isInteger(n) && n >= 1 && n <= most, message));
}

/** One whole number for all levels, or a list with one for each. */
export function perLevel(most: number) {
  const message = `expected a whole number from 1 to ${most}, or a list of one for each level`;
  return z.union([count(most), z.array(count(most))], message);
}

/** A list of one to MAX_LEVELS of `element`. */
export function levels<Element extends z.core.SomeType>(element: Element) {
  const message = `expected a list of 1 to ${MAX_LEVELS} levels`;
  return z.array(element, message).check(z.minLength(1, message), z.maxLength(MAX_LEVELS, message));
}

/** A finite number above 0. */
export function positive() {
  const message = 'expected a number above 0';
  return z.number(message).check(z.gt(0, message));
}

export function flag() {
  return z.boolean('expected true or false');
}

/** The values that are implemented; the others that diffusers knows are not, and are refused by name. */
export function only<const Values extends readonly (string | number | boolean | null)[]>(...values: Values) {
  return z.literal(values, `this engine supports only ${values.map((value) => JSON.stringify(value)).join(' or ')}`);
}

/** The same for an option that may be left out, when it has the first of the values. */
export function onlyOrAbsent<
  const Values extends readonly [string | number | boolean | null, ...(string | number | null)[]],
>(...values: Values) {
  return z._default(only(...values), values[0] as never);
}

/** A square picture's size in latents or pixels; only a default, every size can be drawn. */
export function squareSize(fallback: number) {
  const message = 'expected a whole number from 1 to 65536, or two that are equal';
  const pair = z.array(count(MAX_CHANNELS)).check(z.refine(([a, b, ...more]) => a === b && more.length === 0, message));
  return z._default(z.nullable(z.union([count(MAX_CHANNELS), pair], message)), fallback);
}

export function sideOf(size: number | readonly number[] | null, fallback: number): number {
  return typeof size === 'number' ? size : (size?.[0] ?? fallback);
}

export type RefuseOption = (key: string, found: unknown, wanted: string) => never;

/** A function that throws a ConfigError about one option of `file`. */
export function refusalOfOption(file: string): RefuseOption {
  const name = printable(file, 1000);
  return (key, found, wanted) => {
    const shown = found === undefined ? 'missing' : printableValue(found);
    const option = printable(key);
    throw new ConfigError(`${name}: "${option}" is ${shown}; ${wanted}`, { file: name, key: option, found: shown });
  };
}

export interface ConfigRules {
  /** Options that other programs write and that do not change what the model computes. */
  readonly harmless?: readonly string[];
  /** Whether an unknown option with this value is switched off. */
  readonly isOff?: (value: unknown) => boolean;
}

/** Checks `json` against `schema`; keys that start with "_" are notes of the program that wrote the file. */
export function parseOptions<Shape extends z.core.$ZodShape>(
  json: unknown,
  file: string,
  schema: z.ZodMiniObject<Shape>,
  { harmless = [], isOff = (value) => value === null || value === false }: ConfigRules = {},
): z.output<z.ZodMiniObject<Shape>> {
  const refuse: RefuseOption = refusalOfOption(file);
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    const name = printable(file, 1000);
    throw new ConfigError(`${name} holds ${printableValue(json)}; expected a JSON object with options`, { file: name });
  }
  for (const [key, value] of Object.entries(json)) {
    const known = Object.hasOwn(schema.shape, key) || key.startsWith('_') || harmless.includes(key);
    if (!known && !isOff(value)) refuse(key, value, 'this engine does not know the option, so the model may need it');
  }
  const result = z.safeParse(schema, json);
  if (result.success) return result.data;
  const { path, message } = result.error.issues[0]!;
  const [key, ...inner] = path.map(String);
  const found = path.reduce((value: unknown, step) => (value as Record<PropertyKey, unknown>)?.[step], json);
  return refuse(`${key}${inner.map((step) => `[${step}]`).join('')}`, found, message);
}
