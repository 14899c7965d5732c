/** A recipe whose models are open: what soups are cooked from, on the command line and in the browser. */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import type { ResultType } from '../soup/blend.js';
import type { BlockTable } from '../soup/block-weights.js';
import type { Fraction } from '../soup/fraction.js';

export interface ModelIngredient {
  readonly folder: ModelFolder;
  /** Its weight in the soup; what weights mean together is the method's to say. */
  readonly weight: number | string | Fraction;
  /** Factors by block of the UNet. */
  readonly blocks?: BlockTable;
}

export interface RecipeSettings {
  /** Whether weights are scaled to add up to 1; they are by default. */
  readonly normalize?: boolean;
  /** base + strength * (soup - base): 1 is the soup, less stays nearer to the base. */
  readonly strength?: number | string | Fraction;
  /** The model that the fine-tunes started from: of methods that need one, and of parts that no ingredient has. */
  readonly base?: ModelFolder;
  /** What becomes of a part: averaged, which is the default, or taken from one model. */
  readonly parts?: Readonly<Partial<Record<WeightedComponent, 'average' | ModelFolder>>>;
  /** What numbers are stored as; by default what the ingredients are. */
  readonly dtype?: ResultType;
  readonly allowNonFinite?: boolean;
}

export interface OpenRecipe extends RecipeSettings {
  readonly ingredients: readonly ModelIngredient[];
}
