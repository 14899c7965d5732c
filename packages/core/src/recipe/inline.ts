/** Recipes in a word: "noto+ink", "noto:2 + ink:1", "noto:1/3+ink:2/3". */
import { printable } from '../checkpoint/printable.js';
import { UsageError } from '../errors.js';
import { type Fraction, parseFraction } from '../soup/fraction.js';
import { isWeight, LARGEST_WEIGHT } from './weight.js';

export interface InlineIngredient {
  readonly model: string;
  /** Undefined where none is given. */
  readonly weight?: Fraction;
}

/** A name that exists is never taken apart, whatever characters it has: `exists` says which do. */
export function parseInline(word: string, exists: (name: string) => boolean): InlineIngredient[] {
  if (word.trim() === '') throw new UsageError('a model has an empty name; give a folder');
  if (exists(word) || !/[+:]/.test(word)) return [{ model: word }];
  const parts = word.split('+').map((part) => parsePart(part.trim(), exists));
  if (parts.some(({ model }) => model === '')) {
    throw new UsageError(`"${printable(word)}" has an ingredient without a name; write them as A+B or A:2+B:1`);
  }
  return parts;
}

/** "noto:2", where noto:2 itself does not exist. */
function parsePart(part: string, exists: (name: string) => boolean): InlineIngredient {
  const colon = part.lastIndexOf(':');
  if (colon < 0 || exists(part)) return { model: part };
  const [model, text] = [part.slice(0, colon).trimEnd(), part.slice(colon + 1).trim()];
  if (isWeight(text)) return { model, weight: parseFraction(text) };
  if (!exists(model)) return { model: part }; // C:\models, or a URL: refused when it is looked for
  throw new UsageError(
    `the weight of ${printable(model)} is "${printable(text)}"; give a number or a fraction up to ${LARGEST_WEIGHT}, as in ` +
      `${printable(model)}:2`,
  );
}
