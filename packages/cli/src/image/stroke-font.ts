/**
 * A typeface of strokes, drawn for labels on pictures: a bare machine has no fonts, and a sheet should look the same
 * everywhere. Each glyph is the path of a pen in units: capitals are 14 high, small letters 10, the baseline is y = 14.
 */

/** The width of the glyph and its path. */
type Glyph = readonly [width: number, path: string];

const CAP_HEIGHT = 14;
const PEN = 1.7;
const SPACING = 3.1;
const SPACE = 4.6;
/** From the top of one line to the top of the next. */
const LINE_HEIGHT = 24;

const GLYPHS: Readonly<Record<string, Glyph>> = {
  a: [8, 'M8 4v10M8 9a4 5 0 1 0-8 0a4 5 0 1 0 8 0'],
  b: [8, 'M0 0v14M0 9a4 5 0 1 1 8 0a4 5 0 1 1-8 0'],
  c: [7.4, 'M7.4 6a4.2 5 0 1 0 0 6'],
  d: [8, 'M8 0v14M8 9a4 5 0 1 0-8 0a4 5 0 1 0 8 0'],
  e: [7.8, 'M.1 9h7.7a3.9 5 0 1 0-1.1 3.6'],
  f: [5.2, 'M5.2.2C3-.3 2 .8 2 3v11M0 4.6h5'],
  g: [8, 'M8 4v10.4a4 3.6 0 0 1-7.2 2.2M8 9a4 5 0 1 0-8 0a4 5 0 1 0 8 0'],
  h: [7.4, 'M0 0v14M0 8a3.7 4 0 0 1 7.4 0v6'],
  i: [0, 'M0 4v10M0 .2v.1'],
  j: [1.6, 'M1.6 4v11.4c0 1.8-.8 2.6-2.6 2.4M1.6.2v.1'],
  k: [6.8, 'M0 0v14M6.4 4L0 10.2M2.6 7.7L6.8 14'],
  l: [0, 'M0 0v14'],
  m: [12, 'M0 4v10M0 7.4a3 3.4 0 0 1 6 0v6.6M6 7.4a3 3.4 0 0 1 6 0v6.6'],
  n: [7.4, 'M0 4v10M0 8a3.7 4 0 0 1 7.4 0v6'],
  o: [8.2, 'M4.1 4a4.1 5 0 1 0 0 10a4.1 5 0 1 0 0-10z'],
  p: [8, 'M0 4v14M0 9a4 5 0 1 1 8 0a4 5 0 1 1-8 0'],
  q: [8, 'M8 4v14M8 9a4 5 0 1 0-8 0a4 5 0 1 0 8 0'],
  r: [4.4, 'M0 4v10M0 8.6C0 5.6 1.6 3.8 4.4 4.1'],
  s: [6.6, 'M6.2 5.5C5 3.6.4 3.4.4 6.5C.4 9.7 6.6 8.2 6.6 11.4C6.6 14.6 1.4 14.6 0 12.3'],
  t: [4.8, 'M1.8 1v10c0 2.2.9 3.2 3 2.9M0 4.4h4.8'],
  u: [7.4, 'M0 4v6a3.7 4 0 0 0 7.4 0M7.4 4v10'],
  v: [7.6, 'M0 4l3.8 10l3.8-10'],
  w: [12, 'M0 4l3 10l3-9.4l3 9.4l3-10'],
  x: [7.2, 'M0 4l7.2 10M7.2 4L0 14'],
  y: [7.8, 'M0 4l4 9.8M7.8 4L3.4 15.6C2.8 17.3 2 18 .4 17.8'],
  z: [7.2, 'M.2 4h6.8L0 14h7.2'],
  A: [10, 'M0 14L5 0l5 14M1.7 9.2h6.6'],
  B: [8.8, 'M0 6.6h4.8a3.3 3.3 0 0 0 0-6.6H0v14h5.1a3.7 3.7 0 0 0 0-7.4'],
  C: [10, 'M10 3a5.7 7 0 1 0 0 8'],
  D: [9.6, 'M0 0v14h3.6a6 7 0 0 0 0-14z'],
  E: [7.6, 'M7.6 0H0v14h7.6M0 6.8h6.8'],
  F: [7.4, 'M7.4 0H0v14M0 6.8h6.6'],
  G: [10.6, 'M10 3a5.7 7 0 1 0 .6 4.8H6.4'],
  H: [9, 'M0 0v14M9 0v14M0 6.8h9'],
  I: [0, 'M0 0v14'],
  J: [6, 'M6 0v9.8a3.1 4.2 0 0 1-6 1.2'],
  K: [8.8, 'M0 0v14M8.4 0L0 8.4M3.2 5.3L8.8 14'],
  L: [7.2, 'M0 0v14h7.2'],
  M: [11, 'M0 14V0l5.5 9.4L11 0v14'],
  N: [9, 'M0 14V0l9 14V0'],
  O: [11.6, 'M5.8 0a5.8 7 0 1 0 0 14a5.8 7 0 1 0 0-14z'],
  P: [8.6, 'M0 14V0h4.7a3.9 3.9 0 0 1 0 7.8H0'],
  Q: [11.8, 'M5.8 0a5.8 7 0 1 0 0 14a5.8 7 0 1 0 0-14zM7.6 10.4l4.2 4.4'],
  R: [8.8, 'M0 14V0h4.7a3.8 3.8 0 0 1 0 7.6H0M4.6 7.6L8.8 14'],
  S: [8.6, 'M8.1 2.3C6.6-.7.5-.9.5 3.5C.5 8.2 8.6 5.8 8.6 10.5C8.6 15 1.7 15.1 0 11.4'],
  T: [9.4, 'M0 0h9.4M4.7 0v14'],
  U: [9.2, 'M0 0v9.2a4.6 4.8 0 0 0 9.2 0V0'],
  V: [10, 'M0 0l5 14l5-14'],
  W: [15, 'M0 0l3.8 14l3.7-12.6l3.7 12.6L15 0'],
  X: [9, 'M0 0l9 14M9 0L0 14'],
  Y: [9.4, 'M0 0l4.7 7.2V14M9.4 0L4.7 7.2'],
  Z: [8.8, 'M.2 0h8.4L0 14h8.8'],
  0: [8.4, 'M4.2 0a4.2 7 0 1 0 0 14a4.2 7 0 1 0 0-14z'],
  1: [3.4, 'M0 2.8L3.4 0v14'],
  2: [8, 'M.1 3.8a3.8 3.8 0 0 1 7.6 0C7.7 7 4 9.2 0 14h8'],
  3: [8, 'M.4 2.4A3.6 3.4 0 0 1 3.8 0a3.3 3.3 0 0 1 0 6.6H2.8M3.8 6.6a3.7 3.7 0 0 1 0 7.4A3.9 3.7 0 0 1 0 11.2'],
  4: [8.6, 'M6.2 14V0L0 9.8h8.6'],
  5: [8, 'M7.2 0H1.2L.6 6.4C4 4.6 8 5.6 8 9.4C8 14.6 1.8 15.4 0 11.6'],
  6: [8, 'M6.6.2C3 2.4 0 5.8 0 9.8a4 4.2 0 1 0 8 0a4 4.2 0 1 0-8 0'],
  7: [7.8, 'M0 0h7.8L2.4 14'],
  8: [8, 'M4 6.4a3.4 3.2 0 1 0 0-6.4a3.4 3.2 0 1 0 0 6.4zM4 6.4a4 3.8 0 1 0 0 7.6a4 3.8 0 1 0 0-7.6z'],
  9: [8, 'M1.4 13.8C5 11.6 8 8.2 8 4.2a4 4.2 0 1 0-8 0a4 4.2 0 1 0 8 0'],
  '.': [0, 'M0 13.8v.1'],
  ',': [1, 'M1 13.6v.6L.2 16.8'],
  ':': [0, 'M0 5.6v.1M0 13.8v.1'],
  ';': [1, 'M1 5.6v.1M1 13.6v.6L.2 16.8'],
  '!': [0, 'M0 0v9.6M0 13.8v.1'],
  '?': [7, 'M0 3.4C.2-.9 7-1 7 3.6C7 7 3.4 6.6 3.4 10M3.4 13.8v.1'],
  "'": [0, 'M0 0v3.4'],
  '"': [2.8, 'M0 0v3.4M2.8 0v3.4'],
  '`': [2, 'M0 0l2 2.6'],
  '-': [5, 'M0 8.6h5'],
  '–': [8, 'M0 8.6h8'],
  '—': [13, 'M0 8.6h13'],
  _: [8, 'M0 16.4h8'],
  '+': [8, 'M0 8.4h8M4 4.4v8'],
  '=': [8, 'M0 6.6h8M0 10.4h8'],
  '×': [6.4, 'M0 5.2l6.4 6.4M6.4 5.2L0 11.6'],
  '*': [6, 'M3 0v6M.4 1.5l5.2 3M5.6 1.5l-5.2 3'],
  '/': [6, 'M6-1L0 16'],
  '\\': [6, 'M0-1l6 17'],
  '|': [0, 'M0-1v18'],
  '(': [3, 'M3-1.4C-1 3.6-1 11.4 3 16.4'],
  ')': [3, 'M0-1.4C4 3.6 4 11.4 0 16.4'],
  '[': [3, 'M3-1.4H0v17.8h3'],
  ']': [3, 'M0-1.4h3v17.8H0'],
  '{': [4.4, 'M4.4-1.4c-5 0-.6 8.9-4.4 8.9c3.8 0-.6 8.9 4.4 8.9'],
  '}': [4.4, 'M0-1.4c5 0 .6 8.9 4.4 8.9c-3.8 0 .6 8.9-4.4 8.9'],
  '<': [7, 'M7 4L0 8.4l7 4.4'],
  '>': [7, 'M0 4l7 4.4l-7 4.4'],
  '~': [8, 'M0 9.4C1 6.8 2.8 7 4 8.4S7 10 8 7.4'],
  '^': [6, 'M0 4.4L3 0l3 4.4'],
  '#': [9, 'M3 0L1.4 14M7.6 0L6 14M.4 4.6H9M0 9.4h8.6'],
  '%': [
    12,
    'M10.4 0L1.6 14M2.6 0a2.6 3.2 0 1 0 0 6.4a2.6 3.2 0 1 0 0-6.4zM9.4 7.6a2.6 3.2 0 1 0 0 6.4a2.6 3.2 0 1 0 0-6.4z',
  ],
  '&': [10, 'M10 14L2 4.2C.2 1.8 1.6 0 3.8 0S7.4 2.2 5.8 4.4C4.4 6.2 0 6.8 0 10.4C0 15.4 7.6 15.2 9.4 8.2'],
  $: [8, 'M7.4 3.4C5.8.9.6 1 .6 4.2C.6 8 8 6.2 8 10C8 13.4 1.8 13.6 0 10.6M4.2-1.4v16.8'],
  '@': [
    13,
    'M9 5v4.4c0 3.4 4 3 4-1.6C13 3 10.2.6 6.6.6S0 3.6 0 8.2S3 15.4 7 15.4c1.8 0 3.2-.5 4.4-1.3M9 8a2.6 3 0 1 0-5.2 0a2.6 3 0 1 0 5.2 0',
  ],
  '°': [4, 'M2 0a2 2 0 1 0 0 4a2 2 0 1 0 0-4z'],
  '·': [0, 'M0 8.6v.1'],
  '…': [8, 'M0 13.8v.1M4 13.8v.1M8 13.8v.1'],
};

