/** What is written into the files of a soup about itself. */
import type { ModelFolder } from '../checkpoint/model-folder.js';
import { closeWeights, type Weights } from '../checkpoint/weights.js';
import type { Plan } from '../ledger/change.js';
import type { LedgerIngredient } from '../ledger/schema.js';
import { architectureFacts } from './architecture.js';
import { checkpointMetadata, mergeKey, type Parent, type Parents, parentOf, parentsIn } from './checkpoint.js';

export interface SoupModels {
  /** The models that the soup gets its configs from, in that order. */
  readonly models: readonly ModelFolder[];
  readonly parents: Parents;
  readonly singleFile?: boolean;
}

export async function soupMetadata(
  plan: Plan,
  { models, parents, singleFile }: SoupModels,
): Promise<Record<string, string>> {
  const architecture = await architectureFacts(...models);
  const layout = singleFile ? 'single file' : 'diffusers';
  return checkpointMetadata(plan, { layout, parents, ...(architecture && { architecture }) });
}

/** What ingredients say of how they were merged themselves; `folders` are in the order of the ingredients. */
export async function parentsOf(
  ingredients: readonly LedgerIngredient[],
  folders: readonly ModelFolder[],
): Promise<Map<string, Parent>> {
  const parents = new Map<string, Parent>();
  for (const [i, folder] of folders.entries()) {
    const parent = parentOf(await metadataOf(folder));
    if (parent) parents.set(mergeKey(ingredients[i]!), parent);
  }
  return parents;
}

/** What a soup says of its ingredients' making. */
export const parentsOfSoup = async (soup: ModelFolder): Promise<Parents> => parentsIn(await metadataOf(soup));

/** Of the first part that says how it was merged. */
async function metadataOf(folder: ModelFolder): Promise<Weights['metadata']> {
  for (const part of ['unet', 'text_encoder', 'vae'] as const) {
    const weights = folder.components.has(part) ? await folder.weights(part) : undefined;
    if (!weights) continue;
    await closeWeights(weights);
    if (weights.metadata.sd_merge_recipe !== undefined) return weights.metadata;
  }
  return {};
}
