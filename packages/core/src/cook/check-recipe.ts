/** Whether a recipe's models go together: architectures, names, shapes. No weight is read. */
import type { WeightedComponent } from '../checkpoint/model-folder.js';
import type { Gpu } from '../gpu/gpu.js';
import { checkBlend } from '../soup/blend.js';
import type { OpenRecipe } from './open-recipe.js';
import { cookPart } from './part.js';

const PARTS: readonly WeightedComponent[] = ['text_encoder', 'unet', 'vae'];

/** Throws what loading or writing the recipe would throw for what its headers say. */
export async function checkRecipe(gpu: Gpu, recipe: OpenRecipe): Promise<void> {
  for (const name of PARTS) {
    const part = await cookPart(gpu, recipe, name);
    try {
      if (part) checkBlend(part.blend);
    } finally {
      await part?.close();
    }
  }
}