const UNKNOWN: Glyph = [7, 'M0 0h7v14H0z'];
const SAME: Readonly<Record<string, string>> = {
  '‘': "'",
  '’': "'",
  '“': '"',
  '”': '"',
  '\u00a0': ' ',
  ß: 'ss',
  ø: 'o',
  ł: 'l',
  æ: 'ae',
};

/** The characters that are drawn: accents fall off, because a bare letter reads better than a box. */
function drawable(text: string): string[] {
  const plain = text.normalize('NFKD').replace(/[\p{M}\p{Cf}]/gu, '');
  return [...plain].flatMap((character) => [...(SAME[character] ?? character)]);
}

const advance = (character: string) => (character === ' ' ? SPACE : (GLYPHS[character] ?? UNKNOWN)[0] + SPACING);

/** The factor from units to pixels for capitals of this height. */
const unit = (capHeight: number) => capHeight / CAP_HEIGHT;

export function lineHeight(capHeight: number): number {
  return Math.ceil(LINE_HEIGHT * unit(capHeight));
}

/** The width of one line in pixels. */
export function textWidth(text: string, capHeight: number): number {
  const units = drawable(text).reduce((sum, character) => sum + advance(character), 0);
  return Math.max(0, units - SPACING) * unit(capHeight);
}

/** One line as SVG elements, the top of its capitals at `y`. */
export function textElements(text: string, x: number, y: number, capHeight: number): string {
  let at = 0;
  const parts = drawable(text).map((character) => {
    const here = at;
    at += advance(character);
    return character === ' '
      ? ''
      : `<path transform="translate(${round(here)})" d="${(GLYPHS[character] ?? UNKNOWN)[1]}"/>`;
  });
  const pen = `fill="none" stroke-width="${PEN}" stroke-linecap="round" stroke-linejoin="round"`;
  return `<g ${pen} transform="translate(${round(x)} ${round(y)}) scale(${round(unit(capHeight))})">${parts.join('')}</g>`;
}

