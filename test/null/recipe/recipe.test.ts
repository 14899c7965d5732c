/** Recipes that are fine: what they mean, and that writing them gives them back. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { methods } from '../../../packages/core/src/methods/index.ts';
import {
  formatRecipe,
  formatWeight,
  parseHuggingFaceId,
  parseInline,
  parseRecipe,
  type Recipe,
  recipeJsonSchema,
} from '../../../packages/core/src/recipe/index.ts';
import { blockPresets } from '../../../packages/core/src/soup/block-presets.ts';
import { type Fraction, formatFraction, fraction, parseFraction } from '../../../packages/core/src/soup/fraction.ts';

const parse = (text: string): Recipe => parseRecipe(text, { file: 'soup.yaml' });

/** Fractions as text, so that a difference can be read. */
const plain = (value: unknown): unknown =>
  JSON.parse(
    JSON.stringify(value, (_, item: unknown) =>
      typeof item === 'bigint'
        ? String(item)
        : item && typeof item === 'object' && 'n' in item
          ? formatFraction(item as Fraction)
          : item,
    ),
  );

const names = ({ ingredients }: Recipe) => ingredients.map(({ model, weight }) => `${model}:${formatFraction(weight)}`);

test.each([
  ['ingredients: [noto, ink]', ['noto:1', 'ink:1']],
  ['ingredients: {noto: 2, ink: 1}', ['noto:2', 'ink:1']],
  ['ingredients: {noto: 1/3, ink: "2/3"}', ['noto:1/3', 'ink:2/3']],
  ['ingredients: {noto: {weight: 0.1}, ink: {}}', ['noto:1/10', 'ink:1']],
  ['ingredients:\n- noto\n- model: ../ink\n  weight: -0.25', ['noto:1', '../ink:-1/4']],
  ['{"ingredients": ["noto", {"model": "org/ink@main", "weight": 1e-3}]}', ['noto:1', 'org/ink@main:1/1000']],
  ['\ufeffingredients: [2, 1.5]'.replace('[2, 1.5]', '{2: 1, x: 3}'), ['2:1', 'x:3']],
  ['ingredients: [&m noto, *m]', ['noto:1', 'noto:1']],
  ['ingredients: ["café ☕", "a b"]', ['café ☕:1', 'a b:1']],
])('%j', (text, expected) => {
  const recipe = parse(text);
  expect(names(recipe)).toEqual(expected);
  expect(recipe).toMatchObject({ method: 'linear', normalize: true, parameters: {} });
});

test('a recipe with everything', () => {
  const root = 'AB'.repeat(32);
  const recipe = parse(`
# yaml-language-server: $schema=soup.schema.json
method: linear
ingredients:
  - model: noto
    weight: 2
    blocks: GRAD_V
    root: ${root}
  - model: ink
    blocks: {IN04: 0.5, OUT: 0}
    loras: [a.safetensors, {file: b.safetensors, strength: 2/3}]
base: base
parameters: {strength: 1/2}
normalize: true
dtype: bfloat16
components: {unet: average, vae: noto}
loras: [c.safetensors]
out: my-soup
`);
  expect(plain(recipe)).toEqual({
    method: 'linear',
    ingredients: [
      { model: 'noto', weight: '2', blocks: 'GRAD_V', root: root.toLowerCase() },
      {
        model: 'ink',
        weight: '1',
        blocks: { IN04: '1/2', OUT: '0' },
        loras: [
          { file: 'a.safetensors', strength: '1' },
          { file: 'b.safetensors', strength: '2/3' },
        ],
      },
    ],
    base: 'base',
    parameters: { strength: '1/2' },
    normalize: true,
    dtype: 'BF16',
    components: { unet: 'average', vae: 'noto' },
    loras: [{ file: 'c.safetensors', strength: '1' }],
    out: 'my-soup',
  });
});

test('parameters of methods', () => {
  const slerp = parse('{method: slerp, ingredients: [a, b], parameters: {t: 0.3, deltas: true}, base: c}');
  expect(plain(slerp.parameters)).toEqual({ t: '3/10', deltas: true });
  const dare = parse(
    '{method: dare_ties, ingredients: [a, b], base: c, parameters: {drop: 9/10, seed: 18446744073709551615}}',
  );
  expect(dare.parameters).toEqual({ drop: fraction(9n, 10n), seed: 2n ** 64n - 1n });
});

test('a thousand models', () => {
  const list = Array.from({ length: 1000 }, (_, i) => `  - {model: m${i}, weight: ${i + 1}}`);
  expect(parse(`ingredients:\n${list.join('\n')}`).ingredients).toHaveLength(1000);
});

const weights = fc
  .tuple(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 1000 }))
  .map(([n, d]) => fraction(BigInt(n), BigInt(d)));
