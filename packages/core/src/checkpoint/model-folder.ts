/**
 * A model folder as diffusers lays it out: model_index.json, and unet/, vae/, text_encoder/, tokenizer/, scheduler/
 * with a config and weights each. Nothing is read before it is asked for, and a folder may hold some of the parts.
 */
import { CheckpointError, ConfigError, UsageError } from '../errors.js';
import {
  type ClipTextConfig,
  parseClipTextConfig,
  parseSchedulerConfig,
  parseUNetConfig,
  parseVaeConfig,
  type SchedulerConfig,
  type UNetConfig,
  type VaeConfig,
} from './configs.js';
import { type JsonValue, parseConfigJson } from './json.js';
import { COMPONENTS, type Component, type ModelIndex, parseModelIndex } from './model-index.js';
import { printable } from './printable.js';
import { openSafetensors } from './safetensors.js';
import { openShards, parseShardIndex } from './shards.js';
import { type Folder, readBytes, type Source } from './source.js';
import { decodeUtf8 } from './utf8.js';
import type { Weights } from './weights.js';

/** The parts that have weights. */
export type WeightedComponent = 'unet' | 'vae' | 'text_encoder';

export interface ModelFolder {
  readonly name: string;
  /** What model_index.json says; undefined in a folder without one, such as a fine-tuned unet/ alone. */
  readonly index?: ModelIndex;
  /** The parts that are there. */
  readonly components: ReadonlySet<Component>;
  /** The JSON of a part's config, unchecked; undefined when there is none. */
  config(component: Component): Promise<JsonValue | undefined>;
  unetConfig(): Promise<UNetConfig>;
  vaeConfig(): Promise<VaeConfig>;
  textEncoderConfig(): Promise<ClipTextConfig>;
  schedulerConfig(): Promise<SchedulerConfig>;
  /** The tensors of a part; undefined when the folder has none. Whoever asks closes them, with closeWeights. */
  weights(component: WeightedComponent): Promise<Weights | undefined>;
  /** A text file of the folder, such as tokenizer/vocab.json; undefined when there is none. */
  text(path: string): Promise<string | undefined>;
}

export interface ModelFolderOptions {
  /** Take the files of this variant where there are some: 'fp16' for diffusion_pytorch_model.fp16.safetensors. */
  readonly variant?: string;
}

const CONFIG_FILES: Readonly<Record<Component, string>> = {
  unet: 'unet/config.json',
  vae: 'vae/config.json',
  text_encoder: 'text_encoder/config.json',
  tokenizer: 'tokenizer/tokenizer_config.json',
  scheduler: 'scheduler/scheduler_config.json',
};

/** By which a part is known to be there: old tokenizers have no config. */
const MARKER_FILES: Readonly<Record<Component, string>> = { ...CONFIG_FILES, tokenizer: 'tokenizer/vocab.json' };

/** transformers names its files otherwise than diffusers. */
const STEMS: Readonly<Record<WeightedComponent, string>> = {
  unet: 'diffusion_pytorch_model',
  vae: 'diffusion_pytorch_model',
  text_encoder: 'model',
};

/** Only the largest variant that is common; others must be asked for. */
const DEFAULT_VARIANTS = ['', 'fp16'];

/** Weights in formats that run code, or that need another library; looked for only to say so. */
const OTHER_FORMATS = ['.bin', '.fp16.bin', '.ckpt', '.pt', '.msgpack', '.onnx'];

const MAX_CONFIG_BYTES = 1_000_000; // real configs have 2 kB; above this it is no config

/** The largest vocab.json has 1 MB, and an index names each tensor once: 32 MB are a quarter of a million names. */
const MAX_TEXT_BYTES = 32_000_000;

/** Opens a folder. Of its files only model_index.json is read, and checked. */
export async function openModelFolder(folder: Folder, { variant }: ModelFolderOptions = {}): Promise<ModelFolder> {
  const shown = printable(folder.name, 1000);
  if (variant !== undefined && !/^[\w-]+$/.test(variant)) {
    throw new UsageError(
      `The variant "${printable(variant)}" is no word; expected a part of a file name, such as fp16.`,
    );
  }
  const pathOf = (path: string): string => `${folder.name}/${path}`;

  const json = (path: string): Promise<JsonValue | undefined> => jsonIn(folder, path);
  const neededJson = async (path: string): Promise<JsonValue> => {
    const value = await json(path);
    if (value !== undefined) return value;
    throw new CheckpointError(`${shown} has no ${path}. Name a diffusers folder that has one.`, {
      file: `${shown}/${path}`,
    });
  };

  const indexJson = await json('model_index.json');
  const index = indexJson === undefined ? undefined : parseModelIndex(indexJson, pathOf('model_index.json'));
  const components = await partsOf(folder, index);
  if (components.size === 0) {
    throw new CheckpointError(
      `${shown} has neither model_index.json nor ${Object.values(MARKER_FILES).join(', ')}. ` +
        'Expected a model folder as diffusers writes it: name the folder that holds unet/.',
      { file: shown },
    );
  }

  return {
    name: folder.name,
    ...(index && { index }),
    components,
    config: (component) => json(CONFIG_FILES[component]),
    unetConfig: async () => parseUNetConfig(await neededJson(CONFIG_FILES.unet), pathOf(CONFIG_FILES.unet)),
    vaeConfig: async () => parseVaeConfig(await neededJson(CONFIG_FILES.vae), pathOf(CONFIG_FILES.vae)),
    textEncoderConfig: async () =>
      parseClipTextConfig(await neededJson(CONFIG_FILES.text_encoder), pathOf(CONFIG_FILES.text_encoder)),
    schedulerConfig: async () =>
      parseSchedulerConfig(
        await neededJson(CONFIG_FILES.scheduler),
        pathOf(CONFIG_FILES.scheduler),
        index?.components.get('scheduler'),
      ),
    weights: (component) => openWeights(folder, component, STEMS[component], variant === undefined ? [] : [variant]),
    text: (path) => textIn(folder, path),
  };
}

