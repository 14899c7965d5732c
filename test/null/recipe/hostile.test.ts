/** Recipes that are wrong, or meant to do harm: each is refused in good time, with the line, and shows nothing as it is. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../packages/core/src/errors.ts';
import { parseRecipe } from '../../../packages/core/src/recipe/index.ts';
import { cpuTime } from '../../support/cpu-time.ts';

const FILE = 'dir/soup.yaml';
const SLOWEST = 5000; // ms; the largest text that is taken at all takes the parser some of that

function refusal(text: string): string {
  try {
    parseRecipe(text, { file: FILE });
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message;
  }
  throw new Error('it was taken');
}

const bomb = [
  'a: &a [x,x,x,x,x,x,x,x,x,x]',
  ...'bcdefghij'.split('').map((name, i) => `${name}: &${name} [${Array(10).fill(`*${'abcdefghij'[i]}`)}]`),
];
const long = (n: number, text: string) => Array.from({ length: n }, (_, i) => text.replaceAll('#', String(i))).join('');

test.each<[what: string, text: string, place: string, message: string]>([
  ['nothing', '', '1:1', 'there is nothing in it'],
  ['spaces and comments', '  \n# hello\n', '1:1', 'there is nothing in it'],
  ['a list', '- noto\n- ink', '1:1', 'expected a recipe: a map of'],
  ['a word', 'noto', '1:1', 'expected a recipe'],
  ['a number', '42', '1:1', 'expected a recipe'],
  ['no ingredients', 'method: linear', '1:1', '"ingredients" is missing'],
  ['an empty list', 'ingredients: []', '1:14', 'expected a list of 1 to 4096 models'],
  ['an empty map', 'ingredients: {}', '1:14', 'takes at least 1 ingredients; found 0'],
  ['ingredients without a value', 'ingredients:\nbase: x', '1:13', 'found nothing'],
  ['an unknown key', 'ingredients: [a]\nweigths: 3', '2:1', '"weigths" is no key here'],
  ['an unknown key like another', 'ingrediants: [a]', '1:1', 'did you mean "ingredients"?'],
  ['an unknown key inside', 'ingredients:\n- {model: a, wieght: 2}', '2:14', 'did you mean "weight"?'],
  ['no model', 'ingredients: [{weight: 2}]', '1:15', '"model" is missing'],
  ['an empty name', 'ingredients: [""]', '1:15', 'expected a model'],
  ['a name of spaces', 'ingredients: ["  "]', '1:15', 'empty name'],
  ['a list for a model', 'ingredients: [[a]]', '1:15', 'expected an ingredient'],
  ['a number for a model', 'ingredients: [a, 3]', '1:18', 'expected an ingredient'],
  ['a weight in words', 'ingredients: {a: much}', '1:18', 'found "much"'],
  ['a weight that is true', 'ingredients: {a: true}', '1:18', 'expected a number or a fraction'],
  ['NaN', 'ingredients: {a: .nan}', '1:18', '.nan is no plain decimal number'],
  ['infinity', 'ingredients: {a: -.inf}', '1:18', '-.inf is no plain decimal number'],
  ['NaN in a text', 'ingredients: {a: "NaN"}', '1:18', 'found "NaN"'],
  ['a number that overflows', 'ingredients: {a: 1e999}', '1:18', '1e999 is too large'],
  ['octal', 'ingredients: {a: 012}', '1:18', '012 is no plain decimal number'],
  ['octal of YAML 1.2', 'ingredients: {a: 0o12}', '1:18', 'no plain decimal number'],
  ['hexadecimal', 'ingredients: {a: 0x1F}', '1:18', 'no plain decimal number'],
  ['a huge weight', 'ingredients: {a: 1e12}', '1:18', 'up to 1000000'],
  ['a huge fraction', 'ingredients: {a: 1e300/3}', '1:18', 'up to 1000000'],
  ['a division by zero', 'ingredients: {a: 1/0}', '1:18', 'expected a number or a fraction'],
  ['a thousand digits', `ingredients: {a: "${'1'.repeat(1000)}"}`, '1:18', 'expected a number or a fraction'],
  ['weights that cancel', 'ingredients:\n  {a: 1, b: -1}', '2:3', 'add up to 0'],
  ['weights of nothing', 'ingredients: {a: 0, b: 0}', '1:14', 'all weights are 0'],
  ['the recipe itself', 'ingredients: [a, soup.yaml]', '1:18', 'this recipe itself'],
  ['the recipe itself by its path', 'ingredients: [./dir/soup.yaml]', '1:15', 'this recipe itself'],
  ['another recipe', 'ingredients: [other.yml]', '1:15', 'is a recipe; expected a model'],
  ['a URL', 'ingredients: ["https://example.org/x"]', '1:15', 'is a URL'],
  ['a pickle', 'ingredients: [a]\nbase: model.ckpt', '2:7', 'may run code'],
  ['a pickle as a LoRA', 'ingredients: [a]\nloras: [x.pt]', '2:9', 'must be a .safetensors'],
  ['__proto__', 'ingredients: {__proto__: 2}', '1:15', '"__proto__" has no meaning here'],
  [
    '__proto__ in JSON',
    '{"ingredients": ["a"], "__proto__": {"base": "x"}}',
    '1:24',
    '"__proto__" has no meaning here',
  ],
  ['constructor', 'ingredients: [a]\nconstructor: {prototype: 1}', '2:1', '"constructor" is no key here'],
  ['toString in blocks', 'ingredients: [{model: a, blocks: {toString: 1}}]', '1:35', '"toString" is no block'],
  ['a key twice', 'ingredients: [a]\nbase: b\nbase: c', '3:1', '"base" occurs twice'],
  ['a key twice in JSON', '{"ingredients": ["a"], "ingredients": ["b"]}', '1:24', 'occurs twice'],
  ['a tag of JavaScript', 'ingredients: [!!js/function "x"]', '1:15', 'tag'],
  ['a tag of Python', '!!python/object/apply:os.system ["true"]', '1:1', 'tag'],
  ['a tag of our own', 'ingredients: [!model x]', '1:15', 'tag'],
  ['binary', 'ingredients: [!!binary aGVsbG8=]', '1:15', 'tag'],
  ['a merge key', 'x: &x {model: a}\ningredients: [{<<: *x}]', '1:1', 'no key here'],
  ['an older YAML', '%YAML 1.1\n---\ningredients: [a]', '1:1', 'directives'],
  ['a tag handle', '%TAG ! tag:example.org,2000:\n---\ningredients: [a]', '1:1', 'directives'],
  ['two documents', 'ingredients: [a]\n---\ningredients: [b]', '2:1', 'multiple documents'],
  ['an alias bomb', [...bomb, 'ingredients: *j'].join('\n'), '', 'more than 50000 values'],
  ['an alias of itself', 'ingredients: &x [a, *x]', '1:21', 'contains itself'],
  ['an alias of nothing', 'ingredients: [*x]', '1:15', 'no anchor'],
  ['deep lists', `ingredients: ${'['.repeat(1000)}${']'.repeat(1000)}`, '1:', 'nest deeper than 20'],
  ['deep lists without an end', '['.repeat(200_000), '1:', 'nest deeper than 20'],
  ['deep maps', long(2000, '{a: '), '', ''],
  ['a list for a key', 'ingredients: [a]\n[x]: y', '2:1', 'a key must be a text'],
  ['a null key', 'ingredients: [a]\n~: y', '2:1', 'a key must be a text'],
  ['ten megabytes', `ingredients: [a] #${'x'.repeat(10_000_000)}`, '1:1', 'has 10000018 characters'],
  ['a megabyte of models', `ingredients:\n${long(60_000, '- m#\n')}`, '1:1', 'characters; expected a recipe'],
  [
    '5,000 models',
    `ingredients:\n${long(5000, '- m#\n')}`,
    '2:1',
    'expected a list of 1 to 4096 models; found a list of 5000',
  ],
  ['60,000 values', `ingredients: [${long(60_000, 'a, ')}]`, '', 'more than 50000 values'],
  ['a long name', `ingredients: [${'x'.repeat(5000)}]`, '1:15', 'has 5000 characters'],
  ['NUL', 'ingredients: ["a\\0b"]', '1:15', 'control characters'],
  ['a raw NUL', 'ingredients: [a\0b]', '1:15', 'control characters'],
  ['an ANSI escape', 'ingredients: ["\\e[31mred"]', '1:15', 'control characters'],
  ['OSC 52, which writes the clipboard', 'ingredients: ["\\e]52;c;aGk=\\a"]', '1:15', 'control characters'],
  ['an ANSI escape in a key', 'ingredients: [a]\n"\\e[2J": 1', '2:1', 'control characters'],
  ['half a surrogate pair', 'ingredients: ["\\ud800"]', '1:15', 'control characters'],
  ['a line break in a name', 'ingredients: ["a\\nb"]', '1:15', 'control characters'],
  ['bad indentation', 'ingredients:\n  - a\n - b', '3:1', ''],
  ['a tab', 'ingredients:\n\t- a', '2:1', ''],
  ['a quote without an end', 'ingredients: ["a', '1:17', 'Missing closing'],
  ['a bracket without an end', 'ingredients: [a', '1:16', ''],
  ['rubbish', '\x00\x01\x02\x89PNG\r\n', '1:1', ''],
  ['a method that is none', 'method: dare\ningredients: [a]', '1:9', 'expected one of linear'],
  ['a method with a slip', 'method: tie\ningredients: [a]', '1:9', 'did you mean "ties"?'],
  ['a method without its base', 'ingredients: [a, b]\nmethod: ties', '2:9', 'ties needs base'],
  ['strength without a base', 'ingredients: [a]\nparameters: {strength: 0.5}', '1:1', 'needs base'],
  [
    'a parameter of another method',
    'ingredients: [a]\nparameters:\n  t: 0.5',
    '3:6',
    'linear has no such parameter; it has strength',
  ],
  ['a density of 0', '{ingredients: [a], base: b, method: ties, parameters: {density: 0}}', '1:65', 'keeps nothing'],
  ['a density above 1', '{ingredients: [a], base: b, method: ties, parameters: {density: 1.5}}', '1:65', 'from 0 to 1'],
  [
    'a drop rate of 1',
    '{ingredients: [a], base: b, method: dare_ties, parameters: {drop: 1}}',
    '1:67',
    'keeps nothing',
  ],
  ['a negative seed', '{ingredients: [a], base: b, method: dare_ties, parameters: {seed: -1}}', '1:67', 'whole number'],
  [
    'a seed of 65 bits',
    '{ingredients: [a], base: b, method: dare_ties, parameters: {seed: 18446744073709551616}}',
    '1:67',
    'whole number',
  ],
  ['slerp of three', '{method: slerp, ingredients: [a, b, c]}', '1:30', 'slerp takes 2 ingredients; found 3'],
  [
    'Model Stock with weights',
    '{method: model_stock, base: z, ingredients: {a: 1, b: 2}}',
    '1:45',
    'weighs its ingredients alike',
  ],
  [
    'normalize of another method',
    '{method: slerp, ingredients: [a, b], normalize: false}',
    '1:49',
    'of the method linear',
  ],
  ['yes', 'ingredients: [a]\nnormalize: yes', '2:12', 'expected true or false'],
  [
    'blocks of another method',
    '{method: slerp, ingredients: [a, {model: b, blocks: GRAD_V}]}',
    '1:53',
    'of the method linear',
  ],
  ['a preset that is none', 'ingredients: [{model: a, blocks: GRAD_W}]', '1:34', 'did you mean "GRAD_'],
  ['a block that is none', 'ingredients: [{model: a, blocks: {IN4: 1}}]', '1:35', '"IN4" is no block'],
  ['block weights in words', 'ingredients: [{model: a, blocks: "1,two"}]', '1:34', 'is no number'],
  ['a short root', 'ingredients: [{model: a, root: abc}]', '1:32', '64 digits'],
  ['a type that is none', 'ingredients: [a]\ndtype: F8', '2:8', 'expected F16, BF16 or F32'],
  ['a component that is none', 'ingredients: [a]\ncomponents: {unett: a}', '2:14', 'did you mean "unet"?'],
])('%s', (_, text, place, message) => {
  const begun = cpuTime();
  const found = refusal(text);
  expect(cpuTime() - begun).toBeLessThan(SLOWEST);
  expect(found).toContain(`${FILE}:${place}`);
  expect(found).toContain(message);
  expect(found.length).toBeLessThan(8000);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they must not be there
  expect(found).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
});

test('says all that is wrong, in the order of the file', () => {
  const message = refusal(`method: tie
ingredients:
  - noto
  - {model: ink, wieght: 3}
  - {weight: much}
  - 7
normalize: yes
dtype: F8
`);
  expect(message.split('\n').map((line) => line.split(':').slice(1, 3).join(':'))).toEqual([
    ...['1:9', '4:18', '5:5', '5:14', '6:5', '7:12', '8:8'],
  ]);
});

test('of many mistakes the first twenty are said', () => {
  const lines = refusal(`ingredients:\n${long(100, '- {model: a#, x: 1}\n')}`).split('\n');
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toBe('... and 80 more');
});

test('facts have every place, for programs', () => {
  try {
    parseRecipe('ingredients: {a: x}', { file: FILE });
  } catch (error) {
    expect((error as ConfigError).facts).toMatchObject({
      file: FILE,
      problems: [{ line: 1, column: 18, path: 'ingredients.a' }],
    });
  }
});

describe('any text', () => {
  const pieces = fc.constantFrom(
    ...[
      'ingredients',
      'model',
      'weight',
      ': ',
      '- ',
      '\n',
      '  ',
      '[',
      ']',
      '{',
      '}',
      ',',
      '&a',
      '*a',
      '"',
      "'",
      '1/3',
      '2',
      'noto',
    ],
    ...[
      'method',
      'slerp',
      '!!',
      '%',
      '#',
      '|',
      '>',
      '?',
      '~',
      'true',
      '\t',
      '\0',
      '__proto__',
      '\ud800',
      'merge_method',
      'models',
    ],
  );
  test('gives a recipe or a ConfigError', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(pieces, { maxLength: 30 }).map((list) => list.join('')),
        ),
        (text) => {
          try {
            parseRecipe(text, { file: FILE });
          } catch (error) {
            expect(error).toBeInstanceOf(ConfigError);
          }
        },
      ),
      { numRuns: 5000 },
    );
  });
});
