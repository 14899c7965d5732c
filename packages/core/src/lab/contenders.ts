/** The UNets that a soup is compared with, one at a time within the memory budget: base, each ingredient, ensemble, paragon. */
import type { ModelFolder } from '../checkpoint/model-folder.js';
import type { OpenRecipe } from '../cook/open-recipe.js';
import { type CookOptions, cookPart } from '../cook/part.js';
import { IncompatibleError, UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import type { UNet } from '../model/components.js';
import { type ShelfOptions, shelvedUNet } from '../model/unet-shelf.js';
import { openNetworks } from './networks.js';

export interface Contender {
  readonly kind: 'base' | 'ingredient' | 'soup' | 'ensemble' | 'paragon';
  /** An ingredient's and a paragon's own; else its kind. */
  readonly name: string;
  readonly unet: UNet;
}

export interface Contenders {
  readonly all: readonly Contender[];
  close(): Promise<void>;
}

export interface ContenderOptions extends CookOptions, ShelfOptions {
  /** What each ingredient is called, in the order of the recipe. */
  readonly names: readonly string[];
  /** One model trained on all the data that the ingredients share among them (the paper's word for it). */
  readonly paragon?: ModelFolder;
}

/** The recipe's ingredients alone, its soup and what it stands for. They have the soup's text encoder and VAE. */
export async function openContenders(
  gpu: Gpu,
  recipe: OpenRecipe,
  { names, paragon, ...options }: ContenderOptions,
): Promise<Contenders> {
  const networks = await openNetworks(gpu, recipe, options);
  const parts: { close(): Promise<void> }[] = [];
  const close = async () => {
    await networks.close();
    for (const part of parts) await part.close();
  };
  const alone = async (folder: ModelFolder): Promise<UNet> => {
    const part = await cookPart(gpu, { ingredients: [{ folder, weight: 1 }] }, 'unet', options);
    if (!part) throw new UsageError(`${folder.name} has no UNet`, { file: folder.name });
    parts.push(part);
    const own = part.blend.ingredients[0]!.tensors;
    const config = JSON.stringify(await folder.unetConfig());
    if (config !== JSON.stringify(networks.shelf.config)) {
      throw new IncompatibleError(
        `${folder.name} has a UNet of another architecture than the soup (${own.size} tensors)`,
      );
    }
    return shelvedUNet(networks.shelf, part.blend);
  };
  try {
    const all: Contender[] = [{ kind: 'base', name: 'base', unet: networks.base }];
    for (const [i, { folder }] of recipe.ingredients.entries()) {
      all.push({ kind: 'ingredient', name: names[i]!, unet: await alone(folder) });
    }
    all.push({ kind: 'soup', name: 'soup', unet: networks.soup });
    all.push({ kind: 'ensemble', name: 'ensemble', unet: networks.ensemble });
    if (paragon) all.push({ kind: 'paragon', name: 'paragon', unet: await alone(paragon) });
    return { all, close };
  } catch (error) {
    await close();
    throw error;
  }
}
