/** What pictures, recipes and merged files give back to the page; all of them may be a stranger's. */

import { deflateSync } from 'node:zlib';
import { assemblePng, encodeSafetensorsHeader, pngRows } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { restore } from '../../../packages/viewer/src/files/restore.ts';

const utf8 = (text: string) => new TextEncoder().encode(text);

function png(texts: Readonly<Record<string, string>>): Uint8Array {
  const rows = pngRows({ width: 1, height: 1, pixels: new Uint8Array(3) });
  return assemblePng(rows, deflateSync(rows.rows), texts);
}

const SOUP = {
  type: 'diffusion-soup',
  ingredients: [
    { name: 'noto', weight: 2, blocks: { IN00: 0.5, OUT: '1/3' } },
    { name: 'ink', weight: '1/3', root: 'a'.repeat(64) },
  ],
  base: 'base',
  settings: {
    prompt: 'cat face',
    negative: 'dog',
    seed: '18446744073709551615',
    steps: 12,
    sampler: 'euler',
    guidance: 4.5,
  },
};

test('our own picture gives back all of it, a seed of 64 bits too', async () => {
  expect(await restore('cat.png', png({ diffusion_soup: JSON.stringify(SOUP) }))).toEqual({
    picture: SOUP.settings,
    portions: [
      { name: 'noto', weight: '2', blocks: { IN00: '0.5', OUT: '1/3' } },
      { name: 'ink', weight: '1/3', root: 'a'.repeat(64) },
    ],
    base: 'base',
  });
});

test('a picture of A1111 gives back its settings, by our names', async () => {
  const parameters =
    'cat, <lora:x:1>\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x96';
  expect(await restore('cat.png', png({ parameters }))).toEqual({
    picture: {
      ...{ prompt: 'cat, <lora:x:1>', negative: 'dog', steps: 20, sampler: 'euler-ancestral', guidance: 7, seed: '5' },
      ...{ width: 64, height: 96 },
    },
    portions: [],
  });
});

test('recipes in YAML and JSON, and merged files', async () => {
  const yaml = 'ingredients:\n  - model: models/noto\n    weight: 0.25\n  - ink\nbase: base\n';
  const expected = {
    picture: {},
    portions: [
      { name: 'noto', weight: '0.25' },
      { name: 'ink', weight: '1' },
    ],
    base: 'base',
  };
  expect(await restore('soup.yaml', utf8(yaml))).toEqual(expected);
  const json = { ingredients: [{ model: 'noto', weight: 0.25 }, 'ink'], base: 'base' };
  expect(await restore('soup.json', utf8(JSON.stringify(json)))).toEqual(expected);
  const { settings, base, ...recipe } = SOUP;
  const soup = { ...recipe, base: { name: base, root: 'b'.repeat(64) } };
  const { header } = encodeSafetensorsHeader([], { diffusion_soup: JSON.stringify(soup) });
  expect((await restore('soup.safetensors', header)).portions.map(({ name }) => name)).toEqual(['noto', 'ink']);
});

test.each([
  ['a PNG that says nothing', 'cat.png', () => png({ Title: 'cat' }), /does not say how it was made/],
  [
    'a PNG that is cut off',
    'cat.png',
    () => png({ diffusion_soup: JSON.stringify(SOUP) }).slice(0, 80),
    /cut short|ends/,
  ],
  ['a recipe that is none', 'soup.yaml', () => utf8('a: [1'), /soup\.yaml/],
  [
    'another method',
    'soup.yaml',
    () => utf8('method: slerp\ningredients: [a, b]\nparameters: {t: 0.5}'),
    /method slerp/,
  ],
  ['a file too large for a recipe', 'x.bin', () => new Uint8Array(2 ** 21), /neither a PNG nor a recipe/],
  ['a merged file that says nothing', 'x.safetensors', () => encodeSafetensorsHeader([], {}).header, /merged of/],
])('%s is refused in a sentence', async (_, name, bytes, message) => {
  await expect(restore(name, bytes())).rejects.toThrow(message);
});

test('what is out of range or of another kind is left out', async () => {
  const settings = { prompt: 5, seed: -1, steps: 1e9, guidance: 'a', sampler: 'rm -rf', width: 0, height: 1.5 };
  const ingredients = [
    { name: 'noto', weight: 'x' },
    { name: 7, weight: 1 },
    null,
    { name: 'a\u001b]52;c;x\u0007/ink\u202e', weight: 1, root: 'zz', blocks: { IN00: {}, M00: 1 } },
  ];
  const restored = await restore('a.png', png({ diffusion_soup: JSON.stringify({ ingredients, settings, base: 3 }) }));
  expect(restored.picture).toEqual({});
  expect(restored.portions).toHaveLength(1);
  expect(restored.portions[0]).toMatchObject({ weight: '1', blocks: { M00: '1' } });
  expect(restored.portions[0]!.name).not.toMatch(/\p{C}/u);
  expect(restored.portions[0]).not.toHaveProperty('root');
  expect(restored).not.toHaveProperty('base');
});
