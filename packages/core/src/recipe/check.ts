/** What a recipe means, beyond its form: whether its parts fit together. Models are not looked at. */
import { printable } from '../checkpoint/printable.js';
import { UsageError } from '../errors.js';
import { type Method, type MethodParameters, methodParameters, needsBase } from '../methods/index.js';
import { blockPresets } from '../soup/block-presets.js';
import { add, type Fraction, isZero, parseFraction, ZERO } from '../soup/fraction.js';
import { mixOf } from '../soup/mix.js';
import { nearest } from './nearest.js';
import type { Path } from './problems.js';
import type { Recipe, RecipeIngredient } from './recipe.js';

/** From a path in a Recipe to the path in the file that it was read from. */
export type Where = (path: Path) => Path;

export type Report = (path: Path, message: string) => void;

/** Least and most ingredients of methods that do not take any number. */
const COUNTS: Readonly<Partial<Record<Method, readonly [least: number, most: number]>>> = {
  slerp: [2, 2],
  model_stock: [2, Number.POSITIVE_INFINITY],
};

export function checkRecipe(recipe: Recipe, { file }: { readonly file: string }, report: Report): void {
  const { method, ingredients, base, parameters, components, loras, normalize } = recipe;
  checkParameters(method, parameters, report);
  if (needsBase(method, parameters) && base === undefined) {
    const why = parameters.strength !== undefined || parameters.deltas ? ' with these parameters' : '';
    report(['method'], `${method}${why} needs base: the model that the ingredients were fine-tuned from`);
  }
  const [least, most] = COUNTS[method] ?? [1, Number.POSITIVE_INFINITY];
  if (ingredients.length < least || ingredients.length > most) {
    const wanted = least === most ? `${least}` : `at least ${least}`;
    report(['ingredients'], `${method} takes ${wanted} ingredients; found ${ingredients.length}`);
  }
  if (!normalize && method !== 'linear') report(['normalize'], `normalize is of the method linear, not of ${method}`);
  checkWeights(recipe, report);
  ingredients.forEach((one, i) => {
    checkModel(one.model, file, ['ingredients', i, 'model'], report);
    checkBlocks(one, method, ['ingredients', i, 'blocks'], report);
  });
  if (base !== undefined) checkModel(base, file, ['base'], report);
  for (const [part, from] of Object.entries(components ?? {})) checkModel(from, file, ['components', part], report);
  const baked = [
    { loras, path: ['loras'] },
    ...ingredients.map((one, i) => ({ loras: one.loras, path: ['ingredients', i, 'loras'] })),
  ];
  for (const { loras: list, path } of baked) {
    list?.forEach((lora, i) => {
      if (/\.(ckpt|pt|bin)$/i.test(lora.file))
        report([...path, i], 'a LoRA must be a .safetensors file: others may run code');
    });
  }
}

function checkParameters(method: Method, parameters: MethodParameters, report: Report): void {
  const taken = methodParameters[method];
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined || taken.includes(name as keyof MethodParameters)) continue;
    const has = taken.length > 0 ? `it has ${taken.join(', ')}` : 'it has none';
    report(['parameters', name], `${method} has no such parameter; ${has}`);
  }
  const { density, drop } = parameters;
  if (density !== undefined && isZero(exact(density)))
    report(['parameters', 'density'], 'a density of 0 keeps nothing');
  if (drop !== undefined && isOne(exact(drop))) report(['parameters', 'drop'], 'a drop rate of 1 keeps nothing');
}

const exact = (value: number | Fraction): Fraction => (typeof value === 'object' ? value : parseFraction(value));
const isOne = ({ n, d }: Fraction): boolean => n === d;

function checkWeights({ method, ingredients, normalize }: Recipe, report: Report): void {
  const weights = ingredients.map(({ weight }) => weight);
  const [first] = weights;
  if (weights.length > 0 && weights.every(isZero)) {
    report(['ingredients'], 'all weights are 0: nothing would be left');
    return;
  }
  if (method === 'model_stock' && weights.some(({ n, d }) => n !== first!.n || d !== first!.d)) {
    report(['ingredients'], 'model_stock weighs its ingredients alike; leave the weights out');
  }
  if (method === 'linear') {
    try {
      mixOf(weights, { normalize });
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      report(['ingredients'], error.message);
    }
  }
  if ((method === 'slerp' || method === 'geometric_median') && isZero(weights.reduce(add, ZERO))) {
    report(['ingredients'], 'the weights add up to 0: they say nothing of where to stop');
  }
}

function checkModel(model: string, file: string, path: Path, report: Report): void {
  const shown = printable(model, 80);
  const plain = (text: string) => text.replace(/^(\.[/\\])+/, '');
  if (model.trim() === '') report(path, 'a model has an empty name');
  else if (plain(model) === plain(file) || plain(model) === file.split(/[/\\]/).at(-1)) {
    report(path, `"${shown}" is this recipe itself`);
  } else if (/\.ya?ml$/i.test(model)) report(path, `"${shown}" is a recipe; expected a model. Make that soup first`);
  else if (/^\w{2,}:\/\//.test(model)) report(path, `"${shown}" is a URL; download the model first, then name it`);
  else if (/\.(ckpt|pt|pth|bin)$/i.test(model)) {
    report(path, `"${shown}" may run code when it is loaded; convert it to .safetensors first`);
  }
}

function checkBlocks({ blocks }: RecipeIngredient, method: Method, path: Path, report: Report): void {
  if (blocks === undefined) return;
  if (method !== 'linear') report(path, `block weights are of the method linear, not of ${method}`);
  if (typeof blocks !== 'string' || blockPresets.has(blocks.trim())) return;
  const presets = [...blockPresets.keys()];
  if (!blocks.includes(',')) {
    const near = nearest(blocks, presets);
    const hint = near ? `did you mean "${near}"?` : `expected one of ${presets.join(', ')}, or numbers with commas`;
    report(path, `"${printable(blocks, 60)}" is no preset of block weights; ${hint}`);
    return;
  }
  try {
    blocks.split(',').map((number) => parseFraction(number.trim()));
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    report(path, error.message);
  }
}
