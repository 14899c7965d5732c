/** A recipe as text, in one way only: equal recipes give equal texts, and reading it gives the same recipe. */
import { stringify } from 'yaml';
import type { MethodParameters } from '../methods/index.js';
import type { BlockTable } from '../soup/block-weights.js';
import { type Fraction, ONE } from '../soup/fraction.js';
import type { LoraReference, Recipe, RecipeIngredient } from './recipe.js';
import { formatWeight } from './weight.js';

/** Where editors look for the schema: beside the recipe. "soup recipe schema" writes it. */
export const SCHEMA_FILE = 'soup.schema.json';

const HINT = `# yaml-language-server: $schema=./${SCHEMA_FILE}\n`;

/** As YAML, with a hint for editors in the first line. What is the default is left out. */
export function formatRecipe(recipe: Recipe): string {
  return HINT + stringify(recipeJson(recipe), { lineWidth: 0, aliasDuplicateObjects: false });
}

/** As plain data that JSON can hold: numbers where they are exact, else texts such as "1/3". */
export function recipeJson(recipe: Recipe): Record<string, unknown> {
  const { method, ingredients, base, parameters, normalize, dtype, components, loras, out } = recipe;
  const settings = parametersJson(parameters);
  return {
    ...(method !== 'linear' && { method }),
    ingredients: ingredients.map(ingredientJson),
    ...(base !== undefined && { base }),
    ...(Object.keys(settings).length > 0 && { parameters: settings }),
    ...(!normalize && { normalize }),
    ...(dtype && { dtype }),
    ...(components && Object.keys(components).length > 0 && { components: { ...components } }),
    ...(loras && loras.length > 0 && { loras: loras.map(loraJson) }),
    ...(out !== undefined && { out }),
  };
}

function ingredientJson({ model, weight, blocks, root, loras }: RecipeIngredient): unknown {
  const more = {
    ...(blocks !== undefined && { blocks: blocksJson(blocks) }),
    ...(root !== undefined && { root }),
    ...(loras && loras.length > 0 && { loras: loras.map(loraJson) }),
  };
  const isPlain = isOne(weight) && Object.keys(more).length === 0;
  return isPlain ? model : { model, ...(!isOne(weight) && { weight: numberJson(weight) }), ...more };
}

const isOne = ({ n, d }: Fraction): boolean => n === ONE.n && d === ONE.d;

function numberJson(value: Fraction): number | string {
  const text = formatWeight(value);
  return text.includes('/') ? text : Number(text);
}

/** A table of block weights in the same way. */
export const blocksJson = (blocks: BlockTable): unknown =>
  typeof blocks === 'string'
    ? blocks
    : Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, numberJson(factor)]));

const loraJson = ({ file, strength }: LoraReference): unknown =>
  isOne(strength) ? file : { file, strength: numberJson(strength) };

function parametersJson(parameters: MethodParameters): Record<string, unknown> {
  const known = Object.entries(parameters).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known.map(([name, value]) => [name, parameterJson(value)]));
}

function parameterJson(value: Fraction | number | bigint | boolean | string): unknown {
  if (typeof value === 'object') return numberJson(value);
  if (typeof value !== 'bigint') return value;
  return value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : String(value);
}