/** The parts with a file of theirs in the folder; the index may name more than were copied. */
async function partsOf(folder: Folder, index: ModelIndex | undefined): Promise<ReadonlySet<Component>> {
  const parts = new Set<Component>();
  for (const component of COMPONENTS) {
    if (index && !index.components.has(component)) continue;
    if (await exists(folder, MARKER_FILES[component])) parts.add(component);
  }
  return parts;
}

async function exists(folder: Folder, path: string): Promise<boolean> {
  const source = await folder.open(path);
  await source?.close?.();
  return source !== undefined;
}

/** A text file of the folder; undefined when there is none. */
export async function textIn(folder: Folder, path: string, most = MAX_TEXT_BYTES): Promise<string | undefined> {
  const source = await folder.open(path);
  return source && readText(source, most);
}

/** A config file of the folder, unchecked; undefined when there is none. */
export async function jsonIn(folder: Folder, path: string): Promise<JsonValue | undefined> {
  const content = await textIn(folder, path, MAX_CONFIG_BYTES);
  return content === undefined ? undefined : parseConfigJson(content, `${folder.name}/${path}`);
}

/** Reads a whole small file and closes it. */
async function readText(source: Source, most: number): Promise<string> {
  const file = printable(source.name, 1000);
  try {
    if (source.size > most) {
      throw new ConfigError(
        `${file} has ${source.size} bytes; expected at most ${most}. It is not what its name says.`,
        {
          file,
        },
      );
    }
    const decoded = decodeUtf8(await readBytes(source, 0, source.size));
    if ('text' in decoded) return decoded.text;
    throw new ConfigError(`${file} is not UTF-8 at byte ${decoded.invalidAt}. Save it as UTF-8, or get it again.`, {
      file,
      byte: decoded.invalidAt,
    });
  } finally {
    await source.close?.();
  }
}

/**
 * One file, or shards with an index; the variant that was asked for first. `part` is the folder in the folder, "" for the
 * folder itself; `stem` the name of the file without its ending.
 */
export async function openWeights(
  folder: Folder,
  part: string,
  stem: string,
  preferred: readonly string[] = [],
): Promise<Weights | undefined> {
  const at = part === '' ? '' : `${part}/`;
  for (const variant of new Set([...preferred, ...DEFAULT_VARIANTS])) {
    const dotted = variant && `.${variant}`;
    const source = await folder.open(`${at}${stem}${dotted}.safetensors`);
    if (source) {
      return openSafetensors(source).catch(async (error: unknown) => {
        await source.close?.();
        throw error;
      });
    }
    const indexPath = `${at}${stem}.safetensors.index${dotted}.json`;
    const index = await textIn(folder, indexPath);
    if (index !== undefined) {
      const indexFile = `${folder.name}/${indexPath}`;
      return openShards(folder, part, indexFile, parseShardIndex(index, indexFile));
    }
  }
  await refuseOtherFormats(folder, at, stem);
  return undefined;
}

async function refuseOtherFormats(folder: Folder, at: string, expected: string): Promise<void> {
  const flaxStem = expected.replace('pytorch', 'flax');
  for (const stem of new Set([expected, 'pytorch_model', 'model', flaxStem, 'flax_model'])) {
    for (const ending of OTHER_FORMATS) {
      const path = `${at}${stem}${ending}`;
      if (!(await exists(folder, path))) continue;
      const file = printable(`${folder.name}/${path}`, 1000);
      throw new CheckpointError(
        `${file} is the only file of weights; expected ${expected}.safetensors beside it. Other formats may run ` +
          'code when loaded, so this engine never opens them: convert the model on a machine you trust, for example ' +
          'with from_pretrained(...).save_pretrained(..., safe_serialization=True) of diffusers.',
        { file },
      );
    }
  }
}
