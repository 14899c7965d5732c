/** mergekit's recipes: read where the mathematics is the same, refused by name where it is not. */
import { describe, expect, test } from 'vitest';
import { parseRecipe, type Recipe } from '../../../packages/core/src/recipe/index.ts';
import { formatFraction, fraction } from '../../../packages/core/src/soup/fraction.ts';

const parse = (text: string): Recipe => parseRecipe(text, { file: 'mergekit.yml' });
const names = ({ ingredients }: Recipe) => ingredients.map(({ model, weight }) => `${model}:${formatFraction(weight)}`);
const two = `models:
  - model: a
    parameters: {weight: 1}
  - model: b
    parameters: {weight: 3}
base_model: z
`;

test('linear, as in mergekit/examples/linear.yml', () => {
  const recipe = parse(`models:
  - model: psmathur/orca_mini_v3_13b
    parameters:
      weight: 1.0
  - model: WizardLM/WizardLM-13B-V1.2
    parameters:
      weight: 0.3
  - model: garage-bAInd/Platypus2-13B
    parameters:
      weight: 0.5
merge_method: linear
dtype: float16
`);
  expect(recipe).toMatchObject({ method: 'linear', normalize: true, dtype: 'F16', parameters: {} });
  expect(names(recipe)).toEqual([
    ...['psmathur/orca_mini_v3_13b:1', 'WizardLM/WizardLM-13B-V1.2:3/10', 'garage-bAInd/Platypus2-13B:1/2'],
  ]);
});

test.each<[what: string, text: string, expected: Partial<Recipe>, ingredients: string[]]>([
  [
    'one weight for all',
    'models: [{model: a}, {model: b}]\nparameters: {weight: 1}\nmerge_method: linear',
    {},
    ['a:1', 'b:1'],
  ],
  [
    'without normalizing',
    `${two}merge_method: linear\nparameters: {normalize: false}`,
    { normalize: false, base: 'z' },
    ['a:1', 'b:3'],
  ],
  [
    'a base that is averaged',
    'models: [{model: a}, {model: z}]\nparameters: {weight: 1}\nbase_model: z\nmerge_method: linear',
    {},
    ['a:1', 'z:1'],
  ],
  [
    'the type of the result',
    `${two}merge_method: linear\ndtype: float32\nout_dtype: bfloat16`,
    { dtype: 'BF16' },
    ['a:1', 'b:3'],
  ],
  [
    'task arithmetic adds',
    `${two}merge_method: task_arithmetic`,
    { method: 'task_arithmetic', base: 'z', parameters: {} },
    ['a:1', 'b:3'],
  ],
  [
    'task arithmetic, scaled',
    `${two}merge_method: task_arithmetic\nparameters: {normalize: true, lambda: 0.5}`,
    { parameters: { lambda: fraction(1n, 2n) } },
    ['a:1/4', 'b:3/4'],
  ],
  [
    'TIES keeps everything by default',
    `${two}merge_method: ties\nparameters: {int8_mask: true}`,
    { method: 'ties', parameters: { density: fraction(1n) } },
    ['a:1', 'b:3'],
  ],
  [
    'TIES with one density',
    `${two}merge_method: ties\nparameters: {density: 0.5, normalize: true}`,
    { parameters: { density: fraction(1n, 2n) } },
    ['a:1', 'b:3'],
  ],
  [
    'DARE drops the rest',
    `${two}merge_method: dare_linear\nparameters: {density: 0.3, rescale: true}`,
    { method: 'dare_linear', parameters: { drop: fraction(7n, 10n) } },
    ['a:1', 'b:3'],
  ],
  [
    'DARE with signs',
    `${two}merge_method: dare_ties\nparameters: {density: 0.3, normalize: true}`,
    { method: 'dare_ties', parameters: { drop: fraction(7n, 10n) } },
    ['a:1', 'b:3'],
  ],
  [
    'SLERP goes from the base',
    'models: [{model: b}, {model: a}]\nbase_model: a\nmerge_method: slerp\nparameters: {t: 0.2}',
    { method: 'slerp', parameters: { t: fraction(1n, 5n) } },
    ['a:1', 'b:1'],
  ],
  [
    'SLERP from a base beside',
    'models: [{model: b}]\nbase_model: a\nmerge_method: slerp\nparameters: {t: 1}',
    {},
    ['a:1', 'b:1'],
  ],
  [
    'Model Stock leaves the base out',
    'models: [{model: z}, {model: a}, {model: b}]\nbase_model: z\nmerge_method: model_stock',
    { method: 'model_stock', base: 'z' },
    ['a:1', 'b:1'],
  ],
])('%s', (_, text, expected, ingredients) => {
  const recipe = parse(text);
  expect(recipe).toMatchObject(expected);
  expect(names(recipe)).toEqual(ingredients);
});

