/** What a soup is to be made of, as somebody wrote it: models are named and not yet looked for. */
import type { WeightedComponent } from '../checkpoint/model-folder.js';
import type { Method, MethodParameters } from '../methods/index.js';
import type { ResultType } from '../soup/blend.js';
import type { BlockTable } from '../soup/block-weights.js';
import type { Fraction } from '../soup/fraction.js';

/** As it was written: a path, a name of the pantry, or a Hugging Face id ("org/name", "org/name@revision"). */
export type ModelReference = string;

/** A LoRA and how much of it is added. */
export interface LoraReference {
  readonly file: string;
  readonly strength: Fraction;
}

export interface RecipeIngredient {
  readonly model: ModelReference;
  readonly weight: Fraction;
  /** Factors by block of the UNet, on top of the weight. */
  readonly blocks?: BlockTable;
  /** The content hash that the model must have, in hexadecimal digits. */
  readonly root?: string;
  /** Baked into the ingredient before anything else. */
  readonly loras?: readonly LoraReference[];
}

export interface Recipe {
  readonly method: Method;
  readonly ingredients: readonly RecipeIngredient[];
  /** What the ingredients were fine-tuned from. */
  readonly base?: ModelReference;
  readonly parameters: MethodParameters;
  /** Whether the weights are scaled to add up to 1; of the method `linear`. */
  readonly normalize: boolean;
  readonly dtype?: ResultType;
  /** What becomes of each part: averaged, which is the default, or taken from one model. */
  readonly components?: Readonly<Partial<Record<WeightedComponent, 'average' | ModelReference>>>;
  /** Baked into the result. */
  readonly loras?: readonly LoraReference[];
  readonly out?: string;
}

export interface HuggingFaceId {
  /** "org/name" */
  readonly repository: string;
  /** A branch, a tag or a commit. */
  readonly revision?: string;
}

const NAME = '[A-Za-z0-9][A-Za-z0-9._-]{0,95}';
const HUGGING_FACE_ID = new RegExp(`^(${NAME}/${NAME})(?:@([A-Za-z0-9][A-Za-z0-9._/-]{0,127}))?$`);

/** A reference that can be a Hugging Face id; whether it is a path as well is for the caller to find out. */
export function parseHuggingFaceId(reference: ModelReference): HuggingFaceId | undefined {
  const [, repository, revision] = HUGGING_FACE_ID.exec(reference) ?? [];
  if (repository === undefined || /\.\.|\.safetensors$/i.test(reference)) return undefined;
  return { repository, ...(revision !== undefined && { revision }) };
}
