/** A recipe whose models are open: what soups are cooked from, on the command line and in the browser. */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import type { LoadedLora } from '../lora/index.js';
import type { Method, MethodParameters } from '../methods/index.js';
import type { ResultType } from '../soup/blend.js';
import type { BlockTable } from '../soup/block-weights.js';
import type { Fraction } from '../soup/fraction.js';

export interface ModelIngredient {
  readonly folder: ModelFolder;
  /** Its weight in the soup; what weights mean together is the method's to say. */
  readonly weight: number | string | Fraction;
  /** Factors by block of the UNet; of the method `linear` only. */
  readonly blocks?: BlockTable;
  /** Baked into it before anything else. */
  readonly loras?: readonly LoadedLora[];
}

export interface RecipeSettings {
  /** By default `linear`. */
  readonly method?: Method;
  readonly parameters?: MethodParameters;
  /** Whether `linear` weights are scaled to add up to 1; they are by default. */
  readonly normalize?: boolean;
  /** The model that the fine-tunes started from: of methods that need one, and of parts that no ingredient has. */
  readonly base?: ModelFolder;
  /** What becomes of a part: averaged, which is the default, or taken from one model. */
  readonly parts?: Readonly<Partial<Record<WeightedComponent, 'average' | ModelFolder>>>;
  /** What numbers are stored as; by default what the ingredients are. */
  readonly dtype?: ResultType;
  readonly allowNonFinite?: boolean;
  /** Baked into the result. */
  readonly loras?: readonly LoadedLora[];
}

export interface OpenRecipe extends RecipeSettings {
  readonly ingredients: readonly ModelIngredient[];
}
