/**
 * Recipes of mergekit (https://github.com/arcee-ai/mergekit, docs/merge_methods.md and mergekit/config.py), read as they
 * are where the mathematics is the same as here; everything else is refused by name. Defaults are mergekit's: its TIES
 * keeps everything unless a density is given, and its task arithmetic does not scale weights.
 */
import * as z from 'zod/mini';
import { printable } from '../checkpoint/printable.js';
import type { Method, MethodParameters } from '../methods/index.js';
import { add, divide, type Fraction, fraction, isZero, ONE, ZERO } from '../soup/fraction.js';
import type { Where } from './check.js';
import type { Located } from './located.js';
import { booleanAt, checkNames, checkReference, numberAt, type Reported, type Settings } from './mergekit-settings.js';
import { type Path, type Problem, pathText, refuse } from './problems.js';
import type { Recipe, RecipeIngredient } from './recipe.js';
import { DTYPES } from './schema.js';
import { validate } from './validate.js';
import { isWeight } from './weight.js';

const MERGEKIT_KEYS = ['merge_method', 'models', 'slices', 'modules', 'base_model'];

export const isMergekit = (value: unknown): boolean =>
  typeof value === 'object' &&
  value !== null &&
  !('ingredients' in value) &&
  MERGEKIT_KEYS.some((key) => Object.hasOwn(value, key));

/** What is refused by name, and why. */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  slices: 'slices of layers are stacked in language models; a soup is made of whole models. Use "models"',
  modules: 'modules are not supported. Use "models"',
  tokenizer_source: 'tokenizers are never merged: all ingredients must have the same one',
  tokenizer: 'tokenizers are never merged: all ingredients must have the same one',
  chat_template: 'diffusion models have no chat template',
};

/** By method: what mergekit's is here, its parameters of all models together and of each, and its own defaults. */
interface Kind {
  readonly global: readonly string[];
  readonly own: readonly string[];
  readonly normalize?: boolean;
}
const TASK = ['normalize', 'lambda', 'int8_mask'];
const KINDS: Readonly<Partial<Record<Method, Kind>>> = {
  linear: { global: ['normalize'], own: ['weight'], normalize: true },
  task_arithmetic: { global: TASK, own: ['weight'], normalize: false },
  slerp: { global: ['t'], own: [] },
  ties: { global: TASK, own: ['weight', 'density'], normalize: true },
  dare_linear: { global: [...TASK, 'rescale'], own: ['weight', 'density'], normalize: false },
  dare_ties: { global: [...TASK, 'rescale'], own: ['weight', 'density'], normalize: false },
  model_stock: { global: ['filter_wise'], own: [] },
};

const names = (table: object): string => Object.keys(table).join(', ');
const text = (what: string) =>
  z.string(`expected ${what}`).check(z.minLength(1, `expected ${what}`), z.maxLength(4096));
const settings = z.record(z.string(), z.unknown(), 'expected a map of parameters');
const dtype = z.optional(
  z.nullable(z.literal(Object.keys(DTYPES) as (keyof typeof DTYPES)[], 'expected float16, bfloat16 or float32')),
);
const model = z.strictObject(
  { model: text('the name of a model'), parameters: z.optional(z.nullable(settings)) },
  {
    error: ({ code }) =>
      code === 'unrecognized_keys' ? 'model, parameters' : 'expected a map of model and parameters',
  },
);
const TOP = ['merge_method', 'models', 'base_model', 'parameters', 'dtype', 'out_dtype'];
const schema = z.strictObject(
  {
    merge_method: text(`one of ${names(KINDS)}`),
    models: z
      .array(model, 'expected a list of models')
      .check(z.minLength(1, 'expected a list of models'), z.maxLength(4096)),
    base_model: z.optional(z.nullable(text('the name of a model'))),
    parameters: z.optional(z.nullable(settings)),
    dtype,
    out_dtype: dtype,
  },
  { error: ({ code }) => (code === 'unrecognized_keys' ? TOP.join(', ') : `expected a map of ${TOP.join(', ')}`) },
);

type Input = z.output<typeof schema>;

export function readMergekit(located: Located, file: string): { recipe: Recipe; where: Where } {
  const problems: Problem[] = [];
  const problem = (path: Path, message: string) =>
    void problems.push({ ...located.place(path), path: pathText(path), message });
  for (const [key, why] of Object.entries(UNSUPPORTED)) {
    if (located.has([key]))
      problems.push({ ...located.keyPlace([key]), path: '', message: `mergekit's "${key}": ${why}` });
  }
  refuse(problems, file);
  const input = validate(schema, located, file);
  const method = Object.keys(KINDS).find((name) => name === input.merge_method) as Method | undefined;
  if (!method) {
    problem(
      ['merge_method'],
      `mergekit's ${printable(input.merge_method, 60)} is not supported; expected one of ${names(KINDS)}`,
    );
    refuse(problems, file);
  }
  const read = readModels(method!, input, problem);
  refuse(problems, file);
  return read;
}

