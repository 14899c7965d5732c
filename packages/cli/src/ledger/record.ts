/** What a ledger says of a soup, from the recipe that it was cooked by. */
import { isAbsolute, relative, resolve, sep } from 'node:path';
import {
  byShare,
  type Fraction,
  formatFraction,
  type LedgerComponents,
  type LedgerIngredient,
  type LedgerModel,
  type LoadedLora,
  type ModelFolder,
  type OpenRecipe,
  type Plan,
  parseFraction,
} from '@diffusion-soup/core';
import { ledgerComponents, type ModelHash } from '../hash/model.js';
import { version } from '../version.js';
import { toScalars } from './settings.js';

/** A model of a recipe, as it was named and as it is. */
export interface RecordedModel {
  readonly name: string;
  /** A path as it was written, or a name of the pantry. */
  readonly from: string;
  readonly hash: ModelHash;
}

/** A LoRA of a recipe. */
export interface RecordedLora {
  readonly name: string;
  readonly from: string;
  readonly sha256: string;
}

export interface RecordOptions {
  readonly models: ReadonlyMap<ModelFolder, RecordedModel>;
  readonly loras?: ReadonlyMap<LoadedLora['lora'], RecordedLora>;
  readonly arithmetic: Plan['arithmetic'];
  /** Where the ledger will lie: absolute paths are noted as seen from there. */
  readonly folder: string;
}

export function recordPlan(recipe: OpenRecipe, options: RecordOptions): Plan {
  const { models, arithmetic, folder } = options;
  const names = distinctNames([...models.values()]);
  const modelOf = (of: ModelFolder): LedgerModel => {
    const recorded = models.get(of)!;
    const { from, hash } = recorded;
    return {
      name: names.get(recorded)!,
      from: portable(from, folder),
      root: hash.root,
      components: ledgerComponents(hash.components) as LedgerComponents,
    };
  };
  const ingredients = recipe.ingredients.map(({ folder: of, weight, blocks, loras }): LedgerIngredient => {
    const listed = lorasOf(loras, options);
    return {
      ...modelOf(of),
      weight: fractionText(weight),
      ...(blocks !== undefined && { blocks: typeof blocks === 'string' ? blocks : texts(blocks) }),
      ...(listed && { loras: listed }),
    };
  });
  const parts: Record<string, 'average' | { from: string }> = {};
  const sources = new Map<string, LedgerModel>();
  const own = new Set([...recipe.ingredients.map(({ folder: of }) => of), recipe.base]);
  for (const [part, from] of Object.entries(recipe.parts ?? {})) {
    if (from === undefined) continue;
    const model = from === 'average' ? undefined : modelOf(from);
    parts[part] = model ? { from: model.name } : 'average';
    if (model && !own.has(from as ModelFolder)) sources.set(model.root, model);
  }
  const { base, dtype, allowNonFinite, method = 'linear', parameters = {}, normalize = true } = recipe;
  const baked = lorasOf(recipe.loras, options);
  return {
    tool: version,
    method,
    parameters: toScalars(parameters),
    normalize,
    arithmetic,
    ...(dtype && { dtype }),
    ...(allowNonFinite && { allowNonFinite: true as const }),
    ...(base && { base: modelOf(base) }),
    ingredients: ingredients.sort(byShare),
    ...(sources.size > 0 && { sources: [...sources.values()] }),
    ...(Object.keys(parts).length > 0 && { parts }),
    ...(baked && { loras: baked }),
  };
}

const fractionText = (weight: number | string | Fraction): string =>
  formatFraction(typeof weight === 'object' ? weight : parseFraction(weight));

const texts = (blocks: Readonly<Record<string, Fraction>>) =>
  Object.fromEntries(Object.entries(blocks).map(([block, factor]) => [block, formatFraction(factor)]));

const lorasOf = (loras: readonly LoadedLora[] | undefined, { loras: known }: RecordOptions) =>
  loras && loras.length > 0
    ? loras.map(({ lora, strength }) => ({ ...known!.get(lora)!, strength: fractionText(strength) }))
    : undefined;

/** Names of folders may be equal; those that are get the beginning of their root, whatever the order. */
function distinctNames(models: readonly RecordedModel[]): Map<RecordedModel, string> {
  const count = new Map<string, Set<string>>();
  for (const { name, hash } of models) count.set(name, (count.get(name) ?? new Set()).add(hash.root));
  return new Map(
    models.map((model) => {
      const { name, hash } = model;
      return [model, count.get(name)!.size > 1 ? `${name}@${hash.root.slice(0, 8)}` : name];
    }),
  );
}

/** An absolute path is somebody's disk: it is noted as the way from the ledger. */
function portable(from: string, folder: string): string {
  if (!isAbsolute(from)) return from;
  const way = relative(resolve(folder), from);
  return isAbsolute(way) || way === '' ? from : way.split(sep).join('/');
}
