/** A CLIP checkpoint's folder as transformers lays it out: config.json, model.safetensors, and the tokenizer beside them. */
import { CheckpointError } from '../errors.js';
import { type ClipModelConfig, parseClipModelConfig } from './config-clip-vision.js';
import { type ClipPreprocessing, parseClipPreprocessing } from './config-preprocessor.js';
import type { JsonObject } from './json.js';
import { jsonIn, openWeights, textIn } from './model-folder.js';
import { printable } from './printable.js';
import type { Folder } from './source.js';
import type { Weights } from './weights.js';

export interface ClipFolder {
  readonly name: string;
  readonly config: ClipModelConfig;
  /** Undefined when the checkpoint has no vision tower. */
  readonly preprocessing?: ClipPreprocessing;
  /** Whoever asks closes them, with closeWeights. */
  weights(): Promise<Weights>;
  /** vocab.json, tokenizer.json and their like; undefined where there is none. */
  text(path: string): Promise<string | undefined>;
}

/** Reads and checks the configs. */
export async function openClipFolder(folder: Folder): Promise<ClipFolder> {
  const shown = printable(folder.name, 1000);
  const json = await jsonIn(folder, 'config.json');
  if (json === undefined) {
    throw new CheckpointError(
      `${shown} has no config.json. Name a CLIP checkpoint's folder as transformers writes it, such as a copy of openai/clip-vit-large-patch14.`,
      { file: `${shown}/config.json` },
    );
  }
  const config = parseClipModelConfig(json, `${folder.name}/config.json`);
  // Newer files keep the options of every processor in one.
  const processor = (await jsonIn(folder, 'processor_config.json')) as JsonObject | undefined;
  const own = (await jsonIn(folder, 'preprocessor_config.json')) ?? processor?.image_processor;
  return {
    name: folder.name,
    config,
    ...(config.vision && {
      preprocessing: parseClipPreprocessing(own, config.vision.imageSize, `${folder.name}/preprocessor_config.json`),
    }),
    async weights() {
      const weights = await openWeights(folder, '', 'model');
      if (weights) return weights;
      throw new CheckpointError(`${shown} has no model.safetensors. Get the checkpoint with its weights.`, {
        file: `${shown}/model.safetensors`,
      });
    },
    text: (path) => textIn(folder, path),
  };
}
