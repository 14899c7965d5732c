import { inflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { shrink } from '../../packages/cli/src/image/shrink.js';
import { pictureMode, terminalPicture } from '../../packages/cli/src/image/terminal-picture.js';
import { noise, plain } from './pictures.js';

/** 2 x 2: red and green over blue and white. */
const four = { width: 2, height: 2, pixels: Uint8Array.of(255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255) };
const room = { columns: 80, rows: 24 };

describe('half blocks', () => {
  it('puts two pixels into a character', () => {
    expect(terminalPicture(four, { ...room, mode: 'truecolor' })).toBe(
      '\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[38;2;0;255;0;48;2;255;255;255m▀\x1b[0m',
    );
  });

  it('uses the palette without true colour', () => {
    expect(terminalPicture(four, { ...room, mode: '256' })).toBe(
      '\x1b[38;5;196;48;5;21m▀\x1b[38;5;46;48;5;231m▀\x1b[0m',
    );
    const grey = terminalPicture(plain(1, 2, 128, 128, 128), { ...room, mode: '256' });
    expect(grey).toBe('\x1b[38;5;244;48;5;244m▀\x1b[0m');
  });

  it('says a colour once in a run, and leaves the half below an odd last row empty', () => {
    expect(terminalPicture(plain(3, 1, 1, 2, 3), { ...room, mode: 'truecolor' })).toBe('\x1b[38;2;1;2;3;49m▀▀▀\x1b[0m');
  });

  it.each([
    [{ columns: 10, rows: 24 }, 10, 5],
    [{ columns: 80, rows: 3 }, 6, 3],
    [{ columns: 80, rows: 80 }, 32, 16],
    [{ columns: 1, rows: 1 }, 1, 1],
  ])('fits into %j', (space, columns, rows) => {
    const lines = terminalPicture(noise(32, 32, 4), { ...space, mode: 'truecolor' }).split('\n');
    expect(lines).toHaveLength(rows);
    for (const line of lines) expect(line.match(/▀/g)).toHaveLength(columns);
  });
});

describe('ascii', () => {
  it('draws light as ink', () => {
    const steps = { width: 4, height: 2, pixels: new Uint8Array(24) };
    [0, 90, 170, 255].forEach((value, x) => {
      for (let y = 0; y < 2; y++) steps.pixels.fill(value, (y * 4 + x) * 3, (y * 4 + x + 1) * 3);
    });
    expect(terminalPicture(steps, { ...room, mode: 'ascii' })).toBe(' -*@');
  });
});

describe('picture protocols', () => {
  it("speaks kitty's in pieces, with the pixels as they are", () => {
    // Without structure, so that it needs several pieces.
    const pixels = Uint8Array.from({ length: 64 * 128 * 4 }, (_, i) => Math.imul(i ^ (i >>> 3), 0x9e3779b1) >>> 24);
    const picture = { width: 64, height: 128, pixels };
    const text = terminalPicture(picture, { ...room, mode: 'kitty' });
    const pieces = [...text.replaceAll('\x1b', '␛').matchAll(/␛_G([^;]*);([^␛]*)␛\\/g)];
    expect(pieces[0][1]).toBe('a=T,q=2,f=32,o=z,s=64,v=128,c=8,r=8,m=1');
    expect(pieces.at(-1)?.[1]).toBe('m=0');
    expect(pieces.every(([, , data]) => data.length <= 4096)).toBe(true);
    const data = Buffer.from(pieces.map(([, , piece]) => piece).join(''), 'base64');
    expect(new Uint8Array(inflateSync(data))).toEqual(picture.pixels);
    expect(pieces.map(([whole]) => whole).join('')).toHaveLength(text.length);
  });

  it("speaks iTerm2's with a PNG", () => {
    const text = terminalPicture(plain(512, 512, 9, 9, 9), { ...room, mode: 'iterm2' });
    const [, size, base64] =
      text.match(/^.\]1337;File=inline=1;size=(\d+);width=48;height=24;preserveAspectRatio=1:(.*).$/) ?? [];
    expect([text[0], text.at(-1)]).toEqual(['\x1b', '\x07']);
    const png = Buffer.from(base64, 'base64');
    expect(png.subarray(1, 4).toString()).toBe('PNG');
    expect(png.length).toBe(Number(size));
  });
});

it('shows nothing in mode none or without space', () => {
  expect(terminalPicture(four, { ...room, mode: 'none' })).toBe('');
  expect(terminalPicture(four, { columns: 0, rows: 5, mode: 'truecolor' })).toBe('');
});

describe('shrink', () => {
  it('takes the mean of light, not of numbers', () => {
    const halves = { width: 2, height: 1, pixels: Uint8Array.of(0, 0, 0, 255, 255, 255) };
    expect([...shrink(halves, 1, 1).pixels]).toEqual([188, 188, 188]);
  });
  it('shares pixels between uneven neighbours', () => {
    const three = { width: 3, height: 1, pixels: Uint8Array.of(255, 255, 255, 0, 0, 0, 255, 255, 255) };
    expect([...shrink(three, 2, 1).pixels]).toEqual([213, 213, 213, 213, 213, 213]);
  });
  it('keeps a picture of its own size', () => {
    const picture = noise(9, 7, 3);
    expect(shrink(picture, 9, 7)).toEqual(picture);
  });
  it('lays transparency on black', () =>
    expect([...shrink(plain(2, 2, 255, 255, 255, 0), 1, 1).pixels]).toEqual([0, 0, 0]));
});

describe('pictureMode', () => {
  const terminal = { isTTY: true };
  const none = { kitty: false, iterm2: false };
  const graphics = (kitty: boolean, iterm2: boolean) => ({ kitty, iterm2, sixel: false });
  it.each<[string, { isTTY?: boolean }, Record<string, string>, object, string]>([
    ['a pipe', {}, { COLORTERM: 'truecolor', TERM: 'xterm' }, {}, 'none'],
    ['a pipe, forced', {}, { COLORTERM: 'truecolor', TERM: 'xterm' }, { force: true }, 'truecolor'],
    ['a pipe in kitty, forced', {}, { TERM: 'xterm-256color' }, { force: true, graphics: graphics(true, true) }, '256'],
    ['kitty', terminal, { TERM: 'xterm-kitty' }, { graphics: graphics(true, false) }, 'kitty'],
    ['iTerm2', terminal, { TERM: 'xterm' }, { graphics: graphics(false, true) }, 'iterm2'],
    [
      'tmux in kitty',
      terminal,
      { TMUX: '/x', TERM: 'tmux-256color', COLORTERM: 'truecolor' },
      { graphics: graphics(true, true) },
      'truecolor',
    ],
    ['NO_COLOR', terminal, { NO_COLOR: '1', TERM: 'xterm-kitty' }, { graphics: graphics(true, false) }, 'ascii'],
    ['an empty NO_COLOR', terminal, { NO_COLOR: '', TERM: 'xterm-256color' }, {}, '256'],
    ['a dumb terminal', terminal, { TERM: 'dumb', COLORTERM: 'truecolor' }, {}, 'ascii'],
    ['true colour', terminal, { TERM: 'xterm-256color', COLORTERM: 'truecolor' }, {}, 'truecolor'],
    ['256 colours', terminal, { TERM: 'xterm-256color' }, {}, '256'],
    ['16 colours', terminal, { TERM: 'linux' }, {}, 'ascii'],
  ])('%s', (_, stream, env, options, mode) => {
    expect(pictureMode(stream, env, { graphics: { ...none, sixel: false }, ...options })).toBe(mode);
  });
});
