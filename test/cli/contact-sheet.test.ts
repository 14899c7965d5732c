import { describe, expect, it } from 'vitest';
import { contactSheet } from '../../packages/cli/src/image/contact-sheet.js';
import type { Picture } from '../../packages/cli/src/image/png.js';
import { textWidth, wrapText } from '../../packages/cli/src/image/stroke-font.js';
import { plain } from './pictures.js';

const pixel = ({ width, pixels }: Picture, x: number, y: number) => [
  ...pixels.subarray((y * width + x) * 3, (y * width + x) * 3 + 3),
];

/** Where a colour begins and ends: [left, top, right, bottom]. */
function box(sheet: Picture, colour: number[]) {
  const bounds = [sheet.width, sheet.height, -1, -1];
  for (let y = 0; y < sheet.height; y++) {
    for (let x = 0; x < sheet.width; x++) {
      if (pixel(sheet, x, y).some((value, i) => value !== colour[i])) continue;
      bounds[0] = Math.min(bounds[0], x);
      bounds[1] = Math.min(bounds[1], y);
      bounds[2] = Math.max(bounds[2], x);
      bounds[3] = Math.max(bounds[3], y);
    }
  }
  return bounds;
}

const dark = ({ pixels }: Picture) => [...pixels].filter((value) => value < 100).length;
const RED = [250, 120, 120];
const BLUE = [120, 120, 250];

describe('contactSheet', () => {
  it('places the pictures on white with even margins', async () => {
    const sheet = await contactSheet({
      columns: [],
      rows: [],
      pictures: [[plain(40, 30, ...RED), plain(40, 30, ...BLUE, 255)]],
    });
    const [left, top, right, bottom] = box(sheet, RED);
    expect([right - left + 1, bottom - top + 1]).toEqual([40, 30]);
    expect(left).toBe(top);
    expect(sheet.width - 1 - box(sheet, BLUE)[2]).toBe(left);
    expect(sheet.height - 1 - bottom).toBe(left);
    expect(pixel(sheet, 0, 0)).toEqual([255, 255, 255]);
  });

  it('draws labels without a font of the system, outside the pictures', async () => {
    const pictures = [[plain(64, 64, ...RED)], [plain(64, 64, ...BLUE)]];
    const sheet = await contactSheet({ title: 'T', columns: ['a rocket'], rows: ['noto', 'soup'], pictures });
    const [left, top, right, bottom] = box(sheet, RED);
    expect([right - left + 1, bottom - top + 1]).toEqual([64, 64]);
    expect(dark(sheet)).toBeGreaterThan(100);
    const bare = await contactSheet({ columns: [], rows: [], pictures });
    expect(dark(bare)).toBe(0);
    expect([sheet.width > bare.width, sheet.height > bare.height, left > top / 4]).toEqual([true, true, true]);
  });

  it('shows a missing picture as a grey field', async () => {
    const sheet = await contactSheet({ columns: [], rows: [], pictures: [[plain(16, 16, ...RED), undefined]] });
    const [left, , right] = box(sheet, [240, 240, 242]);
    expect(right - left + 1).toBe(16);
  });

  it('lays transparent pictures on the sheet', async () => {
    const sheet = await contactSheet({ columns: [], rows: [], pictures: [[plain(16, 16, 0, 0, 0, 0)]] });
    expect(sheet.pixels.every((value) => value === 255)).toBe(true);
  });

  it('draws markup and control characters as text', async () => {
    const label = '</svg><script>&amp;\x1b[31m"\'';
    const sheet = await contactSheet({ columns: [label], rows: [label], pictures: [[plain(64, 64, ...RED)]] });
    expect(dark(sheet)).toBeGreaterThan(100);
  });

  it('names both sizes when they differ', async () => {
    const pictures = [[plain(16, 16, ...RED), plain(8, 16, ...RED)]];
    await expect(contactSheet({ columns: [], rows: [], pictures })).rejects.toThrow('8 x 16 is not 16 x 16');
    await expect(contactSheet({ columns: [], rows: [], pictures: [] })).rejects.toThrow('at least one');
  });
});

describe('wrapText', () => {
  const width = textWidth('smiling face', 10);
  it('breaks between words', () =>
    expect(wrapText('smiling face with', width, 10, 3)).toEqual(['smiling face', 'with']));
  it('breaks file names after their punctuation', () => {
    expect(wrapText('twemoji-v2.safetensors', textWidth('safetensors', 10), 10, 3)).toEqual([
      'twemoji-v2.',
      'safetensors',
    ]);
  });
  it('breaks soups after a plus', () => {
    expect(wrapText('noto+ink+fluent', textWidth('noto+ink+', 10), 10, 3)).toEqual(['noto+ink+', 'fluent']);
  });
  it('breaks words that have no other place', () => {
    const lines = wrapText('x'.repeat(40), width, 10, 9);
    expect(lines.join('')).toBe('x'.repeat(40));
    expect(lines.every((line) => textWidth(line, 10) <= width)).toBe(true);
  });
  it('ends in an ellipsis when it is cut', () => {
    const lines = wrapText('one two three four five six seven eight', width, 10, 2);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/…$/);
    expect(textWidth(lines[1], 10)).toBeLessThanOrEqual(width);
  });
  it('is quick with a text of a megabyte', () => expect(wrapText('x'.repeat(1 << 20), width, 10, 3)).toHaveLength(3));
});
