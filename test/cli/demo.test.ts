/** `soup demo`: the sheet, the pictures, the soup; and that it can be run again. */
import { readFileSync } from 'node:fs';
import { bytesSource, readPngText } from '@diffusion-soup/core';
import { afterAll, expect, test, vi } from 'vitest';
import { scratch, soup } from '../support/cli.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

const out = scratch();
afterAll(() => out.remove());

test('draws every model and the soup, and writes the soup', async () => {
  const args = ['demo', '--prompts', 'rocket', '--steps', '1', '--out', out.path];
  const first = await soup([...args, '--json']);
  expect(first.code).toBe(0);
  const { images, sheet, soup: merged } = JSON.parse(first.stdout);
  const models = ['base', 'noto', 'twemoji', 'fluent', 'ink', 'soup'];
  expect(images.map(({ path }: { path: string }) => path)).toEqual(
    models.map((model) => out.in(`${model}-rocket.png`)),
  );
  expect(sheet).toBe(out.in('sheet.png'));
  expect(merged.folder).toBe(out.in('soup'));
  const recipe = async (model: string) => {
    const path = out.in(`${model}-rocket.png`);
    const { texts } = await readPngText(bytesSource(readFileSync(path), path));
    return JSON.parse(texts.get('diffusion_soup')!);
  };
  expect((await recipe('ink')).ingredients).toEqual([{ name: 'ink', weight: 1 }]);
  expect((await recipe('soup')).ingredients).toHaveLength(4);

  // Blended in place as the last of six, or loaded from the folder that was written: the same picture.
  const alone = out.in('alone.png');
  const draw = ['generate', out.in('soup'), '-p', 'rocket', '--steps', '1', '--seed', '42', '-g', '4', '-o', alone];
  expect((await soup(draw)).code).toBe(0);
  expect(difference(alone, out.in('soup-rocket.png'))).toBe(0);

  const again = await soup([...args, '--quiet']);
  expect(again.code).toBe(0);
  expect(again.stdout).toMatch(/Next:\n {2}# draw something else with the soup\n/);
});

/** Bytes of pixels that differ: the metadata of the two do, and stand before the pixels. */
function difference(a: string, b: string): number {
  const pixels = (path: string) => {
    const bytes = readFileSync(path);
    return bytes.subarray(bytes.indexOf('IDAT'));
  };
  return Buffer.compare(pixels(a), pixels(b));
}