describe('refuses', () => {
  test.each<[what: string, text: string, place: string, message: string]>([
    ['slices', 'merge_method: linear\nslices:\n  - sources: []', '2:1', `mergekit's "slices"`],
    ['modules', 'merge_method: linear\nmodules: {}', '2:1', `mergekit's "modules"`],
    ['tokenizer_source', `${two}merge_method: linear\ntokenizer_source: union`, '8:1', `mergekit's "tokenizer_source"`],
    ['tokenizer', `${two}merge_method: linear\ntokenizer: {source: base}`, '8:1', `mergekit's "tokenizer"`],
    ['chat_template', `${two}merge_method: linear\nchat_template: auto`, '8:1', 'no chat template'],
    ['an unknown key', `${two}merge_method: linear\nbase_modell: x`, '8:1', 'did you mean "base_model"?'],
    ['another method', `${two}merge_method: della`, '7:15', "mergekit's della is not supported"],
    ['a method that is none', `${two}merge_method: 3`, '7:15', 'expected one of linear'],
    ['no method', two, '1:1', '"merge_method" is missing'],
    ['no models', 'merge_method: linear', '1:1', '"models" is missing'],
    [
      'a model without a weight',
      'models: [{model: a}]\nmerge_method: linear',
      '1:10',
      'needs parameters: {weight: ...}',
    ],
    [
      'weights by layer',
      'models: [{model: a, parameters: {weight: [1, 0.5]}}]\nmerge_method: linear',
      '1:42',
      'a list of values by layer',
    ],
    [
      'weights by filter',
      'models: [{model: a, parameters: {weight: [{filter: mlp, value: 1}]}}]\nmerge_method: linear',
      '1:42',
      'values by filter',
    ],
    [
      'a weight in words',
      'models: [{model: a, parameters: {weight: x}}]\nmerge_method: linear',
      '1:42',
      'expected a number',
    ],
    ['a LoRA on a model', 'models: [{model: a+lora, parameters: {weight: 1}}]\nmerge_method: linear', '1:18', 'LoRA'],
    [
      'a model as a map',
      'models: [{model: {path: a}, parameters: {weight: 1}}]\nmerge_method: linear',
      '1:18',
      'expected the name of a model',
    ],
    [
      'a parameter of another method',
      `${two}merge_method: linear\nparameters: {lambda: 2}`,
      '8:22',
      'no such parameter',
    ],
    [
      'a parameter of each model',
      'models: [{model: a, parameters: {weight: 1, gamma: 1}}]\nmerge_method: linear',
      '1:52',
      'it has weight',
    ],
    [
      'a base that would be averaged',
      'models: [{model: a}]\nparameters: {weight: 1}\nbase_model: z\nmerge_method: linear',
      '3:13',
      'averages the base in',
    ],
    [
      'a base that is missing',
      'models: [{model: a}, {model: b}]\nparameters: {weight: 1}\nmerge_method: task_arithmetic',
      '3:15',
      'needs base',
    ],
    ['TIES that does not divide', `${two}merge_method: ties\nparameters: {normalize: false}`, '8:25', 'divides'],
    [
      'TIES with a negative weight',
      'models: [{model: a}]\nparameters: {weight: -1}\nbase_model: z\nmerge_method: ties',
      '1:9',
      'positive',
    ],
    ['dare_ties that does not divide', `${two}merge_method: dare_ties`, '7:15', 'normalize: true'],
    ['DARE that does not rescale', `${two}merge_method: dare_linear\nparameters: {rescale: false}`, '8:23', 'rescal'],
    [
      'densities that differ',
      'models:\n- {model: a, parameters: {weight: 1, density: 0.5}}\n- {model: b, parameters: {weight: 1}}\nbase_model: z\nmerge_method: ties',
      '3:',
      'same for all',
    ],
    ['a density above 1', `${two}merge_method: ties\nparameters: {density: 2}`, '', 'from 0 to 1'],
    [
      'Model Stock by rows',
      'models: [{model: a}, {model: b}]\nbase_model: z\nmerge_method: model_stock\nparameters: {filter_wise: true}',
      '4:27',
      'whole tensors',
    ],
    [
      'SLERP without t',
      'models: [{model: a}, {model: b}]\nbase_model: a\nmerge_method: slerp',
      '3:15',
      'needs parameters: {t: ...}',
    ],
    [
      'SLERP by layers',
      'models: [{model: a}, {model: b}]\nbase_model: a\nmerge_method: slerp\nparameters: {t: [0, 1]}',
      '4:17',
      'a list of values by layer',
    ],
    [
      'SLERP of three',
      'models: [{model: a}, {model: b}, {model: c}]\nbase_model: a\nmerge_method: slerp\nparameters: {t: 0.5}',
      '1:9',
      'found 2',
    ],
    [
      'SLERP without a base',
      'models: [{model: a}, {model: b}]\nmerge_method: slerp\nparameters: {t: 0.5}',
      '2:15',
      'needs base_model',
    ],
    ['another type', `${two}merge_method: linear\ndtype: int8`, '8:8', 'expected float16'],
    ['a flag in words', `${two}merge_method: linear\nparameters: {normalize: yes}`, '8:25', 'true or false'],
    ['a method name that lies', `${two}merge_method: "linear\\e[2J"`, '7:15', 'control characters'],
  ])('%s', (_, text, place, message) => {
    expect(() => parse(text)).toThrow(`mergekit.yml:${place}`);
    expect(() => parse(text)).toThrow(message);
  });
});
