/**
 * A screen of a terminal, as `tmux capture-pane -e` gives it, as an SVG: every character at its place, half blocks as
 * the pixels that they are.
 */

const CELL = { width: 8.4, height: 17 };
const COLOURS = { text: '#d8dee9', back: '#15181e' };
/** The sixteen colours that have names. */
const PALETTE = [
  ...['#15181e', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#d8dee9'],
  ...['#5c6370', '#e06c75', '#98c379', '#e5c07b', '#61afef', '#c678dd', '#56b6c2', '#ffffff'],
];

/**
 * @typedef {{ front?: string, back?: string, bold?: boolean, dim?: boolean, inverse?: boolean, underline?: boolean }} Style
 * @typedef {{ text: string, style: Style }} Cell
 */

/** @param {string} screen @param {{ columns: number, title: string }} options */
export function svgOf(screen, { columns, title }) {
  const rows = screen.replace(/\n$/, '').split('\n').map(cellsOf);
  const [width, height] = [columns * CELL.width, rows.length * CELL.height];
  const body = rows.flatMap((cells, row) => [...backgrounds(cells, row), ...texts(cells, row)]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="-12 -12 ${round(width + 24)} ${round(height + 24)}" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect x="-12" y="-12" width="100%" height="100%" rx="8" fill="${COLOURS.back}"/>`,
    '<g shape-rendering="crispEdges" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="14" xml:space="preserve">',
    ...body,
    '</g>',
    '</svg>',
    '',
  ].join('\n');
}

/** @returns {Cell[]} */
function cellsOf(/** @type {string} */ line) {
  /** @type {Style} */
  let style = {};
  const cells = [];
  // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what this reads
  for (const part of line.match(/\x1b\[[\d;]*m|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()].|[^\x1b]/gu) ?? []) {
    if (part.startsWith('\x1b[')) style = restyled(style, part.slice(2, -1).split(';').map(Number));
    else if (!part.startsWith('\x1b')) cells.push({ text: part, style });
  }
  return cells;
}

/** @param {Style} before @param {number[]} codes @returns {Style} */
function restyled(before, codes) {
  let style = { ...before };
  for (let i = 0; i < codes.length; i++) {
    const code = codes[i];
    if (code === 0) style = {};
    else if (code === 1) style.bold = true;
    else if (code === 2) style.dim = true;
    else if (code === 4) style.underline = true;
    else if (code === 7) style.inverse = true;
    else if (code === 22) style = { ...style, bold: false, dim: false };
    else if (code === 24) style.underline = false;
    else if (code === 27) style.inverse = false;
    else if (code === 39) style.front = undefined;
    else if (code === 49) style.back = undefined;
    else if (code === 38 || code === 48) {
      const [colour, used] = extended(codes.slice(i + 1));
      if (code === 38) style.front = colour;
      else style.back = colour;
      i += used;
    } else if (code >= 30 && code <= 37) style.front = PALETTE[code - 30];
    else if (code >= 90 && code <= 97) style.front = PALETTE[code - 82];
    else if (code >= 40 && code <= 47) style.back = PALETTE[code - 40];
  }
  return style;
}

/** @param {number[]} codes @returns {[colour: string | undefined, used: number]} */
function extended([kind, a = 0, b = 0, c = 0]) {
  if (kind === 2) return [`#${[a, b, c].map((x) => x.toString(16).padStart(2, '0')).join('')}`, 4];
  if (kind !== 5) return [undefined, 0];
  if (a < 16) return [PALETTE[a], 2];
  if (a >= 232) return [`#${(8 + 10 * (a - 232)).toString(16).padStart(2, '0').repeat(3)}`, 2];
  const level = (/** @type {number} */ n) => (n === 0 ? 0 : 55 + 40 * n).toString(16).padStart(2, '0');
  return [`#${level(Math.floor((a - 16) / 36))}${level(Math.floor((a - 16) / 6) % 6)}${level((a - 16) % 6)}`, 2];
}

const front = (/** @type {Style} */ { front, back, inverse }) =>
  inverse ? (back ?? COLOURS.back) : (front ?? COLOURS.text);
const back = (/** @type {Style} */ { front, back, inverse }) => (inverse ? (front ?? COLOURS.text) : back);

/** Rectangles: what is behind text, and both halves of half blocks. @param {Cell[]} cells @param {number} row */
function backgrounds(cells, row) {
  const y = row * CELL.height;
  const isHalf = (/** @type {Cell} */ { text }) => text === '▀';
  const upper = runs(cells, (cell) => (isHalf(cell) ? front(cell.style) : back(cell.style)));
  const lower = runs(cells, (cell) => back(cell.style));
  return [...upper.map((run) => rectangle(run, y)), ...lower.map((run) => rectangle(run, y + CELL.height / 2))];
}

/** @param {{ value: string, at: number, length: number }} run @param {number} y */
function rectangle({ value, at, length }, y) {
  // A little larger than they are, or seams would show between them.
  const [x, width] = [round(at * CELL.width), round(length * CELL.width + 0.3)];
  return `<rect x="${x}" y="${round(y)}" width="${width}" height="${round(CELL.height / 2 + 0.3)}" fill="${value}"/>`;
}

/** @param {Cell[]} cells @param {number} row */
function texts(cells, row) {
  const key = ({ text, style }) =>
    text === '▀' ? undefined : JSON.stringify([front(style), style.bold, style.dim, style.underline]);
  return runs(cells, key).flatMap(({ value, at, length }) => {
    const text = cells.slice(at, at + length).map((cell) => cell.text);
    if (text.every((one) => one === ' ')) return [];
    const [fill, bold, dim, underline] = JSON.parse(value);
    const style = [
      bold && ' font-weight="bold"',
      dim && ' opacity="0.55"',
      underline && ' text-decoration="underline"',
    ];
    const place = `x="${round(at * CELL.width)}" y="${round(row * CELL.height + 13)}" textLength="${round(length * CELL.width)}"`;
    return [`<text ${place} fill="${fill}"${style.filter(Boolean).join('')}>${escaped(text.join(''))}</text>`];
  });
}

/** @param {Cell[]} cells @param {(cell: Cell) => string | undefined} keyOf */
function runs(cells, keyOf) {
  /** @type {{ value: string, at: number, length: number }[]} */
  const found = [];
  for (const [at, cell] of cells.entries()) {
    const value = keyOf(cell);
    const last = found.at(-1);
    if (value === undefined) continue;
    if (last && last.value === value && last.at + last.length === at) last.length++;
    else found.push({ value, at, length: 1 });
  }
  return found;
}

const round = (/** @type {number} */ x) => Math.round(x * 10) / 10;
const escaped = (/** @type {string} */ text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
