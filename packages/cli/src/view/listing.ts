/** What the page is told of the models on this machine, and which files it may have for it. */
import { readdirSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, sep } from 'node:path';
import { formatRecipe, isListedFile, type ListedRole, listedRole } from '@diffusion-soup/core';
import type { Kitchen } from '../kitchen.js';
import { modelsIn, type PantryModel } from '../pantry/models.js';

/** One entry of models.json; what the page calls it. */
export interface ListedModel {
  readonly name: string;
  /** Relative to the page, as part of an address. */
  readonly path: string;
  readonly kind: 'folder' | 'file';
  readonly role: ListedRole;
  readonly bytes: number;
  readonly note?: string;
}

export interface Listing {
  readonly models: readonly ListedModel[];
  readonly recipe?: { readonly name: string; readonly text: string };
}

/** A file that may be sent. */
export interface ModelFile {
  readonly path: string;
  /** Real folders (or the real file itself) that it must lie in, whatever links lead to it. */
  readonly roots: readonly string[];
}

export interface Shelf {
  readonly listing: Listing;
  /** By the address below the page, decoded: "models/noto/unet/config.json". Nothing else is ever opened. */
  readonly files: ReadonlyMap<string, ModelFile>;
}

export const PREFIX = 'models/';

/** The pantry's models, then those of the recipe that are not among them. */
export async function openShelf(pantry: string, kitchen?: Kitchen, recipeName = 'recipe'): Promise<Shelf> {
  const models = await modelsIn(pantry);
  const nameOf = new Map(models.map(({ name, path }) => [real(path) ?? path, name]));
  if (kitchen) for (const one of kitchenModels(kitchen)) addModel(models, nameOf, one.path, one.name);

  const files = new Map<string, ModelFile>();
  const listed = models.flatMap((model) => list(model, real(pantry), files));
  const recipe = kitchen && { name: recipeName, text: recipeText(kitchen, (path) => nameOf.get(real(path) ?? path)!) };
  return { listing: { models: listed, ...(recipe && { recipe }) }, files };
}

function kitchenModels({ ingredients, base, sources }: Kitchen) {
  return [...ingredients, ...(base ? [base] : []), ...sources];
}

function addModel(models: PantryModel[], nameOf: Map<string, string>, path: string, wanted: string): void {
  const at = real(path) ?? path;
  if (nameOf.has(at)) return;
  let name = wanted;
  for (let i = 2; models.some((other) => other.name === name); i++) name = `${wanted}-${i}`;
  nameOf.set(at, name);
  models.push({ name, path, kind: statSync(path).isFile() ? 'file' : 'folder' });
}

/** A model that cannot be read is left out: it would only be an error on the page. */
function list({ name, path, kind, entry }: PantryModel, pantry: string | undefined, files: Map<string, ModelFile>) {
  const at = real(path);
  if (at === undefined) return [];
  const note = entry?.note === undefined ? {} : { note: entry.note };
  const address = `${PREFIX}${kind === 'file' ? `${name}.safetensors` : name}`;
  const model = { name, path: address.split('/').map(encodeURIComponent).join('/'), kind, ...note };
  if (kind === 'file') {
    files.set(address, { path, roots: [at] });
    return [{ ...model, role: listedRole(name), bytes: statSync(at).size }];
  }
  const roots = [...rootsOf(at), ...(pantry === undefined ? [] : [pantry])];
  const paths = listedFiles(path).filter((file) => isWithin(real(join(path, file)), roots));
  if (paths.length === 0) return [];
  for (const file of paths) files.set(`${address}/${file}`, { path: join(path, file), roots });
  const bytes = paths
    .filter((file) => file.endsWith('.safetensors'))
    .reduce((total, file) => total + statSync(join(path, file)).size, 0);
  return [{ ...model, role: listedRole(name, paths), bytes }];
}

/** Regular files alone: a pipe by the name of a config would never end. */
function listedFiles(folder: string): string[] {
  const inside = (path: string): readonly string[] => {
    try {
      return readdirSync(join(folder, path));
    } catch {
      return []; // not a folder, or not ours to read
    }
  };
  const isFile = (path: string) => statSync(join(folder, path), { throwIfNoEntry: false })?.isFile() === true;
  return inside('')
    .flatMap((name) => [name, ...inside(name).map((inner) => `${name}/${inner}`)])
    .filter((path) => isListedFile(path) && isFile(path));
}

/** Snapshots in the cache of huggingface_hub are links into the folder of blobs beside them. */
function rootsOf(model: string): string[] {
  const snapshots = dirname(model);
  const isSnapshot = snapshots.endsWith(`${sep}snapshots`) && /[/\\]models--[^/\\]+$/.test(dirname(snapshots));
  return isSnapshot ? [model, join(dirname(snapshots), 'blobs')] : [model];
}

export const isWithin = (path: string | undefined, roots: readonly string[]): boolean =>
  path !== undefined && roots.some((root) => path === root || path.startsWith(root + sep));

function real(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** The recipe with the names of the listing in place of paths. */
function recipeText({ order, ingredients, base, lenders }: Kitchen, nameOf: (path: string) => string): string {
  const { out: _, base: __, ensemble: ___, components, ...settings } = order;
  const lent = Object.entries(components ?? {}).map(([part, from]) => {
    const lender = [...lenders].find(([of]) => of === part)?.[1];
    return [part, lender ? nameOf(lender.path) : from];
  });
  return formatRecipe({
    method: 'linear',
    parameters: {},
    normalize: true,
    ...settings,
    ingredients: order.ingredients.map((one, i) => ({ ...one, model: nameOf(ingredients[i]!.path) })),
    ...(base && { base: nameOf(base.path) }),
    ...(components && { components: Object.fromEntries(lent) }),
  });
}
