/** From a recipe to open models: every name looked up, every header read, before any work is done. */
import { statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  type BlockTable,
  type Fraction,
  formula,
  fractionToNumber,
  type LoadedLora,
  type Method,
  type MethodParameters,
  type ModelFolder,
  type ModelIngredient,
  type OpenRecipe,
  openModelFolder,
  openSafetensors,
  openSingleFile,
  parseFraction,
  type ResultType,
  readLora,
  UsageError,
  type WeightedComponent,
} from '@diffusion-soup/core';
import { diskFolder, fileSource } from './files.js';
import { checkRoots, hashModels } from './merging/hashes.js';
import type { Output } from './output.js';
import { locate, type Recipe, recipeOf } from './recipe.js';
import { printable } from './text.js';

export interface LoraOrder {
  readonly file: string;
  readonly strength: Fraction;
}

/** What is asked for, by the names that were written. */
export interface Order {
  readonly ingredients: readonly {
    readonly model: string;
    readonly weight: Fraction;
    readonly blocks?: BlockTable;
    /** The content hash that it must have. */
    readonly root?: string;
    readonly loras?: readonly LoraOrder[];
  }[];
  readonly base?: string;
  readonly method?: Method;
  readonly parameters?: MethodParameters;
  readonly normalize?: boolean;
  readonly dtype?: ResultType;
  readonly allowNonFinite?: boolean;
  /** Average what the UNets predict instead of their weights: to draw with, not to write. */
  readonly ensemble?: boolean;
  /** What becomes of a part: 'average', or the model that it is taken from. */
  readonly components?: Readonly<Partial<Record<WeightedComponent, string>>>;
  readonly loras?: readonly LoraOrder[];
  /** Where a recipe says that the soup goes. */
  readonly out?: string;
}

export interface NamedModel {
  readonly name: string;
  readonly path: string;
  /** As it was written. */
  readonly from: string;
  readonly folder: ModelFolder;
}

export interface OpenIngredient extends NamedModel {
  readonly weight: Fraction;
  readonly blocks?: BlockTable;
  readonly root?: string;
  readonly loras?: readonly NamedLora[];
}

export interface NamedLora extends LoadedLora {
  readonly from: string;
  readonly path: string;
}

export interface Kitchen {
  readonly order: Order;
  readonly ingredients: readonly OpenIngredient[];
  readonly base?: NamedModel;
  /** Models that lend a part and are no ingredients. */
  readonly sources: readonly NamedModel[];
  /** Which model lends which part. */
  readonly lenders: ReadonlyMap<WeightedComponent, NamedModel>;
  readonly loras: readonly NamedLora[];
  /** What core cooks from. */
  readonly open: OpenRecipe;
  /** What is written into pictures. */
  readonly recipe: Recipe;
  /** The recipe in one line. */
  readonly title: string;
  close(): Promise<void>;
}

/** Parts without which nothing can be drawn. */
const NEEDED = ['unet', 'text_encoder', 'vae', 'scheduler'] as const;