const word = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => text.trim() !== '' && !/[\p{Cc}\p{Cs}\u2028\u2029]|:\/\/|\.(ya?ml|ckpt|pt|pth|bin)$/iu.test(text));
const lora = fc.record({ file: word.map((name) => `${name}.safetensors`), strength: weights });
const ingredient = fc.record(
  {
    model: word,
    weight: weights,
    blocks: fc.oneof(
      fc.constantFrom(...blockPresets.keys()),
      fc.dictionary(fc.constantFrom('BASE', 'IN04', 'M00', 'OUT'), weights, { noNullPrototype: true }),
    ),
    root: fc.stringMatching(/^[0-9a-f]{64}$/),
    loras: fc.array(lora, { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ['model', 'weight'], noNullPrototype: true },
);
const recipes = fc.record(
  {
    method: fc.constant('linear' as const),
    ingredients: fc.array(ingredient, { minLength: 1, maxLength: 5 }),
    base: word,
    parameters: fc.oneof(fc.constant({}), fc.record({ strength: weights }, { noNullPrototype: true })),
    normalize: fc.boolean(),
    dtype: fc.constantFrom('F16', 'BF16', 'F32'),
    components: fc.constantFrom({ unet: 'average' }, { vae: 'average', text_encoder: 'noto' }),
    loras: fc.array(lora, { minLength: 1, maxLength: 3 }),
    out: word,
  },
  { requiredKeys: ['method', 'ingredients', 'base', 'parameters', 'normalize'], noNullPrototype: true },
);

test('what is written is read again, and written the same', () => {
  fc.assert(
    fc.property(recipes, (recipe) => {
      const text = formatRecipe(recipe as Recipe);
      const again = parse(text);
      expect(again).toEqual(recipe);
      expect(formatRecipe(again)).toBe(text);
    }),
    { numRuns: 300 },
  );
});

test('recipes are written in the shortest way', () => {
  expect(formatRecipe(parse('normalize: true\ningredients: {noto: 1, ink: 0.50, c: 1/3}\ndtype: float16'))).toBe(
    '# yaml-language-server: $schema=./soup.schema.json\n' +
      'ingredients:\n  - noto\n  - model: ink\n    weight: 0.5\n  - model: c\n    weight: 1/3\ndtype: F16\n',
  );
});

test('weights are written as they can be read', () => {
  fc.assert(fc.property(weights, (weight) => void expect(parseFraction(formatWeight(weight))).toEqual(weight)));
  expect(['2', '1/4', '1/3', '1/8', '-3/10', '1/10000000'].map((text) => formatWeight(parseFraction(text)))).toEqual([
    ...['2', '0.25', '1/3', '0.125', '-0.3', '1/10000000'],
  ]);
});

describe('the JSON Schema', () => {
  test('docs/soup.schema.json is current', () => {
    const file = new URL('../../../docs/soup.schema.json', import.meta.url);
    const expected = `${JSON.stringify(recipeJsonSchema(), null, 2)}\n`;
    // On a difference: soup recipe schema > docs/soup.schema.json
    expect(readFileSync(file, 'utf8')).toBe(expected);
  });

  test('knows every method', () => {
    expect(JSON.stringify(recipeJsonSchema())).toContain(JSON.stringify(methods));
  });
});

test.each([
  ['org/name', { repository: 'org/name' }],
  ['org/name@main', { repository: 'org/name', revision: 'main' }],
  [
    'stabilityai/stable-diffusion-2-1@refs/pr/3',
    { repository: 'stabilityai/stable-diffusion-2-1', revision: 'refs/pr/3' },
  ],
  ['noto', undefined],
  ['./org/name', undefined],
  ['a/b/c', undefined],
  ['models/x.safetensors', undefined],
  ['org/..', undefined],
  ['org/name@', undefined],
])('%s as a Hugging Face id', (text, expected) => {
  expect(parseHuggingFaceId(text)).toEqual(expected);
});

describe('parseInline', () => {
  const exists = (name: string) => ['noto', 'ink', 'a+b', 'c:2', 'C:\\models'].includes(name);
  test.each([
    ['noto', ['noto']],
    ['noto+ink', ['noto', 'ink']],
    ['noto:2 + ink:0.5', ['noto:2', 'ink:1/2']],
    ['noto:1/3+ink : 2/3', ['noto:1/3', 'ink:2/3']],
    ['a+b', ['a+b']],
    ['c:2', ['c:2']],
    ['c:2:3+noto', ['c:2:3', 'noto']],
    ['C:\\models', ['C:\\models']],
    ['D:\\models', ['D:\\models']],
    ['unknown', ['unknown']],
  ])('%s', (text, expected) => {
    const found = parseInline(text, exists).map(
      ({ model, weight }) => model + (weight ? `:${formatFraction(weight)}` : ''),
    );
    expect(found).toEqual(expected);
  });

  test.each([
    ['', 'empty name'],
    ['noto+', 'without a name'],
    ['noto:x', 'the weight of noto is "x"'],
    ['noto:1/0', 'the weight of noto is "1/0"'],
    ['noto:1e99', 'the weight of noto'],
    [':2+noto', 'without a name'],
  ])('refuses %j', (text, message) => {
    expect(() => parseInline(text, exists)).toThrow(message);
  });
});
