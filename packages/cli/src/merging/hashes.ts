/** The content hashes of all models of a recipe, in one go: files side by side, each read once, known ones not at all. */
import { relative, sep } from 'node:path';
import {
  CheckpointError,
  type ContentHash,
  closeWeights,
  type ModelFolder,
  modelRoot,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import { openHashCache } from '../hash/cache.js';
import { type ComponentHash, type HashOptions, hashComponents, sha256 } from '../hash/weights.js';
import type { Output } from '../output.js';
import { byteProgress } from '../progress.js';
import { printable } from '../text.js';

export interface NamedModel {
  readonly name: string;
  readonly path: string;
  readonly folder: ModelFolder;
}

export interface HashedModel {
  readonly root: string;
  readonly components: ReadonlyMap<WeightedComponent, ComponentHash>;
}

export interface ModelHashes {
  of(folder: ModelFolder): HashedModel;
  /** For cooking: what is equal need not be averaged. */
  hashOf(folder: ModelFolder, part: WeightedComponent): ContentHash | undefined;
}

const WEIGHTED: readonly WeightedComponent[] = ['unet', 'vae', 'text_encoder'];

export async function hashModels(
  models: readonly NamedModel[],
  output: Output,
  options: Pick<HashOptions, 'fresh'> = {},
): Promise<ModelHashes> {
  const parts = new Map<string, Weights>();
  const line = byteProgress();
  try {
    for (const [i, { folder }] of models.entries()) {
      for (const part of WEIGHTED) {
        const weights = folder.components.has(part) ? await folder.weights(part) : undefined;
        if (weights) parts.set(`${i} ${part}`, weights);
      }
    }
    const hashes = await hashComponents(parts, '/', {
      ...options,
      cache: openHashCache(output.io.env),
      signal: output.io.signal,
      onProgress: (done, total) => output.status(`hashing the ingredients: ${line(done, total)}`),
    });
    const known = new Map(models.map(({ folder, path }, i) => [folder, hashedModel(i, path, hashes)]));
    return {
      of: (folder) => known.get(folder)!,
      hashOf: (folder, part) => known.get(folder)?.components.get(part),
    };
  } finally {
    output.endStatus();
    for (const weights of parts.values()) await closeWeights(weights);
  }
}

/** Refuses a model that is not the one that the recipe was written for. */
export function checkRoots(
  ingredients: readonly (NamedModel & { readonly root?: string })[],
  hashes: ModelHashes,
): void {
  for (const { name, path, folder, root } of ingredients) {
    const { root: found } = hashes.of(folder);
    if (root === undefined || root === found) continue;
    throw new CheckpointError(
      `${printable(name)} at ${printable(path)} has the root ${found}, but the recipe expects ${root}: it is another model, ` +
        'or another version of it. Bring back the one that was meant, or correct the recipe.',
      { file: path, expected: root, found },
    );
  }
}

function hashedModel(index: number, path: string, hashes: ReadonlyMap<string, ComponentHash>): HashedModel {
  const components = new Map<WeightedComponent, ComponentHash>();
  for (const part of WEIGHTED) {
    const hash = hashes.get(`${index} ${part}`);
    if (!hash) continue;
    const files = hash.files.map((file) => ({ ...file, path: insideOf(path, `/${file.path}`) }));
    components.set(part, { ...hash, files });
  }
  return { root: modelRoot(Object.fromEntries(components), sha256), components };
}

/** Below the model's folder; of a single file its name. */
const insideOf = (model: string, file: string): string =>
  (file === model ? file.slice(file.lastIndexOf(sep) + 1) : relative(model, file)).split(sep).join('/');