const round = (value: number) => Math.round(value * 1000) / 1000;

/** `text` as lines no wider than `width`, broken between words, then within them; the last one ends in "…" if cut. */
export function wrapText(text: string, width: number, capHeight: number, mostLines: number): string[] {
  const fits = (line: string) => textWidth(line, capHeight) <= width;
  const lines = [''];
  const append = (piece: string) => {
    const longer = `${lines.at(-1)}${piece}`;
    if (fits(longer.trimEnd())) lines[lines.length - 1] = longer;
    else if (lines.at(-1) !== '') lines.push('') && append(piece.trimStart());
    else if ([...piece].length === 1) lines[lines.length - 1] = piece;
    else for (const character of piece) append(character);
  };
  // File names and soups have no spaces: they may break after their punctuation.
  for (const piece of text.trim().split(/(?<=\s)(?=\S)|(?<=[-_./+])(?=[^-_./+\s])/)) {
    if (lines.length > mostLines) break;
    append(piece);
  }
  const trimmed = lines.map((line) => line.trim()).filter(Boolean);
  if (trimmed.length <= mostLines) return trimmed;
  let last = [...trimmed[mostLines - 1]];
  while (last.length > 0 && !fits(`${last.join('')}…`)) last = last.slice(0, -1);
  return [...trimmed.slice(0, mostLines - 1), `${last.join('').trimEnd()}…`];
}