export async function openKitchen(order: Order, output: Output): Promise<Kitchen> {
  const models = modelOpener(output);
  const opened: { close?(): Promise<void> }[] = [];
  const close = async () => {
    for (const source of opened) await source.close?.();
  };
  const loras = async (list: readonly LoraOrder[] | undefined): Promise<NamedLora[]> => {
    const named: NamedLora[] = [];
    for (const one of list ?? []) named.push(await openLora(one, opened));
    return named;
  };
  try {
    const ingredients: OpenIngredient[] = [];
    for (const { model, weight, blocks, root, loras: baked } of order.ingredients) {
      const named = await models(model);
      const its = await loras(baked);
      ingredients.push({
        ...named,
        name: ownName(named.name, ingredients),
        weight,
        ...(blocks !== undefined && { blocks }),
        ...(root !== undefined && { root }),
        ...(its.length > 0 && { loras: its }),
      });
    }
    // What is drawn with is held to the recipe as what is written is.
    const pinned = ingredients.filter(({ root }) => root !== undefined);
    if (pinned.length > 0) checkRoots(pinned, await hashModels(pinned, output));
    const base = order.base === undefined ? await findBase(ingredients, models, output) : await models(order.base);
    const lenders = new Map<WeightedComponent, NamedModel>();
    for (const [part, name] of Object.entries(order.components ?? {})) {
      if (name !== 'average') lenders.set(part as WeightedComponent, await lender(part, name, models));
    }
    const sources = [...lenders.values()].filter(
      (model, i, all) =>
        model !== base && !ingredients.some(({ path }) => path === model.path) && all.indexOf(model) === i,
    );
    const results = await loras(order.loras);
    const { ingredients: _, base: __, out: ___, ensemble, ...settings } = order;
    const recipe: Recipe = { ...recipeOf(ingredients, base?.path, settings), ...(ensemble && { ensemble }) };
    const open = openRecipe(order, ingredients, base, lenders, results);
    const title = formula(recipe);
    return { order, ingredients, ...(base && { base }), sources, lenders, loras: results, open, recipe, title, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function openRecipe(
  order: Order,
  ingredients: readonly OpenIngredient[],
  base: NamedModel | undefined,
  lenders: ReadonlyMap<WeightedComponent, NamedModel>,
  loras: readonly NamedLora[],
): OpenRecipe {
  const { method, parameters, normalize, dtype, allowNonFinite } = order;
  return {
    ingredients: ingredients.map(
      ({ folder, weight, blocks, loras }): ModelIngredient => ({
        ...{ folder, weight },
        ...(blocks !== undefined && { blocks }),
        ...(loras && { loras }),
      }),
    ),
    ...(base && { base: base.folder }),
    ...(method && { method }),
    ...(parameters && { parameters }),
    ...(normalize !== undefined && { normalize }),
    ...(dtype && { dtype }),
    ...(allowNonFinite && { allowNonFinite }),
    ...(lenders.size > 0 && { parts: Object.fromEntries([...lenders].map(([part, { folder }]) => [part, folder])) }),
    ...(loras.length > 0 && { loras }),
  };
}

/** A model may be an ingredient twice, with different LoRAs. */
function ownName(name: string, others: readonly NamedModel[]): string {
  const taken = new Set(others.map((other) => other.name));
  let own = name;
  for (let i = 2; taken.has(own); i++) own = `${name}-${i}`;
  return own;
}

type OpenModel = (name: string) => Promise<NamedModel>;

/** Opens each model once, under a name of its own. */
function modelOpener(output: Output): OpenModel {
  const byPath = new Map<string, NamedModel>();
  return async (from) => {
    const path = await locate(from, output.io.env);
    const known = byPath.get(path);
    if (known) return known;
    const name = ownName(basename(path).replace(/\.safetensors$/i, ''), [...byPath.values()]);
    const model = { name, path, from, folder: await openModel(path, output) };
    byPath.set(path, model);
    return model;
  };
}

/** A diffusers folder, or a single file of Stable Diffusion 1.x or 2.x. */
export async function openModel(path: string, output?: Output): Promise<ModelFolder> {
  if (!statSync(path, { throwIfNoEntry: false })?.isFile()) return openModelFolder(diskFolder(path));
  const file = await openSingleFile(() => fileSource(path));
  for (const note of file.notes) output?.note(`${printable(basename(path))}: ${note}`);
  return file;
}

async function lender(part: string, name: string, models: OpenModel): Promise<NamedModel> {
  const model = await models(name);
  if (model.folder.components.has(part as WeightedComponent)) return model;
  throw new UsageError(`the ${part} is to be taken from ${printable(name)}, which has none`, { part, model: name });
}

async function openLora({ file, strength }: LoraOrder, opened: { close?(): Promise<void> }[]): Promise<NamedLora> {
  const source = await fileSource(file);
  opened.push(source);
  return {
    from: file,
    path: file,
    strength: fractionToNumber(strength),
    lora: await readLora(await openSafetensors(source)),
  };
}

/** Refuses what cannot read a prompt, before its weights are read. */
export function checkTokenizer({ ingredients, base, title }: Kitchen): void {
  if ([...ingredients, ...(base ? [base] : [])].some(({ folder }) => folder.components.has('tokenizer'))) return;
  throw new UsageError(
    `${printable(title)} has no tokenizer to read a prompt with, as single files have none. Name a model folder of the same ` +
      'family with --base (in a manifest or a recipe: base).',
  );
}

/** Fine-tuned shards lie beside the base that they started from. */
async function findBase(ingredients: readonly NamedModel[], models: OpenModel, { note }: Output) {
  const missing = NEEDED.filter((part) => !ingredients.some(({ folder }) => folder.components.has(part)));
  if (missing.length === 0) return undefined;
  for (const parent of new Set(ingredients.map(({ path }) => dirname(path)))) {
    const path = join(parent, 'base');
    const index = await diskFolder(path).open('model_index.json');
    if (!index) continue;
    await index.close?.();
    note(
      `${missing.join(', ')}: from ${printable(path)}, as no ingredient has ${missing.length === 1 ? 'it' : 'them'}`,
    );
    return models(path);
  }
  return undefined;
}

/** Models with weights, in the simplest recipe: their average. */
export const averageOrder = (
  named: readonly { readonly name: string; readonly weight: number | string | Fraction }[],
  base?: string,
): Order => ({
  ingredients: named.map(({ name, weight }) => ({
    model: name,
    weight: typeof weight === 'object' ? weight : parseFraction(weight),
  })),
  ...(base !== undefined && { base }),
});
