/** Recipes as the user writes them. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { formatFraction, formula, parseFraction } from '@diffusion-soup/core';
import { afterAll, describe, expect, test } from 'vitest';
import { locate, parseRecipe, recipeOf } from '../../packages/cli/src/recipe.ts';
import { besideFile, isRecipeFile, readRecipeFile } from '../../packages/cli/src/recipe-file.ts';
import { scratch, soup } from '../support/cli.ts';

const pantry = scratch();
for (const name of ['noto', 'ink', 'a+b', 'c:2']) mkdirSync(pantry.in(name));
afterAll(() => pantry.remove());
const env = { SOUP_PANTRY: pantry.path };

describe('parseRecipe', () => {
  test.each<[readonly string[], readonly (number | string)[] | undefined, readonly string[]]>([
    [['noto'], undefined, ['noto:1']],
    [['noto+ink'], undefined, ['noto:1', 'ink:1']],
    [['noto:2 + ink:0.5'], undefined, ['noto:2', 'ink:1/2']],
    [['noto:1/3+ink:2/3'], undefined, ['noto:1/3', 'ink:2/3']],
    [['noto:2+ink'], undefined, ['noto:2', 'ink:1']],
    [
      ['noto', 'ink'],
      [3, 1],
      ['noto:3', 'ink:1'],
    ],
    [['noto+ink'], [2, -1], ['noto:2', 'ink:-1']],
    [['noto+ink'], ['1/3', '2/3'], ['noto:1/3', 'ink:2/3']],
    [['a+b'], undefined, ['a+b:1']],
    [['c:2'], undefined, ['c:2:1']],
    [['c:2:3+noto'], undefined, ['c:2:3', 'noto:1']],
    [[pantry.in('a+b')], undefined, [`${pantry.in('a+b')}:1`]],
  ])('%j with %j', (words, weights, expected) => {
    const found = parseRecipe(words, weights, env).map(({ name, weight }) => `${name}:${formatFraction(weight)}`);
    expect(found).toEqual(expected);
  });

  test.each<[readonly string[], readonly number[] | undefined, string]>([
    [['noto:2+ink'], [1, 1], 'give them once'],
    [['noto+ink'], [1], 'there are 2 ingredients but 1 weight'],
    [['noto+ink'], [1, -1], 'the weights 1, -1 add up to 0'],
    [['noto+'], undefined, 'without a name'],
    [[' '], undefined, 'empty name'],
    [['noto:x'], undefined, 'the weight of noto is "x"'],
  ])('refuses %j with %j', (words, weights, message) => {
    expect(() => parseRecipe(words, weights, env)).toThrow(message);
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
      { path: '/home/someone/noto', weight: parseFraction(2) },
      { path: '/elsewhere/ink', weight: parseFraction('1/3') },
    ],
    '/x/base',
  );
  expect(JSON.stringify(recipe)).not.toMatch(/home|elsewhere|\/x/);
  expect(formula(recipe)).toBe('noto:2 + ink:1/3');
  expect(formula({ ingredients: recipe.ingredients.map(({ name }) => ({ name, weight: 0.5 })) })).toBe('noto + ink');
});

test('a recipe tells all that is not the default, as a file would', () => {
  const weight = parseFraction(1);
  const ingredients = [
    { path: '/x/noto', weight, blocks: { IN04: parseFraction('1/3') }, root: 'ab' },
    { path: '/x/ink', weight, loras: [{ path: '/x/detail.safetensors', strength: 0.5 }] },
  ];
  const recipe = recipeOf(ingredients, undefined, {
    method: 'linear',
    parameters: { strength: parseFraction('1/2') },
    normalize: false,
    dtype: 'F16',
    components: { vae: '/x/noto', unet: 'average' },
    loras: [{ file: '/x/last.safetensors', strength: weight }],
  });
  expect(recipe).toEqual({
    type: 'diffusion-soup',
    version: expect.any(String),
    ingredients: [
      { name: 'noto', weight: 1, blocks: { IN04: '1/3' }, root: 'ab' },
      { name: 'ink', weight: 1, loras: [{ file: 'detail.safetensors', strength: 0.5 }] },
    ],
    parameters: { strength: 0.5 },
    normalize: false,
    dtype: 'F16',
    components: { vae: 'noto', unet: 'average' },
    loras: ['last.safetensors'],
  });
});

test('a name like a Hugging Face id is told how to download it', async () => {
  await expect(locate('org/name@v1', env)).rejects.toThrow(/hf download org\/name --revision v1$/);
});

describe('files', () => {
  const folder = scratch();
  afterAll(() => folder.remove());
  const write = (name: string, content: string | Uint8Array): string => {
    writeFileSync(folder.in(name), content);
    return folder.in(name);
  };
  const good = write('soup.yaml', 'ingredients: {noto: 2, ink: 1/3}\n');
  const bad = write('bad.yaml', 'ingredients:\n  - {model: noto, wieght: 2}\ndtype: F8\n');

  test('are known by their ending', () => {
    expect(['a.yaml', 'a.YML', 'a.json', 'a', 'noto', 'a.safetensors'].map(isRecipeFile)).toEqual([
      ...[true, true, true, false, false, false],
    ]);
  });

  test('name what lies beside them', async () => {
    mkdirSync(folder.in('model'));
    const file = write(
      'near.yaml',
      'ingredients: [model, noto]\nbase: model\ncomponents: {vae: model, unet: average}\n',
    );
    const { ingredients, base, components } = besideFile(await readRecipeFile(file), file);
    expect(ingredients.map(({ model }) => model)).toEqual([folder.in('model'), 'noto']);
    expect({ base, components }).toEqual({
      base: folder.in('model'),
      components: { vae: folder.in('model'), unet: 'average' },
    });
  });

  test('that cannot be a recipe are refused', async () => {
    await expect(readRecipeFile(folder.in('none.yaml'))).rejects.toThrow('does not exist');
    await expect(readRecipeFile(folder.path)).rejects.toThrow('is no file');
    await expect(readRecipeFile(write('latin.yaml', Uint8Array.of(0x61, 0xe9)))).rejects.toThrow('no UTF-8');
    await expect(readRecipeFile(write('big.yaml', new Uint8Array(2 ** 24 + 1)))).rejects.toThrow('16.0 MiB');
  });

  test('soup recipe check tells all mistakes, and which files are fine', async () => {
    const { code, stdout, stderr } = await soup(['recipe', 'check', good, bad]);
    expect(code).toBe(3);
    expect(stdout).toBe(`${good}: linear of 2 ingredients\n`);
    expect(stderr).toContain(`${bad}:2:19: ingredients[0]: "wieght" is no key here; did you mean "weight"?`);
    expect(stderr).toContain(`${bad}:3:8: dtype: expected F16`);
    const json = await soup(['recipe', 'check', good, bad, '--json']);
    expect(JSON.parse(json.stdout).recipes).toMatchObject([
      {
        file: good,
        ok: true,
        recipe: {
          ingredients: [
            { model: 'noto', weight: 2 },
            { model: 'ink', weight: '1/3' },
          ],
        },
      },
      {
        file: bad,
        ok: false,
        problems: [
          { line: 2, column: 19 },
          { line: 3, column: 8 },
        ],
      },
    ]);
  });

  test('soup recipe format writes the usual form', async () => {
    const text =
      '# yaml-language-server: $schema=./soup.schema.json\ningredients:\n  - a\n  - model: b\n    weight: 0.5\n';
    const file = write('plain.yaml', '{"ingredients": {"a": 1, "b": "1/2"}}');
    expect((await soup(['recipe', 'format', file])).stdout).toBe(text);
    expect((await soup(['recipe', 'format', file, '--write'])).code).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe(text);
  });

  test('soup recipe schema prints the schema that is in the documents', async () => {
    const { stdout } = await soup(['recipe', 'schema']);
    expect(stdout).toBe(readFileSync(new URL('../../docs/soup.schema.json', import.meta.url), 'utf8'));
  });

  test('a command takes a recipe in place of models, and nothing beside it', async () => {
    const env = { SOUP_PANTRY: pantry.path };
    const both = await soup(['merge', good, 'noto', '--out', folder.in('out')], { env });
    expect([both.code, both.stderr]).toEqual([2, expect.stringContaining('takes no other models beside it')]);
    const wrong = await soup(['merge', bad, '--out', folder.in('out')], { env });
    expect([wrong.code, wrong.stderr]).toEqual([3, expect.stringContaining('bad.yaml:2:19')]);
  });

  test('soup merge cooks a recipe, and holds models to the roots that it names', async () => {
    const wrong = write('root.yaml', `ingredients: [noto, {model: ink, root: ${'ab'.repeat(32)}}]\n`);
    const refused = await soup(['merge', wrong, '--out', folder.in('root')]);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('but the recipe expects abab')]);
    // Whoever draws with it, too.
    const drawn = await soup(['generate', wrong, '-p', 'x', '-o', folder.in('root.png')]);
    expect([drawn.code, drawn.stderr]).toEqual([3, expect.stringContaining('but the recipe expects abab')]);

    const nowhere = await soup(['merge', good]);
    expect([nowhere.code, nowhere.stderr]).toEqual([2, expect.stringContaining('add --out FOLDER')]);
    const weighted = write('weighted.yaml', 'ingredients: {noto: 2, ink: 1/2}\nout: a\n');
    expect((await soup(['merge', weighted])).code).toBe(0);
    expect((await soup(['merge', 'noto:4+ink:1', '--out', folder.in('b')])).code).toBe(0);
    const [a, b] = await Promise.all(
      ['a', 'b'].map(async (name) => JSON.parse((await soup(['inspect', folder.in(name), '--json'])).stdout).files[0]),
    );
    expect(a.metadata.unet.merge).toMatchObject({
      type: 'diffusion-soup',
      recipe: { models: [{ name: 'ink' }, { name: 'noto' }] },
    });
    expect(a.metadata.unet.modelSpec).toMatchObject({
      sai_model_spec: '1.0.1',
      title: 'ink + noto',
      implementation: 'diffusers',
    });
    expect(a.metadata.unet.soup.ingredients[0].root).toBe(b.metadata.unet.soup.ingredients[0].root);
    const weights = (name: string) => readFileSync(folder.in(`${name}/unet/diffusion_pytorch_model.safetensors`));
    const data = (bytes: Buffer) => bytes.subarray(8 + Number(bytes.readBigUInt64LE(0)));
    expect(data(weights('a')).equals(data(weights('b')))).toBe(true);
    expect(a.metadata.unet.soup).not.toHaveProperty('out');
    const ledger = await soup(['inspect', folder.in('a/soup.json')]);
    expect(ledger.stdout).toMatch(/the ledger of a soup[\s\S]*ink +1\/2 /);
  }, 900_000);
});
