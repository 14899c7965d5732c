/** Any data as lines for people: as YAML looks, cut where it is long, and harmless. */
import { printable } from '../text.js';

const LONGEST = 400; // characters of a value
const MOST_LINES = 200;
const MOST_ITEMS = 50;
const DEEPEST = 8;

export const shown = (text: string): string => {
  const safe = printable(text);
  return safe.length > LONGEST ? `${safe.slice(0, LONGEST)} ... (${safe.length} characters)` : safe;
};

export function outline(value: unknown): string[] {
  const lines: string[] = [];
  add(value, '', 0, lines);
  return lines.length > MOST_LINES
    ? [...lines.slice(0, MOST_LINES), `... and ${lines.length - MOST_LINES} more lines`]
    : lines;
}

function add(value: unknown, indent: string, depth: number, lines: string[]): void {
  if (lines.length > MOST_LINES * 10) return;
  if (typeof value !== 'object' || value === null) {
    lines.push(indent + scalar(value));
    return;
  }
  if (depth > DEEPEST) {
    lines.push(`${indent}...`);
    return;
  }
  const entries = Object.entries(value);
  for (const [key, inner] of entries.slice(0, MOST_ITEMS)) {
    const label = Array.isArray(value) ? '-' : `${shown(key)}:`;
    const short = inline(inner);
    if (short !== undefined) {
      lines.push(`${indent}${label} ${short}`.trimEnd());
      continue;
    }
    lines.push(indent + label);
    add(inner, `${indent}  `, depth + 1, lines);
  }
  if (entries.length > MOST_ITEMS) lines.push(`${indent}... and ${entries.length - MOST_ITEMS} more`);
}

const scalar = (value: unknown): string => (typeof value === 'string' ? shown(value) : String(value));

/** What fits into a line: a value, or a short list of values. */
function inline(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null) return scalar(value);
  const inner = Object.values(value);
  if (inner.length === 0) return Array.isArray(value) ? '[]' : '{}';
  if (!Array.isArray(value) || inner.some((one) => typeof one === 'object' && one !== null)) return undefined;
  const text = inner.slice(0, MOST_ITEMS).map(scalar).join(', ');
  return text.length <= 100 && inner.length <= MOST_ITEMS ? text : undefined;
}
