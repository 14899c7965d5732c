/** Blend space and links: places become weights and back, recipes become links and commands and back. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseRecipe } from '../../../packages/core/src/index.ts';
import {
  normalise,
  project,
  TETRAHEDRON,
  TRIANGLE,
  toPoint,
  toWeights,
  towards,
} from '../../../packages/viewer/src/state/barycentric.ts';
import { EMPTY, parseSeed } from '../../../packages/viewer/src/state/document.ts';
import { generateCommand, recipeText, recipeYaml } from '../../../packages/viewer/src/state/export.ts';
import { formatFragment, parseFragment } from '../../../packages/viewer/src/state/fragment.ts';
import { newIngredient } from '../../../packages/viewer/src/state/ingredients.ts';
import { restoredDoc } from '../../../packages/viewer/src/state/reducer.ts';

const close = (a: readonly number[], b: readonly number[], within = 1e-9) =>
  a.length === b.length && a.every((value, i) => Math.abs(value - b[i]!) <= within);

test.each([
  ['triangle', TRIANGLE],
  ['tetrahedron', TETRAHEDRON],
])('%s: weights to a place and back', (_, corners) => {
  const weights = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), {
    minLength: corners.length,
    maxLength: corners.length,
  });
  fc.assert(
    fc.property(weights, (some) => close(toWeights(toPoint(normalise(some), corners), corners), normalise(some), 1e-7)),
  );
  const far = fc.array(fc.double({ min: -9, max: 9, noNaN: true }), {
    minLength: corners.length - 1,
    maxLength: corners.length - 1,
  });
  fc.assert(
    fc.property(far, (p) => {
      const inside = toWeights(p, corners);
      return inside.every((weight) => weight >= 0) && Math.abs(inside.reduce((a, b) => a + b) - 1) < 1e-9;
    }),
  );
});

test('projection finds the nearest weights', () => {
  expect(project([0.5, 0.5, 0.5]).map((weight) => +weight.toFixed(6))).toEqual([0.333333, 0.333333, 0.333333]);
  expect(project([2, 0, 0])).toEqual([1, 0, 0]);
  expect(close(project([0.8, 0.6, -1]), [0.6, 0.4, 0])).toBe(true);
});

test('a step towards a corner keeps the proportions of the others', () => {
  expect(close(towards([0.2, 0.6, 0.2], 0, 0.4), [0.6, 0.3, 0.1])).toBe(true);
  expect(towards([1, 0, 0], 0, -0.5)).toEqual([0.5, 0.25, 0.25]);
});

const soup = {
  ...EMPTY,
  base: 'base',
  ingredients: [
    { ...newIngredient('noto', true), weight: '1/3' },
    { ...newIngredient('org/my+model: 2', true), weight: '2', blocks: { IN00: '0.5', 'M00,x': '1/4' } },
  ],
  picture: {
    ...EMPTY.picture,
    prompt: 'a cat & a "dog" + 50 % ümläut #1',
    negative: 'blurry',
    seed: '18446744073709551615',
  },
};

test('a link says everything, and can be read', () => {
  const link = formatFragment(soup);
  expect(link).toMatch(/^#soup=noto:1\/3\+org\/my%2Bmodel%3A%202:2&/);
  expect(link).not.toMatch(/[\s"]/);
  const models = soup.ingredients.map(({ name }) => ({ name, place: { type: 'hub', model: name } as const }));
  const all = [...models, { name: 'base', place: { type: 'hub', model: 'base' } as const }];
  expect(restoredDoc(EMPTY, parseFragment(link)!, all)).toEqual(soup);
});

test('a damaged link gives what can be read', () => {
  expect(parseFragment('#seed=3')).toBeUndefined();
  expect(parseFragment('#soup=noto:x+ink&seed=-1&steps=1e9&prompt=%zz&sampler=nothing&size=0x9')).toEqual({
    portions: [{ name: 'ink', weight: '1' }],
    picture: {},
  });
  fc.assert(fc.property(fc.string(), (text) => void parseFragment(`#soup=${text}`)));
});

test('seeds have 64 bits', () => {
  expect(parseSeed('18446744073709551615')).toBe('18446744073709551615');
  expect(parseSeed('007')).toBe('7');
  for (const bad of ['18446744073709551616', '-1', '1.5', '', 'x']) expect(parseSeed(bad)).toBeUndefined();
});

test('recipes and commands are those of the command line', () => {
  const plain = {
    ...soup,
    ingredients: [{ ...soup.ingredients[0]!, blocks: { IN00: '1/2' } }, newIngredient('ink', true)],
  };
  expect(recipeYaml(plain)).toContain('weight: 1/3');
  const read = parseRecipe(recipeYaml(plain), { file: 'soup.yaml' });
  expect(read).toMatchObject({ base: 'base', ingredients: [{ model: 'noto' }, { model: 'ink' }] });
  expect(parseRecipe(recipeText(plain), { file: 'soup.json' })).toEqual(read);
  expect(generateCommand({ ...plain, picture: { ...plain.picture, prompt: "it's" } })).toBe(
    "soup generate noto:1/3+ink:1 --base base --blocks noto=IN00:1/2 --prompt 'it'\\''s' --negative blurry " +
      '--seed 18446744073709551615 --steps 12 --sampler dpmpp-2m --guidance 4',
  );
});
