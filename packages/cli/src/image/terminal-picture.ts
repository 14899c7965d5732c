/**
 * A picture as text for a terminal: through the terminal's own picture protocol where it has one, else as half
 * blocks, two pixels to a character, else as characters of different darkness.
 */
import { WriteStream } from 'node:tty';
import { deflateSync } from 'node:zlib';
import { createSupportsTerminalGraphics } from 'supports-terminal-graphics';
import { channelsOf, encodePng, type Picture } from './png.js';
import { shrink } from './shrink.js';
import { sixel } from './sixel.js';

export type PictureMode = 'kitty' | 'iterm2' | 'sixel' | 'truecolor' | '256' | 'ascii' | 'none';

export interface TerminalPictureOptions {
  /** The space that the picture may take, in characters. */
  readonly columns: number;
  readonly rows: number;
  readonly mode: PictureMode;
  /** In modes in which the terminal draws: up to the whole space, instead of no larger than it is. */
  readonly enlarge?: boolean;
}

/** Pixels of a character in most terminals; Sixel knows only pixels. A smaller picture is what comes of a wrong guess. */
const CELL = { width: 8, height: 16 } as const;

/** The picture as lines without a newline after the last; empty in mode 'none'. A picture is not enlarged unasked. */
export function terminalPicture(picture: Picture, { columns, rows, mode, enlarge }: TerminalPictureOptions): string {
  if (mode === 'none' || columns < 1 || rows < 1) return '';
  if (mode === 'kitty' || mode === 'iterm2') {
    const cells = fit(picture, columns, rows * 2, enlarge ? 1 : 8);
    const size = { columns: cells.width, rows: Math.ceil(cells.height / 2) };
    return mode === 'kitty' ? kitty(picture, size) : iterm2(picture, size);
  }
  if (mode === 'sixel') {
    const { width, height } = fit(picture, columns * CELL.width, rows * CELL.height, enlarge ? 1 / 16 : 1);
    return sixel(shrink(picture, width, height));
  }
  if (mode === 'ascii') {
    const { width, height } = fit(picture, columns, rows * 2);
    return ascii(shrink(picture, width, Math.ceil(height / 2)));
  }
  const { width, height } = fit(picture, columns, rows * 2);
  return halfBlocks(shrink(picture, width, height), mode === 'truecolor' ? trueColour : paletteColour);
}

/** The largest size of the same shape within the space; `scale` is how many pixels one unit stands for at most. */
function fit({ width, height }: Picture, mostWidth: number, mostHeight: number, scale = 1) {
  const factor = Math.min(mostWidth / width, mostHeight / height, 1 / scale);
  return { width: Math.max(1, Math.round(width * factor)), height: Math.max(1, Math.round(height * factor)) };
}

type Paint = (red: number, green: number, blue: number, layer: 'front' | 'back') => string;

const trueColour: Paint = (red, green, blue, layer) => `${layer === 'front' ? 38 : 48};2;${red};${green};${blue}`;

/** xterm's palette: a cube of six levels a side, and 24 greys. */
const paletteColour: Paint = (red, green, blue, layer) => {
  const levels = [0, 95, 135, 175, 215, 255];
  const nearest = (value: number) =>
    levels.reduce((best, level, i) => (closer(value, level, levels[best]) ? i : best), 0);
  const [r, g, b] = [red, green, blue].map(nearest);
  const grey = Math.min(23, Math.max(0, Math.round(((red + green + blue) / 3 - 8) / 10)));
  const distance = (x: number, y: number, z: number) => (red - x) ** 2 + (green - y) ** 2 + (blue - z) ** 2;
  const level = 8 + 10 * grey;
  const inCube = distance(levels[r], levels[g], levels[b]) <= distance(level, level, level);
  return `${layer === 'front' ? 38 : 48};5;${inCube ? 16 + 36 * r + 6 * g + b : 232 + grey}`;
};

const closer = (value: number, a: number, b: number) => Math.abs(value - a) < Math.abs(value - b);

