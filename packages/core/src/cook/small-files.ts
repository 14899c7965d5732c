/** The files of a model folder that hold no weights: configs, the tokenizer, the index. */
import { parseConfigJson } from '../checkpoint/json.js';
import type { ModelFolder } from '../checkpoint/model-folder.js';
import { COMPONENTS, type Component } from '../checkpoint/model-index.js';

export interface TextFile {
  readonly path: string;
  readonly kind: 'text';
  readonly text: string;
  readonly bytes: number;
}

/** Files that say what a part is; each is taken over where it exists. */
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

export const textFile = (path: string, text: string): TextFile => ({
  path,
  kind: 'text',
  text,
  bytes: new TextEncoder().encode(text).length,
});

export const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** A single-file checkpoint has no such files; its configs, which were inferred, are written out. */
export async function smallFiles(folder: ModelFolder, part: Component): Promise<TextFile[]> {
  const files: TextFile[] = [];
  for (const name of SMALL_FILES[part]) {
    const text = await folder.text(`${part}/${name}`);
    if (text !== undefined) files.push(textFile(`${part}/${name}`, text));
  }
  if (files.length > 0 || part === 'tokenizer') return files;
  const config = await folder.config(part);
  return config === undefined ? [] : [textFile(`${part}/${SMALL_FILES[part][0]}`, jsonText(config))];
}

const CLASSES: Readonly<Record<Component, readonly [library: string, name: string]>> = {
  unet: ['diffusers', 'UNet2DConditionModel'],
  vae: ['diffusers', 'AutoencoderKL'],
  text_encoder: ['transformers', 'CLIPTextModel'],
  tokenizer: ['transformers', 'CLIPTokenizer'],
  scheduler: ['diffusers', 'DDIMScheduler'],
};

/**
 * The first index there is; parts that will not be there are set to null in it, as diffusers writes that. Single-file
 * checkpoints have none, and get one that is made up of what they hold.
 */
export async function modelIndex(models: readonly ModelFolder[], missing: readonly Component[]) {
  // Without a UNet or a VAE it is no pipeline, and an index would only mislead.
  if (missing.some((part) => part !== 'tokenizer')) return undefined;
  for (const folder of models) {
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
    return { text: jsonText(json), dropped };
  }
  const scheduler = await schedulerClass(models);
  const parts = COMPONENTS.map((part) => [
    part,
    missing.includes(part) ? [null, null] : part === 'scheduler' ? ['diffusers', scheduler] : CLASSES[part],
  ]);
  return { text: jsonText({ _class_name: 'StableDiffusionPipeline', ...Object.fromEntries(parts) }), dropped: [] };
}

async function schedulerClass(models: readonly ModelFolder[]): Promise<string> {
  for (const folder of models) {
    const config = folder.components.has('scheduler') ? await folder.config('scheduler') : undefined;
    if (typeof config !== 'object' || config === null || Array.isArray(config)) continue;
    if (typeof config._class_name === 'string') return config._class_name;
  }
  return CLASSES.scheduler[1];
}
