/** Recipes as the user writes them. */
import { mkdirSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { formula, locate, parseRecipe, recipeOf } from '../../packages/cli/src/recipe.ts';
import { scratch } from '../support/cli.ts';

const pantry = scratch();
for (const name of ['noto', 'ink', 'a+b', 'c:2']) mkdirSync(pantry.in(name));
afterAll(() => pantry.remove());
const env = { SOUP_PANTRY: pantry.path };

describe('parseRecipe', () => {
  test.each([
    [['noto'], undefined, [['noto', 1]]],
    [
      ['noto+ink'],
      undefined,
      [
        ['noto', 1],
        ['ink', 1],
      ],
    ],
    [
      ['noto:2 + ink:0.5'],
      undefined,
      [
        ['noto', 2],
        ['ink', 0.5],
      ],
    ],
    [
      ['noto:2+ink'],
      undefined,
      [
        ['noto', 2],
        ['ink', 1],
      ],
    ],
    [
      ['noto', 'ink'],
      [3, 1],
      [
        ['noto', 3],
        ['ink', 1],
      ],
    ],
    [
      ['noto+ink'],
      [2, -1],
      [
        ['noto', 2],
        ['ink', -1],
      ],
    ],
    [['a+b'], undefined, [['a+b', 1]]],
    [['c:2'], undefined, [['c:2', 1]]],
    [
      ['c:2:3+noto'],
      undefined,
      [
        ['c:2', 3],
        ['noto', 1],
      ],
    ],
    [[pantry.in('a+b')], undefined, [[pantry.in('a+b'), 1]]],
  ])('%j with %j', (words, weights, expected) => {
    const found = parseRecipe(words, weights, env).map(({ name, weight }) => [name, weight]);
    expect(found).toEqual(expected);
  });
});

test('a name is a path first, then a folder of the pantry, and never leaves it', async () => {
  expect(await locate('noto', env)).toBe(pantry.in('noto'));
  expect(await locate(pantry.in('ink'), env)).toBe(pantry.in('ink'));
  await expect(locate('../noto', { SOUP_PANTRY: pantry.in('ink') })).rejects.toThrow('There is no folder ../noto');
});

test('a recipe tells names, not paths', () => {
  const recipe = recipeOf(
    [
      { path: '/home/someone/noto', weight: 2 },
      { path: '/elsewhere/ink', weight: 1 },
    ],
    '/x/base',
  );
  expect(JSON.stringify(recipe)).not.toContain('/');
  expect(formula(recipe)).toBe('noto:2 + ink:1');
  expect(formula({ ingredients: recipe.ingredients.map(({ name }) => ({ name, weight: 0.5 })) })).toBe('noto + ink');
});
