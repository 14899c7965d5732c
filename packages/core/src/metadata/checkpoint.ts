/**
 * What is written into the files of a soup: `diffusion_soup`, our own; `sd_merge_recipe` and `sd_merge_models` in the form
 * of A1111 (AUTOMATIC1111/stable-diffusion-webui pull request 9312), with the recipes of ingredients that are merges
 * themselves; ModelSpec 1.0.1 (https://github.com/Stability-AI/ModelSpec). All values are texts, as readers want them.
 * There are no dates, no paths and no order of writing: the same soup is the same bytes.
 *
 * ModelSpec's hash_sha256 is left out: it would have to be known before the first byte is written. The hashes of the
 * ingredients are there, and the ledger has those of the result.
 */
import type { Weights } from '../checkpoint/weights.js';
import { byCodePoint } from '../ledger/canonical.js';
import type { Plan } from '../ledger/change.js';
import type { LedgerModel } from '../ledger/schema.js';
import type { ArchitectureFacts } from './architecture.js';
import { readObject } from './json.js';

type Json = Readonly<Record<string, unknown>>;

/** How an ingredient was merged itself. */
export interface Parent {
  readonly recipe?: Json;
  /** The models that it was merged of, by hash, in A1111's form. */
  readonly models: Readonly<Record<string, Json>>;
}

/** By `mergeKey` of the ingredient. */
export type Parents = ReadonlyMap<string, Parent>;

export interface CheckpointFacts {
  readonly layout: 'diffusers' | 'single file';
  readonly architecture?: ArchitectureFacts;
  readonly parents?: Parents;
}

/** Characters of JSON: of what one ingredient says of its own making, and of all together. */
const MOST_OF_PARENT = 2 ** 16;
const MOST_OF_ALL = 2 ** 19;
const LONGEST_TITLE = 200;

/** SHA-256 of its only file, by which A1111 knows models; the content hash of a model of several files. */
export function mergeKey({ components, root }: Pick<LedgerModel, 'components' | 'root'>): string {
  const files = new Set(Object.values(components).flatMap(({ files }) => files.map(({ sha256 }) => sha256)));
  const [only] = files;
  return files.size === 1 && only !== undefined ? only : root;
}

export function checkpointMetadata(
  plan: Plan,
  { layout, architecture, parents }: CheckpointFacts,
): Record<string, string> {
  const ingredients = [...plan.ingredients].sort((a, b) => byCodePoint(a.name, b.name) || byCodePoint(a.root, b.root));
  const { method, parameters, normalize, tool, base } = plan;
  const recipe = {
    type: 'diffusion-soup',
    version: tool,
    method,
    ...(Object.keys(parameters).length > 0 && { parameters }),
    normalize,
    models: ingredients.map((one) => ({ hash: mergeKey(one), name: one.name, weight: one.weight })),
    ...(base && { base_model_hash: mergeKey(base) }),
  };
  const models = [...ingredients, ...(base ? [base] : [])];
  const all = JSON.stringify(mergeModels(models, parents));
  return {
    format: 'pt',
    diffusion_soup: JSON.stringify(soupJson({ ...plan, ingredients })),
    sd_merge_recipe: JSON.stringify(recipe),
    sd_merge_models: all.length <= MOST_OF_ALL ? all : JSON.stringify(mergeModels(models, new Map())),
    ...modelSpec(ingredients, layout, architecture),
  };
}

/** Paths are nobody's business; hashes say which files were meant. */
function soupJson({ ingredients, base, sources, loras, ...rest }: Plan): Json {
  const named = <Named extends { readonly from: string }>({ from, ...model }: Named) => model;
  return {
    type: 'diffusion-soup',
    ...rest,
    ingredients: ingredients.map((one) => ({ ...named(one), ...(one.loras && { loras: one.loras.map(named) }) })),
    ...(base && { base: named(base) }),
    ...(sources && { sources: [...sources].sort((a, b) => byCodePoint(a.name, b.name)).map(named) }),
    ...(loras && { loras: loras.map(named) }),
  };
}

