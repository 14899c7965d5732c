/** A blend as one safetensors file: byte for byte what `soup merge ... --out FILE.safetensors` writes of the same models. */
import {
  formatFraction,
  type Gpu,
  type LedgerModel,
  layOutFile,
  type ModelFolder,
  mergeSafetensors,
  type Plan,
  parentsOf,
  parseFraction,
  planSingleFile,
  refuseTwins,
  soupMetadata,
  version,
  withOwnNames,
} from '@diffusion-soup/core';
import { createSHA256 } from 'hash-wasm';
import type { MergeOptions } from '../engine/files.js';
import type { Blend } from '../messages.js';
import { type Hashes, type ModelHash, merkleSha256 } from './hashes.js';
import type { Library } from './library.js';
import { openBlend, tableOf, usedPortions } from './recipe.js';
import { openTarget } from './target.js';

export interface Merged {
  readonly bytes: number;
  /** SHA-256 of the file. */
  readonly hash: string;
  readonly file?: File;
}

export async function mergeBlend(
  gpu: Gpu,
  library: Library,
  hashes: Hashes,
  blend: Blend,
  { target, signal, onProgress }: MergeOptions,
): Promise<Merged> {
  const recipe = await openBlend(library, blend);
  const folders = recipe.ingredients.map(({ folder }) => folder);
  const models = [...folders, ...(recipe.base ? [recipe.base] : [])];
  // Hashing reads everything once; so does merging, what has been read from the cache.
  const found = await hashes.of(models, { signal, onProgress: (done, total) => onProgress(done / 2, total) });
  const hashOf = (folder: ModelFolder) => found[models.indexOf(folder)]!;
  const plan = await planSingleFile(gpu, recipe, { signal, hashOf: (folder, part) => hashOf(folder).parts.get(part) });
  try {
    const madeOf = await planOf(blend, folders.map(hashOf), recipe.base && hashOf(recipe.base), plan.arithmetic);
    const parents = await parentsOf(madeOf.ingredients, folders);
    const metadata = await soupMetadata(madeOf, { models, parents, singleFile: true });
    const [file] = plan.files;
    if (file?.kind !== 'averaged') throw new TypeError('a single file is averaged');
    const merged = layOutFile(file.tensors, { metadata: { ...metadata, ...file.metadata } });
    const hash = await createSHA256();
    hash.init();
    const writer = await openTarget(target);
    try {
      const report = (done: number, total: number) => onProgress((total + done) / 2, total);
      for await (const piece of mergeSafetensors(gpu, merged, { signal, onProgress: report })) {
        hash.update(piece);
        await writer.write(piece);
      }
      return { bytes: merged.size, hash: hash.digest('hex'), ...(await writer.commit()) };
    } catch (error) {
      await writer.abort();
      throw error;
    }
  } finally {
    await plan.close();
  }
}

async function planOf(
  blend: Blend,
  ingredients: readonly ModelHash[],
  base: ModelHash | undefined,
  arithmetic: Plan['arithmetic'],
): Promise<Plan> {
  const model = (name: string, { root, components }: ModelHash): LedgerModel => ({
    name: name.replace(/\.safetensors$/i, ''),
    from: name,
    root,
    components,
  });
  const plan: Plan = {
    tool: version,
    method: 'linear',
    parameters: {},
    normalize: true,
    arithmetic,
    ...(base && { base: model(blend.base!, base) }),
    ingredients: usedPortions(blend).map(({ name, weight, blocks }, i) => ({
      ...model(name, ingredients[i]!),
      weight: formatFraction(parseFraction(weight)),
      ...(blocks && { blocks: written(tableOf(blocks)) }),
    })),
  };
  refuseTwins(plan.ingredients);
  return withOwnNames(plan, await merkleSha256());
}

const written = (table: ReturnType<typeof tableOf>) =>
  Object.fromEntries(Object.entries(table).map(([block, factor]) => [block, formatFraction(factor)]));
