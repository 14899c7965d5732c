/** JSON inside metadata: anybody may have written it, and what cannot be read is shown as text. */
import { parseConfigJson } from '../checkpoint/json.js';
import { ConfigError } from '../errors.js';

/** Characters. Real workflows have some 100,000. */
const LONGEST = 8_000_000;

/** The object that a text is, without a prototype; undefined when it is none, or has a key twice. */
export function readObject(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined || text.length > LONGEST || !/^\s*\{/.test(text)) return undefined;
  try {
    const value = parseConfigJson(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** JSON of anything: 64-bit numbers as strings, what JSON has no number for as its name. */
export function toJson(value: unknown, indent?: number): string {
  return JSON.stringify(
    value,
    (_, item: unknown) => {
      if (typeof item === 'bigint') return item.toString();
      if (typeof item === 'number' && !Number.isFinite(item)) return String(item);
      return item;
    },
    indent,
  );
}
