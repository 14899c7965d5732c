/** Text that came from a file, a name or another machine, made harmless for a terminal and for a log. */

// Whole escape sequences first, so that their letters do not stay behind as litter: CSI (ESC [ or 9B), the string
// sequences OSC, DCS, SOS, PM and APC up to their end, and two-character escapes. An
// unfinished string sequence goes up to the end of the text, as a terminal would swallow it.
const escapes =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this removes
  /(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]/g;

// C0 and C1 controls; soft hyphen; zero-width and bidi marks, embeddings, overrides and isolates; line and paragraph
// separators; byte order mark; interlinear annotation; language tags; lone surrogates.
const controls =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the same
  /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Cs}]/gu;

/** One line of `text` without anything that could move the cursor, change colours, hide or reorder what is shown. */
export function printable(text: string): string {
  return text
    .replace(/\r\n|[\t\n\v\f\r\x85\u2028\u2029]/g, ' ')
    .replace(escapes, '')
    .replace(controls, '');
}

/** The same for text of several lines: line feeds stay. */
export function printableLines(text: string): string {
  return text
    .split(/\r\n|[\n\r\x85\u2028\u2029]/)
    .map(printable)
    .join('\n');
}
