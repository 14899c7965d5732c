/** Manifests: every form, every mistake with its line, axes, templates, and what an item then is. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@diffusion-soup/core';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { readCsv } from '../../../packages/cli/src/batch/csv.ts';
import { expand } from '../../../packages/cli/src/batch/expand.ts';
import { type Kind, readManifest } from '../../../packages/cli/src/batch/read-manifest.ts';

const folder = mkdtempSync(join(tmpdir(), 'soup-batch-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'm.yaml');

const items = async (text: string, kind?: Kind, defaults = {}) => expand(readManifest(text, file, kind), { defaults });

async function mistakes(text: string, kind?: Kind): Promise<string[]> {
  const error = await items(text, kind).then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(error).toBeInstanceOf(ConfigError);
  return (error as Error).message.split('\n').map((line) => line.replace(`${file}:`, ''));
}

const SAME = { model: ['noto'], prompt: 'red apple', seed: 7n, steps: 4 };
const shown = async (text: string, kind?: Kind) =>
  (await items(text, kind)).map(({ soup, prompt, seed, steps }) => ({ model: soup.model, prompt, seed, steps }));

describe('the four forms say the same', () => {
  test.each<[Kind, string]>([
    ['yaml', '- { model: noto, prompt: red apple, seed: 7, steps: 4 }'],
    ['yaml', 'model: noto\nprompt: red apple\nseed: 7\nsteps: 4'],
    ['yaml', 'defaults: {model: noto, steps: 4}\nitems:\n  - prompt: red apple\n    seed: 7'],
    ['json', '{"items": [{"model": ["noto"], "prompt": "red apple", "seed": "7", "steps": 4}]}'],
    ['jsonl', '{"model": "noto", "prompt": "red apple", "seed": 7, "steps": 4}\n\n'],
    ['csv', 'prompt,model,seed,steps\r\nred apple,noto,7,4\r\n'],
  ])('%s %s', async (kind, text) => {
    expect(await shown(text, kind)).toEqual([SAME]);
  });

  test('what is on stdin is known by its looks', async () => {
    const manifest = (text: string) => readManifest(text, 'stdin').items.length;
    expect(manifest('{"prompt": "a", "model": "x"}\n{"prompt": "b", "model": "x"}')).toBe(2);
    expect(manifest('- prompt: a\n- prompt: b')).toBe(2);
    expect(manifest('{"items": [{"prompt": "a", "model": "x"}], "defaults": {}}')).toBe(1);
  });

  test('an item has the defaults of generate, and a seed that stays', async () => {
    const [item] = await items('- {model: noto, prompt: x}');
    expect(item).toEqual({
      ...{ index: 0, line: 1, soup: { model: ['noto'] }, prompt: 'x', negative: '', seed: 0n, steps: 20, guidance: 7 },
      ...{ clipSkip: 0, noise: 'cpu', vars: {} },
    });
  });

  test('every field is read', async () => {
    const [item] = await items(
      '- {recipe: r.yaml, weights: [2, 1/3], base: b, prompt: x, negative: y, seed: 18446744073709551615, steps: 3, ' +
        'sampler: Euler a, guidance: 1.5, size: 64x128, clip_skip: 1, noise: cuda, name: "{seed}", vars: {a: 1}, image: i.png, strength: 0.5}',
    );
    expect(item).toMatchObject({
      ...{
        soup: { recipe: 'r.yaml', weights: ['2', '1/3'], base: 'b' },
        seed: 2n ** 64n - 1n,
        sampler: 'euler-ancestral',
      },
      ...{
        guidance: 1.5,
        size: { width: 64, height: 128 },
        clipSkip: 1,
        noise: 'cuda',
        name: '{seed}',
        vars: { a: '1' },
        image: 'i.png',
        strength: 0.5,
      },
    });
  });
});

describe('mistakes are refused, each with its line and column', () => {
  test('strength without a picture', async () => {
    expect(await mistakes('- {model: a, prompt: x,\n   strength: 0.5}')).toEqual([
      expect.stringMatching(/^2:14: strength: it needs a picture to start from; add image/),
    ]);
  });
  test.each<[string, Kind, string[]]>([
    ['- {model: a, promt: x}', 'yaml', ['1:14: "promt" is no field; did you mean "prompt"?']],
    ['- model: a\n  prompt: x\n  steps: 0', 'yaml', ['3:10: steps: Give a whole number from 1 to 1000; found 0']],
    [
      '- model: a\n  prompt: x\n  seed: -1\n  size: big',
      'yaml',
      [
        expect.stringMatching(/^3:9: seed: Give a whole number from 0 .*; found -1$/),
        expect.stringMatching(/^4:9: size: Give the pixels .*; found "big"$/),
      ] as unknown as string[],
    ],
    [
      '- prompt: x\n- model: y',
      'yaml',
      ['1:3: model is missing; expected a model, or a recipe', '2:3: prompt is missing; expected what to draw'],
    ],
    [
      '- {model: a, prompt: x, sampler: eulr}',
      'yaml',
      [expect.stringMatching(/^1:34: sampler: .*eulr/) as unknown as string],
    ],
    ['- {model: a, prompt: x, model: b}', 'yaml', ['1:25: [0]: the key "model" occurs twice']],
    ['- {model: a, recipe: b, prompt: x}', 'yaml', ['1:22: an item has a model or a recipe, not both']],
    ['items: 3', 'yaml', ['1:8: items: expected a list']],
    ['itms: []', 'yaml', ['1:1: "itms" is no key here; expected items, defaults, axes, zip, wildcards, name']],
    [
      '- {model: a, prompt: "a {b}"}',
      'yaml',
      ['1:22: prompt: nothing is called {b} here; there are none (write {{ and }} for braces)'],
    ],
    ['- {model: a, prompt: "a } b"}', 'yaml', ['1:22: prompt: a single "}"; write "}}" for a brace']],
    ['hello', 'yaml', ['1:1: expected a list of items, or a map of items and axes']],
    [
      '{"model": "a", "prompt": "x"}\n{"model": }',
      'jsonl',
      [expect.stringMatching(/^2:1: no JSON: /) as unknown as string],
    ],
    [
      '{"model": "a", "prompt": "x"}\n{"model": "a", "steps": 2000, "prompt": "x"}',
      'jsonl',
      ['2:25: steps: Give a whole number from 1 to 1000; found 2000'],
    ],
    ['model,prompt\na,x\na\n', 'csv', ['3:1: 1 fields, but the header has 2']],
    [
      'model,prompt,colour\na,x,y',
      'csv',
      [expect.stringMatching(/^1:14: "colour" is no field; expected one of vars/) as unknown as string],
    ],
    ['model,prompt\na,"x', 'csv', ['2:3: this quote is never closed']],
    ['model,prompt\na,"x"y', 'csv', ['2:6: after a closing quote there must be a comma; write a quote within as ""']],
    ['model,prompt,guidance\na,x,1\na,x,NaN', 'csv', ['3:5: guidance: Give a number, such as 7.5; found "NaN"']],
    ['axes: {seed: []}\nitems: [{model: a, prompt: x}]', 'yaml', ['1:14: seed: an axis needs at least one value']],
    [
      'axes: {a: [1, 2], b: [1]}\nzip: true\nitems: [{model: a, prompt: x}]',
      'yaml',
      ['1:22: b has 1 values but a, beside which it runs, has 2'],
    ],
    [
      'axes: {a: {from: 0, to: 1, stps: 3}}',
      'yaml',
      [expect.stringMatching(/^1:11: a: "stps" has no meaning/) as unknown as string],
    ],
    [
      'axes: {prompt: {file: nowhere.txt}}',
      'yaml',
      [expect.stringMatching(/^1:16: prompt: .*nowhere.txt does not exist/) as unknown as string],
    ],
  ])('%j', async (text, kind, expected) => {
    expect(await mistakes(text, kind)).toEqual(expected);
  });

  test.each(['', '[]', '{}', 'axes: {}'])('%j holds nothing', async (text) => {
    await expect(items(text)).rejects.toThrow(ConfigError);
  });
});

describe('axes', () => {
  const names = async (text: string) =>
    (await items(text)).map(({ soup, prompt, seed }) => `${soup.model} ${prompt} ${seed}`);

  test('are combined, the first slowest', async () => {
    expect(await names('axes: {model: [a, b], prompt: [x, y], seed: 1..2}')).toEqual([
      'a x 1',
      'a x 2',
      'a y 1',
      'a y 2',
      'b x 1',
      'b x 2',
      'b y 1',
      'b y 2',
    ]);
  });
  test('run side by side where zipped', async () => {
    expect(await names('axes: {model: [a, b], prompt: [x, y]}\nzip: true')).toEqual(['a x 0', 'b y 0']);
    expect(await names('axes: {model: [a, b], prompt: [x, y], seed: [3, 4]}\nzip: [[model, seed]]')).toEqual([
      'a x 3',
      'a y 3',
      'b x 4',
      'b y 4',
    ]);
  });
  test('are for items that do not say themselves', async () => {
    expect(await names('axes: {seed: 1..2}\nitems: [{model: a, prompt: x}, {model: a, prompt: y, seed: 9}]')).toEqual([
      'a x 1',
      'a x 2',
      'a y 9',
    ]);
  });
  test('of any name fill gaps, in prompts as in weights', async () => {
    const text = 'axes: {a: {from: 0, to: 1, steps: 3}}\nitems: [{model: "x:{1-a}+y:{a}", prompt: "{{{a}}}"}]';
    expect(await names(text)).toEqual(['x:1+y:0 {0} 0', 'x:0.5+y:0.5 {0.5} 0', 'x:0+y:1 {1} 0']);
  });
  test('sweep from model to model, and leave one out', async () => {
    const models = async (axis: string) =>
      (await items(`axes: {model: ${axis}}\ndefaults: {prompt: x}`)).map(({ soup }) => soup.model![0]);
    expect(await models('{between: [a, b], steps: 3}')).toEqual(['a', 'a:1/2+b:1/2', 'b']);
    expect(await models('{leave_one_out: a+b+c}')).toEqual(['a+b+c', 'b+c', 'a+c', 'a+b']);
  });
  test('count is for the seeds that follow', async () => {
    const found = await items('- {model: a, prompt: x, seed: 18446744073709551615, count: 2}');
    expect(found.map(({ seed, index }) => [seed, index])).toEqual([
      [2n ** 64n - 1n, 0],
      [0n, 1],
    ]);
  });
  test('a file gives its lines; a wildcard gives one of them, always the same', async () => {
    writeFileSync(join(folder, 'animals.txt'), '\ufeffcat\n# no\n\n dog \r\nfox\n');
    const axis = await items('axes: {animal: {file: animals.txt}}\nitems: [{model: a, prompt: "a {animal}"}]');
    expect(axis.map(({ prompt }) => prompt)).toEqual(['a cat', 'a dog', 'a fox']);
    const wild =
      'wildcards: {animal: animals.txt}\naxes: {seed: 1..50}\nitems: [{model: a, prompt: "{animal} and {animal}"}]';
    const [first, second] = [await items(wild), await items(wild)];
    expect(first).toEqual(second);
    expect(new Set(first.map(({ prompt }) => prompt)).size).toBe(9);
    // Names and grids may call them by it.
    for (const { prompt, vars } of first) expect(vars.animal).toBe(prompt.split(' ')[0]);
  });
  test('more items than a million are refused', async () => {
    expect(await mistakes('axes: {a: 1..1000, b: 1..1001}\nitems: [{model: a, prompt: x}]')).toEqual([
      '2:9: more than 1000000 items',
    ]);
  });
});

test('what the command line says counts less than the manifest', async () => {
  const [item] = await items('- {prompt: x, steps: 3}', 'yaml', { model: 'a', steps: '9', size: '64' });
  expect(item).toMatchObject({ soup: { model: ['a'] }, steps: 3, size: { width: 64, height: 64 } });
});

test('an item that names a recipe is not of the default model', async () => {
  const found = await items('defaults: {model: a, prompt: x}\nitems: [{recipe: r.yaml}, {}]');
  expect(found.map(({ soup }) => soup)).toEqual([{ recipe: 'r.yaml' }, { model: ['a'] }]);
});

test('CSV reads back what is written', () => {
  const field = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', ' ', 'é') });
  fc.assert(
    fc.property(fc.array(fc.array(field, { minLength: 2, maxLength: 4 }), { maxLength: 5 }), (rows) => {
      const text = rows.map((row) => row.map((one) => `"${one.replaceAll('"', '""')}"`).join(',')).join('\r\n');
      expect(readCsv(text).map((row) => row.map((one) => one.text))).toEqual(rows);
    }),
  );
});

test('any text is a manifest or a ConfigError', async () => {
  const kinds = fc.constantFrom<Kind>('yaml', 'json', 'jsonl', 'csv');
  const word = fc.constantFrom(
    'model',
    'prompt',
    ':',
    ' ',
    '\n',
    '-',
    '{',
    '}',
    '[',
    ']',
    ',',
    '"',
    'axes',
    'seed',
    '1',
    'x',
    '&a',
    '*a',
    'items',
    'zip',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(word, { maxLength: 30 }), kinds, async (words, kind) => {
      await items(words.join(''), kind).catch((error: unknown) => {
        if (!(error instanceof ConfigError)) throw error;
      });
    }),
    { numRuns: 2000 },
  );
});
