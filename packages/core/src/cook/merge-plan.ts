/**
 * What merging writes, checked before anything is written: a part that several ingredients have is averaged, a part
 * that one of them has (or only the base) is copied. The same plan serves the command line and the browser.
 */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import { COMPONENTS, type Component } from '../checkpoint/model-index.js';
import type { Source } from '../checkpoint/source.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { layOutFile, type OutputTensor, outputsOf } from '../soup/merge.js';
import { samePrediction } from './architecture.js';
import type { OpenRecipe } from './open-recipe.js';
import { type CookedPart, type CookOptions, cookPart } from './part.js';
import { modelIndex, smallFiles, type TextFile, textFile } from './small-files.js';

/** One file of the result. */
export type PlannedFile =
  /** Its header is laid out when it is written, since it holds what is known only then. */
  | {
      readonly path: string;
      readonly kind: 'averaged';
      readonly tensors: readonly OutputTensor[];
      readonly parts: readonly WeightedComponent[];
      readonly bytes: number;
    }
  | { readonly path: string; readonly kind: 'copied'; readonly source: Source; readonly bytes: number }
  | TextFile;

export interface PlannedPart {
  readonly name: Component;
  readonly averaged: boolean;
  readonly from: readonly string[];
}

export interface MergePlan {
  readonly files: readonly PlannedFile[];
  readonly components: readonly PlannedPart[];
  /** The blends, by part. */
  readonly cooked: ReadonlyMap<WeightedComponent, CookedPart>;
  /** Parts without which diffusers cannot draw with the result. */
  readonly missing: readonly Component[];
  /** Parts that model_index.json named and the result does not have. */
  readonly dropped: readonly string[];
  /** Of all files, but for metadata. */
  readonly bytes: number;
  readonly arithmetic: 'exact' | 'deterministic';
  close(): Promise<void>;
}

/** diffusers looks for these names. */
const WEIGHTS_FILES: Readonly<Record<WeightedComponent, string>> = {
  unet: 'diffusion_pytorch_model',
  vae: 'diffusion_pytorch_model',
  text_encoder: 'model',
};

const isWeighted = (part: Component): part is WeightedComponent => part in WEIGHTS_FILES;

/** A model as a diffusers folder. */
export async function planFolder(gpu: Gpu, recipe: OpenRecipe, options: CookOptions = {}): Promise<MergePlan> {
  const files: PlannedFile[] = [];
  const components: PlannedPart[] = [];
  const cooked = new Map<WeightedComponent, CookedPart>();
  const close = async () => {
    for (const part of cooked.values()) await part.close();
  };
  try {
    const models = modelsOf(recipe);
    await samePrediction(recipe.ingredients.map(({ folder }) => folder));
    for (const name of COMPONENTS) {
      const first = models.find(({ components }) => components.has(name));
      if (!first) continue;
      if (!isWeighted(name)) {
        components.push({ name, averaged: false, from: [first.name] });
        files.push(...(await smallFiles(first, name)));
        continue;
      }
      const part = await cookPart(gpu, recipe, name, options);
      if (!part) continue;
      cooked.set(name, part);
      components.push({ name, averaged: !part.isCopy, from: part.from.map((folder) => folder.name) });
      files.push(...(await smallFiles(part.from[0]!, name)), ...weightFiles(part));
    }
    if (cooked.size === 0) throw new UsageError('no ingredient has a UNet, a VAE or a text encoder to average');
    const missing = COMPONENTS.filter((part) => !components.some(({ name }) => name === part));
    const index = await modelIndex(models, missing);
    if (index) files.push(textFile('model_index.json', index.text));
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    const isExact = [...cooked.values()].every(({ arithmetic }) => arithmetic === 'exact');
    const arithmetic = isExact ? 'exact' : 'deterministic';
    return { files, components, cooked, missing, dropped: index?.dropped ?? [], bytes, arithmetic, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Where small files come from, in this order. */
const modelsOf = ({ ingredients, base }: OpenRecipe): ModelFolder[] => [
  ...ingredients.map(({ folder }) => folder),
  ...(base ? [base] : []),
];

/** A part's weights: the files of the only model that has it, or one file that is computed. */
function weightFiles(cooked: CookedPart): PlannedFile[] {
  const { part, blend } = cooked;
  const stem = `${part}/${WEIGHTS_FILES[part]}`;
  const source = cooked.isCopy ? onlySource(cooked) : undefined;
  if (source) return [{ path: `${stem}.safetensors`, kind: 'copied', source, bytes: source.size }];
  const tensors = outputsOf(blend);
  const { size, header } = layOutFile(tensors);
  return [{ path: `${stem}.safetensors`, kind: 'averaged', tensors, parts: [part], bytes: size - header.length }];
}

/** The file that holds the part and nothing else, if there is one. */
function onlySource({ blend }: CookedPart): Source | undefined {
  const infos = [...blend.ingredients[0]!.tensors.values()];
  const sources = new Set(infos.map(({ source }) => source));
  const [source] = sources;
  const begin = Math.min(...infos.map(({ offset }) => offset));
  const bytes = infos.reduce((sum, { byteLength }) => sum + byteLength, 0);
  return sources.size === 1 && begin + bytes === source!.size ? source : undefined;
}
