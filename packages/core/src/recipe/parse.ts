/** From the text of a recipe to a Recipe: ours, or one of mergekit's. All that is wrong is said at once, with its line. */
import type { MethodParameters } from '../methods/index.js';
import { type Fraction, ONE, parseFraction } from '../soup/fraction.js';
import { checkRecipe, type Where } from './check.js';
import { type Located, readLocated } from './located.js';
import { isMergekit, readMergekit } from './mergekit.js';
import { type Path, type Problem, pathText, refuse } from './problems.js';
import type { LoraReference, Recipe, RecipeIngredient } from './recipe.js';
import { DTYPES, type RecipeInput, recipeSchema } from './schema.js';
import { validate } from './validate.js';

export interface ParseOptions {
  /** What to call it in messages: a path. */
  readonly file: string;
}

/** Reads YAML or JSON. Throws a ConfigError with file, line and column of every mistake. */
export function parseRecipe(text: string, { file }: ParseOptions): Recipe {
  const located = readLocated(text, file);
  if (located.value === null) {
    refuse([{ line: 1, column: 1, path: '', message: 'there is nothing in it; expected ingredients: [...]' }], file);
  }
  const problems: Problem[] = [];
  const { recipe, where } = isMergekit(located.value) ? readMergekit(located, file) : readOurs(located, file);
  checkRecipe(recipe, { file }, (path, message) => {
    const at = where(path);
    problems.push({ ...located.place(at), path: pathText(at), message });
  });
  refuse(problems, file);
  return recipe;
}

function readOurs(located: Located, file: string): { recipe: Recipe; where: Where } {
  const input = validate(recipeSchema, located, file);
  const { names, list } = ingredientsOf(input);
  const { method = 'linear', base, parameters = {}, normalize = true, dtype, components, out } = input;
  const loras = lorasOf(input.loras);
  const recipe: Recipe = {
    method,
    ingredients: list,
    ...(base !== undefined && { base }),
    parameters: parametersOf(parameters),
    normalize,
    ...(dtype !== undefined && { dtype: DTYPES[dtype] }),
    ...(components !== undefined && { components }),
    ...(loras && { loras }),
    ...(out !== undefined && { out }),
  };
  // Where ingredients are a map, the second of them is found by its name.
  const where: Where = ([first, second, ...rest]) =>
    first === 'ingredients' && names && typeof second === 'number'
      ? [first, names[second]!, ...rest]
      : all(first, second, rest);
  return { recipe, where };
}

const all = (first: Path[number] | undefined, second: Path[number] | undefined, rest: Path): Path =>
  [first, second, ...rest].filter((part) => part !== undefined);

function ingredientsOf({ ingredients }: RecipeInput): { names?: readonly string[]; list: readonly RecipeIngredient[] } {
  if (Array.isArray(ingredients)) {
    return {
      list: ingredients.map((one) => (typeof one === 'string' ? ingredientOf(one, {}) : ingredientOf(one.model, one))),
    };
  }
  const entries = Object.entries(ingredients);
  const list = entries.map(([model, one]) => ingredientOf(model, typeof one === 'object' ? one : { weight: one }));
  return { names: entries.map(([model]) => model), list };
}

type ListedIngredient = Exclude<Extract<RecipeInput['ingredients'], readonly unknown[]>[number], string>;

function ingredientOf(
  model: string,
  { weight, blocks, root, loras: baked }: Omit<ListedIngredient, 'model'>,
): RecipeIngredient {
  const loras = lorasOf(baked);
  return {
    model,
    weight: weight === undefined ? ONE : parseFraction(weight),
    ...(blocks !== undefined && { blocks: typeof blocks === 'string' ? blocks : fractions(blocks) }),
    ...(root !== undefined && { root: root.toLowerCase() }),
    ...(loras && { loras }),
  };
}

const fractions = (table: Readonly<Record<string, number | string>>): Record<string, Fraction> =>
  Object.fromEntries(Object.entries(table).map(([name, value]) => [name, parseFraction(value)]));

const lorasOf = (loras: RecipeInput['loras']): LoraReference[] | undefined =>
  loras?.map((one) =>
    typeof one === 'string'
      ? { file: one, strength: ONE }
      : { file: one.file, strength: one.strength === undefined ? ONE : parseFraction(one.strength) },
  );

const NUMBERS = ['strength', 'lambda', 't', 'density', 'drop'] as const;

function parametersOf(input: NonNullable<RecipeInput['parameters']>): MethodParameters {
  const numbers = NUMBERS.flatMap((name) => (input[name] === undefined ? [] : [[name, parseFraction(input[name])]]));
  return {
    ...(Object.fromEntries(numbers) as Partial<Record<(typeof NUMBERS)[number], Fraction>>),
    ...(input.deltas !== undefined && { deltas: input.deltas }),
    ...(input.seed !== undefined && { seed: BigInt(input.seed) }),
    ...(input.scope !== undefined && { scope: input.scope }),
  };
}
