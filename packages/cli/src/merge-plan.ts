/**
 * What merging will write, checked before anything is written: a part that several ingredients have is averaged, a
 * part that one of them has (or only the base) is copied byte for byte.
 */
import {
  type Blend,
  blendOf,
  CheckpointError,
  COMPONENTS,
  type Component,
  checkBlend,
  closeWeights,
  type ModelFolder,
  parseConfigJson,
  type Source,
  sameConfig,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import { diskFolder } from './files.js';
import type { Kitchen, OpenIngredient } from './ingredients.js';

/** One file of the result. */
export type PlannedFile =
  | { readonly path: string; readonly kind: 'averaged'; readonly blend: Blend; readonly bytes: number }
  | { readonly path: string; readonly kind: 'copied'; readonly source: Source; readonly bytes: number }
  | { readonly path: string; readonly kind: 'text'; readonly text: string; readonly bytes: number };

export interface MergePlan {
  readonly files: readonly PlannedFile[];
  readonly components: readonly { name: Component; averaged: boolean; from: readonly string[] }[];
  /** Parts without which diffusers cannot draw with the result. */
  readonly missing: readonly Component[];
  /** Parts that model_index.json named and the result does not have. */
  readonly dropped: readonly string[];
  readonly bytes: number;
  close(): Promise<void>;
}

/** diffusers looks for these names. */
const WEIGHTS_FILES: Readonly<Record<WeightedComponent, string>> = {
  unet: 'diffusion_pytorch_model',
  vae: 'diffusion_pytorch_model',
  text_encoder: 'model',
};

/** Files that say what a part is; each is copied where it exists. */
const SMALL_FILES: Readonly<Record<Component, readonly string[]>> = {
  unet: ['config.json'],
  vae: ['config.json'],
  text_encoder: ['config.json'],
  tokenizer: [
    ...['vocab.json', 'merges.txt', 'tokenizer.json'],
    ...['tokenizer_config.json', 'special_tokens_map.json', 'added_tokens.json'],
  ],
  scheduler: ['scheduler_config.json'],
};

/** What must be the same in all that are averaged. Of the schedule that is only what the UNets have learnt to predict. */
const CONFIGS: Readonly<Partial<Record<Component, (folder: ModelFolder) => Promise<object>>>> = {
  unet: (folder) => folder.unetConfig(),
  vae: (folder) => folder.vaeConfig(),
  text_encoder: (folder) => folder.textEncoderConfig(),
  scheduler: async (folder) => ({ predictionType: (await folder.schedulerConfig()).predictionType }),
};

const isWeighted = (part: Component): part is WeightedComponent => part in WEIGHTS_FILES;

type Origin = Pick<OpenIngredient, 'path' | 'folder' | 'weight'>;

export async function planMerge({ ingredients, base }: Kitchen): Promise<MergePlan> {
  const files: PlannedFile[] = [];
  const open: { close?(): Promise<void> }[] = [];
  const components: { name: Component; averaged: boolean; from: string[] }[] = [];
  const close = async () => {
    for (const one of open) await one.close?.();
  };
  const copy = async ({ path }: Origin, inner: string, as = inner): Promise<void> => {
    const source = await diskFolder(path).open(inner);
    if (!source) return;
    open.push(source);
    files.push({ path: as, kind: 'copied', source, bytes: source.size });
  };
  try {
    for (const part of COMPONENTS) {
      const having: Origin[] = ingredients.filter(({ folder }) => folder.components.has(part));
      if (having.length === 0 && base?.folder.components.has(part)) having.push({ ...base, weight: 1 });
      const [first] = having;
      if (!first) continue;
      const configOf = CONFIGS[part];
      if (configOf) await sameConfig(having, part, configOf);
      const averaged = isWeighted(part) && having.length > 1;
      components.push({ name: part, averaged, from: (averaged ? having : [first]).map(({ folder }) => folder.name) });
      for (const file of SMALL_FILES[part]) await copy(first, `${part}/${file}`);
      if (!isWeighted(part)) continue;
      const weights: Weights[] = [];
      for (const { folder } of having) weights.push(await openWeights(folder, part, open));
      if (averaged) {
        const blend = blendOf(
          weights,
          having.map(({ weight }) => weight),
        );
        checkBlend(blend);
        const bytes = [...weights[0]!.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
        files.push({ path: `${part}/${WEIGHTS_FILES[part]}.safetensors`, kind: 'averaged', blend, bytes });
      } else {
        files.push(...weightFiles(first, part, weights[0]!));
        await copyShardIndex(first, part, copy);
      }
    }
    const missing = COMPONENTS.filter((part) => !components.some(({ name }) => name === part));
    const index = await modelIndex([...ingredients, ...(base ? [base] : [])], missing);
    if (index)
      files.push({ path: 'model_index.json', kind: 'text', text: index.text, bytes: Buffer.byteLength(index.text) });
    const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
    return { files, components, missing, dropped: index?.dropped ?? [], bytes, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function openWeights(folder: ModelFolder, part: WeightedComponent, open: { close?(): Promise<void> }[]) {
  const weights = await folder.weights(part);
  if (!weights) {
    throw new CheckpointError(`${folder.name} has a ${part}/config.json but no ${part} weights (*.safetensors).`, {
      file: folder.name,
      part,
    });
  }
  open.push({ close: () => closeWeights(weights) });
  return weights;
}

/** The files of one folder's weights; a lone one under the name that is looked for first, whatever its variant was. */
function weightFiles({ path }: Origin, part: WeightedComponent, weights: Weights): PlannedFile[] {
  const sources = [...new Set([...weights.tensors.values()].map(({ source }) => source))];
  return sources.map((source) => {
    const name =
      sources.length === 1 ? `${part}/${WEIGHTS_FILES[part]}.safetensors` : source.name.slice(path.length + 1);
    return { path: name, kind: 'copied', source, bytes: source.size };
  });
}

async function copyShardIndex(
  first: Origin,
  part: WeightedComponent,
  copy: (...args: [Origin, string, string]) => unknown,
) {
  const folder = diskFolder(first.path);
  const stem = `${part}/${WEIGHTS_FILES[part]}`;
  for (const name of [`${stem}.safetensors`, `${stem}.fp16.safetensors`]) {
    const whole = await folder.open(name);
    await whole?.close?.();
    if (whole) return; // not in shards
    const dotted = name.includes('.fp16.') ? '.fp16' : '';
    const index = await folder.open(`${stem}.safetensors.index${dotted}.json`);
    await index?.close?.();
    if (index) return copy(first, `${stem}.safetensors.index${dotted}.json`, `${stem}.safetensors.index.json`);
  }
}

/** The first index there is; parts that will not be there are set to null in it, as diffusers writes that. */
async function modelIndex(origins: readonly Pick<Origin, 'path' | 'folder'>[], missing: readonly Component[]) {
  // Without a UNet or a VAE it is no pipeline, and an index would only mislead.
  if (missing.some((part) => part !== 'tokenizer')) return undefined;
  for (const { folder } of origins) {
    const text = await folder.text('model_index.json');
    if (text === undefined) continue;
    const json = { ...(parseConfigJson(text, `${folder.name}/model_index.json`) as Record<string, unknown>) };
    const isThere = (key: string) => COMPONENTS.some((part) => part === key && !missing.includes(part));
    const dropped = Object.keys(json).filter((key) => {
      const value = json[key];
      return Array.isArray(value) && value[0] !== null && !isThere(key);
    });
    if (dropped.length === 0) return { text, dropped };
    for (const key of dropped) json[key] = [null, null];
    if (dropped.includes('safety_checker')) json.requires_safety_checker = false;
    return { text: `${JSON.stringify(json, null, 2)}\n`, dropped };
  }
  return undefined;
}
