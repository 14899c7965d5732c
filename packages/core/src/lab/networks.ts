/** The UNets that a soup is compared with: its ingredients, their base, and soups of one block alone. */
import type { UNetConfig } from '../checkpoint/configs.js';
import type { OpenRecipe } from '../cook/open-recipe.js';
import { type CookedPart, type CookOptions, cookPart } from '../cook/part.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import type { UNet } from '../model/components.js';
import { ensembleUNet, type Member, membersOf } from '../model/ensemble.js';
import { createShelf, type ShelfOptions, shelvedUNet, type UNetShelf } from '../model/unet-shelf.js';
import type { Blend } from '../soup/blend.js';
import { blockNames, blockOf } from '../soup/block-weights.js';

export interface Networks {
  readonly shelf: UNetShelf;
  readonly members: readonly Member[];
  readonly soup: UNet;
  /** What the ingredients were fine-tuned from. */
  readonly base: UNet;
  readonly ensemble: UNet;
  /** Blocks of the UNet that have weights, by the names of block weights: BASE, IN00, ..., M00, OUT00, ... */
  readonly blocks: readonly string[];
  /** The ensemble of the ingredients, each with the soup's weights in one block. */
  hybrid(block: string): UNet;
  close(): Promise<void>;
}

/** Opens what `recipe` names, whose method must be one mean of all tensors, and which must have a base with a UNet. */
export async function openNetworks(
  gpu: Gpu,
  recipe: OpenRecipe,
  options: CookOptions & ShelfOptions = {},
): Promise<Networks> {
  if (!recipe.base?.components.has('unet')) {
    throw new UsageError('there is no model that the ingredients started from; name it with --base');
  }
  const parts: CookedPart[] = [];
  const cook = async (open: OpenRecipe): Promise<CookedPart> => {
    const part = await cookPart(gpu, open, 'unet', options);
    if (!part) throw new UsageError('no ingredient has a UNet');
    parts.push(part);
    return part;
  };
  let shelf: UNetShelf | undefined;
  const close = async () => {
    shelf?.destroy();
    for (const part of parts) await part.close();
  };
  try {
    const cooked = await cook(recipe);
    const base = await cook({ ingredients: [{ folder: recipe.base, weight: 1 }] });
    const config: UNetConfig = await cooked.from[0]!.unetConfig();
    const { blend } = cooked;
    const members = membersOf(blend);
    shelf = createShelf(gpu, config, blend, options);
    const onShelf = shelf;
    const keys = [...blend.ingredients[0]!.tensors.keys()];
    return {
      shelf,
      members,
      soup: shelvedUNet(shelf, blend),
      base: shelvedUNet(shelf, base.blend),
      ensemble: ensembleUNet(shelf, () => members),
      blocks: blockNames(config).filter((block) => keys.some((key) => blockOf(key, config) === block)),
      hybrid(block) {
        const hybrids = members.map(({ blend: alone, share }) => ({ share, blend: withBlock(alone, block) }));
        return ensembleUNet(onShelf, () => hybrids);
      },
      close,
    };

    /** A member with one block of the soup: the soup's blend, in which the other blocks are the member's alone. */
    function withBlock(alone: Blend, block: string): Blend {
      const index = blend.ingredients.indexOf(alone.ingredients[0]!);
      const only = { p: blend.ingredients.map((_, i) => Number(i === index)), q: 1 };
      return { ...blend, mix: (key) => (blockOf(key, config) === block ? blend.mix(key) : only) };
    }
  } catch (error) {
    await close();
    throw error;
  }
}
