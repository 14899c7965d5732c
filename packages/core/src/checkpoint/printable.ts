/**
 * Text from a file, made safe to show: names in a checkpoint are chosen by whoever made it, and must not be able
 * to move a terminal's cursor, colour it, or fill it.
 */

/** Control and format characters (ANSI escapes, NUL, bidirectional marks), line separators and lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu;

/** Characters of a name that a message shows; real tensor names stay below 120. */
const LONGEST_SHOWN = 160;

/** How much of the end of a shortened text is kept: the end of a path or of a tensor name tells the most. */
const TAIL_SHOWN = 40;

/** `text` with unprintable characters as `\u{..}` and its middle cut out when it is long. */
export function printable(text: string, longest = LONGEST_SHOWN): string {
  // Cut before escaping, so that a name of 10 MB costs nothing.
  const cut = text.length - longest;
  const shown =
    cut <= 0
      ? text
      : `${text.slice(0, longest - TAIL_SHOWN)}[... ${cut} more characters ...]${text.slice(-TAIL_SHOWN)}`;
  return shown.replace(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)?.toString(16)}}`);
}

/** A value of a config or header as a message shows it: JSON, shortened, harmless. */
export function printableValue(value: unknown): string {
  if (typeof value === 'number') return String(value); // JSON has no NaN or Infinity
  return printable(JSON.stringify(value) ?? String(value));
}

/** Dimensions that a message shows; no layer has more than 5. */
const DIMENSIONS_SHOWN = 16;

export function printableShape(shape: readonly number[]): string {
  const more = shape.length > DIMENSIONS_SHOWN ? `, ... (${shape.length} dimensions)` : '';
  return `[${shape.slice(0, DIMENSIONS_SHOWN).join(', ')}${more}]`;
}