function readModels(method: Method, input: Input, problem: Reported): { recipe: Recipe; where: Where } {
  const kind = KINDS[method]!;
  const shared: Settings = input.parameters ?? {};
  const base = input.base_model ?? undefined;
  checkNames(shared, ['parameters'], [...kind.global, ...kind.own], method, problem);
  for (const key of ['merge_method', 'base_model'] as const) checkReference(input[key] ?? '', [key], problem);
  const isInput = input.models.some(({ model }) => model === base);
  // mergekit takes the base out of the models, but for methods that average it like any other.
  const kept = input.models.flatMap((one, index) =>
    one.model === base && method !== 'linear' && method !== 'slerp' ? [] : [{ ...one, index }],
  );
  const own = kept.map(({ model, parameters, index }) => {
    const path = ['models', index, 'parameters'];
    const settings: Settings = parameters ?? {};
    checkReference(model, ['models', index, 'model'], problem);
    checkNames(settings, path, kind.own, method, problem);
    const at = (name: string): [unknown, Path] =>
      Object.hasOwn(settings, name) ? [settings[name], [...path, name]] : [shared[name], ['parameters', name]];
    const weight = kind.own.includes('weight') ? numberAt(...at('weight'), problem) : ONE;
    if (!weight) problem(['models', index], `mergekit's ${method} needs parameters: {weight: ...} for each model`);
    return { model, weight: weight ?? ONE, density: numberAt(...at('density'), problem) ?? ONE, index };
  });
  if (method === 'linear' && base !== undefined && !isInput && shared.weight !== undefined) {
    problem(
      ['base_model'],
      'with a weight for all models mergekit averages the base in, too; name it among the models',
    );
  }
  const flag = (name: string) => booleanAt(shared[name], ['parameters', name], problem);
  const normalize = flag('normalize') ?? kind.normalize ?? true;
  flag('int8_mask'); // how a mask is kept in memory
  if (flag('rescale') === false)
    problem(['parameters', 'rescale'], 'without rescaling it is not DARE: leave rescale out');
  if (flag('filter_wise')) problem(['parameters', 'filter_wise'], 'Model Stock is computed for whole tensors here');
  if (method === 'ties' && !normalize)
    problem(['parameters', 'normalize'], 'TIES divides by the weights that agree, always');
  if (method === 'dare_ties' && !normalize) {
    problem(
      ['merge_method'],
      'dare_ties divides by the weights that agree, which mergekit does with "normalize: true" only; write that',
    );
  }
  if ((method === 'ties' || method === 'dare_ties') && own.some(({ weight }) => weight.n < 0n)) {
    problem(['models'], `mergekit's ${method} divides by a sum that negative weights make smaller; give positive ones`);
  }
  const list = method === 'slerp' ? inOrder(own, base, problem) : own;
  // Sums of task vectors have no division here: it is done with the weights.
  const scaled = normalize && (method === 'task_arithmetic' || method === 'dare_linear') ? normalized(list) : list;
  const ingredients = scaled.map(({ model, weight }): RecipeIngredient => ({ model, weight }));
  const out = input.out_dtype ?? input.dtype;
  const recipe: Recipe = {
    method,
    ingredients,
    ...(base !== undefined && !(method === 'linear' && isInput) && method !== 'slerp' && { base }),
    parameters: parametersOf(method, shared, list, problem),
    normalize: method === 'linear' ? normalize : true,
    ...(out && { dtype: DTYPES[out] }),
  };
  return { recipe, where: whereOf(list) };
}

type OwnModel = {
  readonly model: string;
  readonly weight: Fraction;
  readonly density: Fraction;
  readonly index: number;
};

/** mergekit goes from the base to the other; here it is from the first to the second. */
function inOrder(own: readonly OwnModel[], base: string | undefined, problem: Reported): readonly OwnModel[] {
  const other = own.filter(({ model }) => model !== base);
  if (base === undefined) problem(['merge_method'], 'slerp needs base_model: the one where t is 0');
  else if (other.length !== 1) problem(['models'], `slerp takes base_model and one other model; found ${other.length}`);
  const start = own.find(({ model }) => model === base) ?? { model: base ?? '', weight: ONE, density: ONE, index: 0 };
  return [start, ...other];
}

function normalized(own: readonly OwnModel[]): readonly OwnModel[] {
  const total = own.reduce((sum, { weight }) => add(sum, weight), ZERO);
  return isZero(total) ? own : own.map((one) => ({ ...one, weight: divide(one.weight, total) }));
}

function parametersOf(method: Method, shared: Settings, own: readonly OwnModel[], problem: Reported): MethodParameters {
  const lambda = numberAt(shared.lambda, ['parameters', 'lambda'], problem);
  const t = numberAt(shared.t, ['parameters', 't'], problem);
  if (method === 'slerp') {
    if (!t) problem(['merge_method'], 'slerp needs parameters: {t: ...}, from 0 to 1');
    else if (!isWeight(`${t.n}/${t.d}`, 0, 1)) problem(['parameters', 't'], 'expected a number from 0 to 1');
    return t ? { t } : {};
  }
  const density = own[0]?.density ?? ONE;
  const odd = own.find((one) => one.density.n * density.d !== density.n * one.density.d);
  if (odd) problem(['models', odd.index, 'parameters', 'density'], 'the density must be the same for all models here');
  if (!isWeight(`${density.n}/${density.d}`, 0, 1)) problem(['models'], 'expected a density from 0 to 1');
  return {
    ...(method === 'ties' && { density }),
    ...((method === 'dare_linear' || method === 'dare_ties') && { drop: add(ONE, fraction(-density.n, density.d)) }),
    ...(lambda && { lambda }),
  };
}

/** A path of the Recipe in mergekit's file. */
function whereOf(list: readonly OwnModel[]): Where {
  const keys: Readonly<Record<string, Path>> = {
    method: ['merge_method'],
    ingredients: ['models'],
    base: ['base_model'],
    normalize: ['parameters', 'normalize'],
  };
  return ([first, second, ...rest]) => {
    if (first === 'ingredients' && typeof second === 'number') return ['models', list[second]!.index, ...rest];
    return first === 'parameters' ? ['parameters', second ?? '', ...rest] : (keys[String(first)] ?? []);
  };
}
