/** A line of text that is being typed, with its cursor. Everything that could disturb a terminal is left out. */
import { printable } from '../../text.js';

export interface TextLine {
  readonly text: string;
  /** In characters as people count them, not in UTF-16 units. */
  readonly cursor: number;
}

const LONGEST = 2000;
const segmenter = new Intl.Segmenter();

export const characters = (text: string): string[] => [...segmenter.segment(text)].map(({ segment }) => segment);

export const lineOf = (text: string): TextLine => ({ text, cursor: characters(text).length });

export function inserted({ text, cursor }: TextLine, typed: string): TextLine {
  const all = characters(text);
  const before = all.slice(0, cursor).join('') + printable(typed);
  const whole = characters(before + all.slice(cursor).join(''));
  if (whole.length > LONGEST) return { text, cursor };
  return { text: whole.join(''), cursor: characters(before).length };
}

/** Removes characters: `count` before the cursor, or after it when negative. */
export function erased({ text, cursor }: TextLine, count: number): TextLine {
  const all = characters(text);
  const from = Math.max(0, count > 0 ? cursor - count : cursor);
  const to = count > 0 ? cursor : Math.min(all.length, cursor - count);
  return { text: [...all.slice(0, from), ...all.slice(to)].join(''), cursor: from };
}

export const moved = ({ text, cursor }: TextLine, by: number): TextLine => ({
  text,
  cursor: Math.min(characters(text).length, Math.max(0, cursor + by)),
});

/** How far the cursor is from the beginning of the word before it, as Ctrl-W counts. */
export function wordBefore({ text, cursor }: TextLine): number {
  const before = characters(text).slice(0, cursor).join('');
  return characters(/\S*\s*$/.exec(before)?.[0] ?? '').length;
}