/** ▀ with its upper pixel as the foreground and its lower one as the background. */
function halfBlocks({ width, height, pixels }: Picture, paint: Paint): string {
  const lines: string[] = [];
  for (let y = 0; y < height; y += 2) {
    let line = '';
    let last = '';
    for (let x = 0; x < width; x++) {
      const colour = (row: number, layer: 'front' | 'back') => {
        const i = (row * width + x) * 3;
        return paint(pixels[i], pixels[i + 1], pixels[i + 2], layer);
      };
      const style = `${colour(y, 'front')};${y + 1 < height ? colour(y + 1, 'back') : '49'}`;
      // Runs of one colour need it once: a third of the bytes on flat pictures.
      line += style === last ? '▀' : `\x1b[${style}m▀`;
      last = style;
    }
    lines.push(`${line}\x1b[0m`);
  }
  return lines.join('\n');
}

const RAMP = ' .:-=+*#%@';

function ascii({ width, height, pixels }: Picture): string {
  const lines = Array.from({ length: height }, (_, y) =>
    Array.from({ length: width }, (_, x) => {
      const i = (y * width + x) * 3;
      const luminance = (0.2126 * pixels[i] + 0.7152 * pixels[i + 1] + 0.0722 * pixels[i + 2]) / 256;
      return RAMP[Math.floor(luminance * RAMP.length)];
    }).join(''),
  );
  return lines.join('\n');
}

interface Cells {
  readonly columns: number;
  readonly rows: number;
}

/** https://sw.kovidgoyal.net/kitty/graphics-protocol: raw pixels, deflated, in base64 pieces of 4096. */
function kitty(picture: Picture, { columns, rows }: Cells): string {
  const data = deflateSync(picture.pixels).toString('base64');
  const pieces = data.match(/.{1,4096}/g) ?? [];
  const format = channelsOf(picture) === 4 ? 32 : 24;
  // a=T: show at once; q=2: no answers, which would land in the user's prompt.
  const control = `a=T,q=2,f=${format},o=z,s=${picture.width},v=${picture.height},c=${columns},r=${rows}`;
  return pieces
    .map((piece, i) => `\x1b_G${i === 0 ? `${control},` : ''}m=${i + 1 < pieces.length ? 1 : 0};${piece}\x1b\\`)
    .join('');
}

/** https://iterm2.com/documentation-images.html */
function iterm2(picture: Picture, { columns, rows }: Cells): string {
  const file = Buffer.from(encodePng(picture));
  const control = `inline=1;size=${file.length};width=${columns};height=${rows};preserveAspectRatio=1`;
  return `\x1b]1337;File=${control}:${file.toString('base64')}\x07`;
}

/** What `stream` can show. `force` shows something even where there is no terminal, as in a pipe to `less -R`. */
export function pictureMode(
  stream: { readonly isTTY?: boolean },
  env: Readonly<Record<string, string | undefined>>,
  { force = false, graphics = createSupportsTerminalGraphics({ isTTY: true }) } = {},
): PictureMode {
  if (stream.isTTY !== true && !force) return 'none';
  if (env.NO_COLOR || env.TERM === 'dumb') return 'ascii';
  // A multiplexer swallows the protocols, although the variables of the terminal around it shine through.
  const multiplexed = Boolean(env.TMUX || env.STY) || /^(screen|tmux)/.test(env.TERM ?? '');
  if (stream.isTTY === true && !multiplexed) {
    if (graphics.kitty) return 'kitty';
    if (graphics.iterm2) return 'iterm2';
    if (graphics.sixel) return 'sixel';
  }
  // An empty NO_COLOR means nothing by its own definition, but Node takes it for one.
  const { NO_COLOR: _, ...rest } = env;
  const depth = WriteStream.prototype.getColorDepth.call(undefined, rest);
  // Node knows no more than 256 colours inside tmux, which has long passed on all of them.
  const declared = depth >= 8 && /^(truecolor|24bit)$/.test(env.COLORTERM ?? '');
  if (depth >= 24 || declared) return 'truecolor';
  return depth >= 8 ? '256' : 'ascii';
}
