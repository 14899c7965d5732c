/**
 * What merging writes, checked before anything is written: a part that several ingredients have is averaged, a part
 * that one of them has (or only the base) is copied. The same plan serves the command line and the browser.
 */
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import { COMPONENTS, type Component } from '../checkpoint/model-index.js';
import { LENGTH_BYTES } from '../checkpoint/safetensors.js';
import { shardLayout } from '../checkpoint/shard-layout.js';
import {
  type Configs,
  configMetadata,
  type SingleFileParts,
  singleFileLayout,
} from '../checkpoint/single-file/index.js';
import { readBytes, type Source } from '../checkpoint/source.js';
import { UsageError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { layOutFile, type OutputTensor, outputsOf, outputType } from '../soup/merge.js';
import { checkWholeNumbers } from '../soup/whole-numbers.js';
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
      /** The running sums of the part instead of its averages, in words of 32 bits. */
      readonly sums?: 1 | 2;
      /** What this file adds to the metadata. */
      readonly metadata?: Readonly<Record<string, string>>;
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

const WEIGHTED = ['unet', 'vae', 'text_encoder'] as const satisfies WeightedComponent[];
const isWeighted = (part: Component): part is WeightedComponent => part in WEIGHTS_FILES;

export interface FolderOptions extends CookOptions {
  /** Weights of more bytes than this are divided among several files. */
  readonly maxShardBytes?: number;
}

/** A model as a diffusers folder. */
export async function planFolder(gpu: Gpu, recipe: OpenRecipe, options: FolderOptions = {}): Promise<MergePlan> {
  const { cooked, close } = await cookAll(gpu, recipe, options);
  try {
    const files: PlannedFile[] = [];
    const components: PlannedPart[] = [];
    const models = modelsOf(recipe);
    for (const name of COMPONENTS) {
      const part = cooked.get(name as WeightedComponent);
      const first = part?.from[0] ?? models.find(({ components }) => components.has(name));
      if (!first || (isWeighted(name) && !part)) continue;
      components.push(plannedPart(name, part, first));
      files.push(...(await smallFiles(first, name)));
      if (part) files.push(...(await weightFiles(part, options.maxShardBytes)));
    }
    const missing = missingOf(components);
    const index = await modelIndex(models, missing);
    if (index) files.push(textFile('model_index.json', index.text));
    return planOf({ files, components, cooked, missing, dropped: index?.dropped ?? [], close });
  } catch (error) {
    await close();
    throw error;
  }
}

/** A model as one file, in the layout that A1111 and ComfyUI read. Its path is empty: the file is the target itself. */
export async function planSingleFile(gpu: Gpu, recipe: OpenRecipe, options: CookOptions = {}): Promise<MergePlan> {
  const { cooked, close } = await cookAll(gpu, recipe, options);
  try {
    const models = modelsOf(recipe);
    const components = [...cooked.values()].map((part) => plannedPart(part.part, part, part.from[0]!));
    const scheduler = models.find((model) => model.components.has('scheduler'));
    const tensors = singleFileLayout(await partsToLayOut(cooked)).map(
      ({ name, shape, parts }): OutputTensor => ({
        name,
        shape,
        parts: parts.map(({ component, key }) => ({ blend: cooked.get(component)!.blend, key })),
      }),
    );
    const configs: Record<string, unknown> = {};
    for (const [part, { from }] of cooked) configs[part] = await from[0]!.config(part);
    if (scheduler) configs.scheduler = await schedulerJson(scheduler);
    const file: PlannedFile = {
      path: '',
      kind: 'averaged',
      tensors,
      parts: [...cooked.keys()],
      metadata: configMetadata(configs as Configs),
      bytes: dataBytes(tensors),
    };
    const missing = (['unet', 'vae', 'text_encoder'] as const).filter((part) => !cooked.has(part));
    return planOf({ files: [file], components, cooked, missing, dropped: [], close });
  } catch (error) {
    await close();
    throw error;
  }
}

/** A folder may name the scheduler's class in its index alone, which a single file has not. */
async function schedulerJson({ config, index }: ModelFolder): Promise<unknown> {
  const json = await config('scheduler');
  const name = index?.components.get('scheduler');
  const isNamed = typeof json !== 'object' || json === null || '_class_name' in json;
  return isNamed || name === undefined ? json : { _class_name: name, ...json };
}

async function partsToLayOut(cooked: ReadonlyMap<WeightedComponent, CookedPart>): Promise<SingleFileParts> {
  const tensorsOf = ({ blend }: CookedPart) =>
    new Map(outputsOf(blend).map(({ name, shape }) => [name, { shape, dtype: outputType(blend, name) }]));
  const [unet, vae, text] = [cooked.get('unet'), cooked.get('vae'), cooked.get('text_encoder')];
  return {
    ...(unet && { unet: { config: await unet.from[0]!.unetConfig(), tensors: tensorsOf(unet) } }),
    ...(vae && { vae: { config: await vae.from[0]!.vaeConfig(), tensors: tensorsOf(vae) } }),
    ...(text && { text_encoder: { config: await text.from[0]!.textEncoderConfig(), tensors: tensorsOf(text) } }),
  };
}

async function cookAll(gpu: Gpu, recipe: OpenRecipe, options: CookOptions) {
  const cooked = new Map<WeightedComponent, CookedPart>();
  const close = async () => {
    for (const part of cooked.values()) await part.close();
  };
  try {
    for (const name of WEIGHTED) {
      const part = await cookPart(gpu, recipe, name, options);
      if (!part) continue;
      cooked.set(name, part);
      await checkWholeNumbers(part.blend.ingredients);
    }
    await samePrediction(recipe.ingredients.map(({ folder }) => folder));
    if (cooked.size === 0) throw new UsageError('no ingredient has a UNet, a VAE or a text encoder to average');
    return { cooked, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const plannedPart = (name: Component, part: CookedPart | undefined, first: ModelFolder): PlannedPart => ({
  name,
  averaged: part !== undefined && !part.isCopy,
  from: part && !part.isCopy ? part.from.map((folder) => folder.name) : [first.name],
});

const missingOf = (components: readonly PlannedPart[]): Component[] =>
  COMPONENTS.filter((part) => !components.some(({ name }) => name === part));

function planOf(plan: Omit<MergePlan, 'bytes' | 'arithmetic'>): MergePlan {
  const isExact = [...plan.cooked.values()].every(({ arithmetic }) => arithmetic === 'exact');
  const bytes = plan.files.reduce((sum, file) => sum + file.bytes, 0);
  return { ...plan, bytes, arithmetic: isExact ? 'exact' : 'deterministic' };
}

/** Where small files come from, in this order. */
const modelsOf = ({ ingredients, base }: OpenRecipe): ModelFolder[] => [
  ...ingredients.map(({ folder }) => folder),
  ...(base ? [base] : []),
];

/** A part's weights: the file of the only model that has it, or files that are computed. */
async function weightFiles(cooked: CookedPart, maxShardBytes = Number.POSITIVE_INFINITY): Promise<PlannedFile[]> {
  const { part, blend } = cooked;
  const stem = WEIGHTS_FILES[part];
  const source = cooked.isCopy ? await onlySource(cooked) : undefined;
  if (source && source.size <= maxShardBytes) {
    return [{ path: `${part}/${stem}.safetensors`, kind: 'copied', source, bytes: source.size }];
  }
  const outputs = outputsOf(blend).map((tensor) => ({ ...tensor, dtype: outputType(blend, tensor.name) }));
  const { files, index } = shardLayout(stem, outputs, maxShardBytes);
  const shards = files.map(({ name, tensors }): PlannedFile => {
    const bytes = dataBytes(tensors);
    return { path: `${part}/${name}`, kind: 'averaged', tensors, parts: [part], bytes };
  });
  return index ? [...shards, textFile(`${part}/${index.name}`, index.text)] : shards;
}

function dataBytes(tensors: readonly OutputTensor[]): number {
  const { size, header } = layOutFile(tensors);
  return size - header.length;
}

/** The file that holds the part and nothing else, if there is one. */
async function onlySource({ blend }: CookedPart): Promise<Source | undefined> {
  const infos = [...blend.ingredients[0]!.tensors.values()];
  const [source, ...more] = new Set(infos.map((info) => info.source));
  const begin = Math.min(...infos.map(({ offset }) => offset));
  const bytes = infos.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (!source || more.length > 0 || begin + bytes !== source.size || begin < LENGTH_BYTES) return undefined;
  const length = await readBytes(source, 0, LENGTH_BYTES);
  const headerEnd = LENGTH_BYTES + Number(new DataView(length.buffer).getBigUint64(0, true));
  return headerEnd === begin ? source : undefined;
}