function mergeModels(models: readonly LedgerModel[], parents: Parents | undefined): Json {
  const entries = new Map<string, Json>();
  for (const model of models) {
    const { recipe } = parents?.get(mergeKey(model)) ?? {};
    entries.set(mergeKey(model), { name: model.name, legacy_hash: null, sd_merge_recipe: recipe ?? null });
  }
  for (const key of new Set(models.map(mergeKey))) {
    for (const [hash, nested] of Object.entries(parents?.get(key)?.models ?? {})) {
      const known = entries.get(hash) ?? nested;
      // `of` tells whose they are, so that they go when that ingredient goes.
      entries.set(hash, { ...known, of: [...((known.of as string[] | undefined) ?? []), key].sort(byCodePoint) });
    }
  }
  return Object.fromEntries([...entries].sort(([a], [b]) => byCodePoint(a, b)));
}

function modelSpec(ingredients: Plan['ingredients'], layout: CheckpointFacts['layout'], facts?: ArchitectureFacts) {
  const names = ingredients.map(({ name }) => name.replaceAll(',', ' '));
  const title = names.join(' + ');
  return {
    'modelspec.sai_model_spec': '1.0.1',
    'modelspec.architecture': facts?.architecture ?? 'unknown',
    'modelspec.implementation': layout === 'diffusers' ? 'diffusers' : 'sgm',
    'modelspec.title': title.length <= LONGEST_TITLE ? title : `${title.slice(0, LONGEST_TITLE)}...`,
    ...(facts && { 'modelspec.resolution': facts.resolution }),
    'modelspec.merged_from': names.join(', '),
    ...(facts?.predictionType && { 'modelspec.prediction_type': facts.predictionType }),
  };
}

/** What an ingredient's own metadata says of how it was merged; undefined when it says nothing. */
export function parentOf(metadata: Weights['metadata']): Parent | undefined {
  const recipe = readObject(metadata.sd_merge_recipe);
  const models: Record<string, Json> = {};
  let size = recipe ? JSON.stringify(recipe).length : 0;
  const kept = recipe && size <= MOST_OF_PARENT ? recipe : undefined;
  if (!kept) size = 0;
  const entries = Object.entries(readObject(metadata.sd_merge_models) ?? {}).sort(([a], [b]) => byCodePoint(a, b));
  for (const [hash, entry] of entries) {
    const model = mergedEntry(hash, entry);
    size += model ? JSON.stringify(model).length : 0;
    if (size > MOST_OF_PARENT) break;
    if (model) models[hash] = model;
  }
  return kept || Object.keys(models).length > 0 ? { ...(kept && { recipe: kept }), models } : undefined;
}

/** An entry in A1111's form, and nothing besides. */
function mergedEntry(hash: string, entry: unknown): Json | undefined {
  if (!/^[0-9a-f]{64}$/.test(hash) || typeof entry !== 'object' || entry === null) return undefined;
  const { name, legacy_hash, sd_merge_recipe } = entry as Json;
  const recipe = typeof sd_merge_recipe === 'string' ? readObject(sd_merge_recipe) : sd_merge_recipe;
  return {
    name: typeof name === 'string' ? name : '',
    legacy_hash: typeof legacy_hash === 'string' ? legacy_hash : null,
    sd_merge_recipe: typeof recipe === 'object' && recipe !== null && !Array.isArray(recipe) ? recipe : null,
  };
}

/** The parents of a soup's ingredients, from the soup's own metadata: for a change of it that reads no other model. */
export function parentsIn(metadata: Weights['metadata']): Parents {
  const entries = Object.entries(readObject(metadata.sd_merge_models) ?? {}) as [string, Json][];
  const parents = new Map<string, Parent>();
  for (const [key, { sd_merge_recipe: recipe }] of entries) {
    const nested = entries.filter(([, { of }]) => Array.isArray(of) && of.includes(key));
    const models = nested.flatMap(([hash, entry]) => {
      const model = mergedEntry(hash, entry);
      return model ? [[hash, model] as const] : [];
    });
    const isObject = typeof recipe === 'object' && recipe !== null;
    if (!isObject && models.length === 0) continue;
    parents.set(key, { ...(isObject && { recipe: recipe as Json }), models: Object.fromEntries(models) });
  }
  return parents;
}
