/**
 * A model that can draw: text encoder, UNet, VAE, tokenizer and schedule, each from a blend of the ingredients that
 * have it. An ingredient may be a UNet alone, as fine-tuned shards are; the rest then comes from the base.
 */

import type { SchedulerConfig } from '../checkpoint/config-scheduler.js';
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import { closeWeights, type Weights } from '../checkpoint/weights.js';
import { CheckpointError, IncompatibleError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import {
  type Component,
  createTextEncoder,
  createUNet,
  createVae,
  type TextEncoder,
  type UNet,
  type Vae,
} from '../model/components.js';
import { type ClipTokenizer, createTokenizer } from '../model/tokenizer.js';
import { type Blend, blendOf } from '../soup/blend.js';

export interface ModelIngredient {
  readonly folder: ModelFolder;
  /** Its weight in the soup; weights are scaled to add up to 1. */
  readonly weight: number;
}

export interface LoadModelOptions {
  /** Where parts come from that no ingredient has. */
  readonly base?: ModelFolder;
  readonly signal?: AbortSignal;
  readonly onProgress?: (part: WeightedComponent, done: number, total: number) => void;
}

export interface Model {
  readonly name: string;
  readonly gpu: Gpu;
  readonly textEncoder: TextEncoder;
  readonly unet: UNet;
  readonly vae: Vae;
  readonly scheduler: SchedulerConfig;
  /** Undefined when no folder has one: then only token ids can be drawn. */
  readonly tokenizer?: ClipTokenizer;
  /** Bytes of weights on the device. */
  readonly bytes: number;
  /** Other weights for the same ingredients: re-averages in place. */
  reblend(weights: readonly number[], options?: Pick<LoadModelOptions, 'signal' | 'onProgress'>): Promise<void>;
  destroy(): Promise<void>;
}

/** Opens, checks and loads; the ingredients' architectures must be the same. */
export async function loadModel(
  gpu: Gpu,
  ingredients: readonly ModelIngredient[],
  options: LoadModelOptions = {},
): Promise<Model> {
  const open: Weights[] = [];
  const made: Component[] = [];
  const destroy = async () => {
    for (const component of made) component.destroy();
    for (const weights of open) await closeWeights(weights);
  };
  try {
    const scheduler = await schedulerOf(ingredients, options.base);
    const part = async <T extends Component, C>(
      name: WeightedComponent,
      configOf: (folder: ModelFolder) => Promise<C>,
      create: (gpu: Gpu, config: C, blend: Blend) => T,
    ): Promise<{ model: T; having: readonly ModelIngredient[]; blend: Blend }> => {
      const having = ingredientsWith(ingredients, name, options.base);
      const config = await sameConfig(having, name, configOf);
      const blend = blendOf(
        await weightsOf(having, name, open),
        having.map(({ weight }) => weight),
      );
      const model = create(gpu, config, blend);
      made.push(model);
      return { model, having, blend };
    };
    const textEncoder = await part('text_encoder', (folder) => folder.textEncoderConfig(), createTextEncoder);
    const unet = await part('unet', (folder) => folder.unetConfig(), createUNet);
    const vae = await part('vae', (folder) => folder.vaeConfig(), createVae);
    checkFit(textEncoder.model, unet.model, vae.model);
    const tokenizer = await tokenizerOf(ingredients, options.base, textEncoder.model.config.maxPositions);

    // Everything has been checked, and its memory counted, before the first weight is read.
    for (const [name, { model, blend }] of Object.entries({ text_encoder: textEncoder, unet, vae })) {
      const onProgress = (done: number, total: number) => options.onProgress?.(name as WeightedComponent, done, total);
      await model.load(blend, { signal: options.signal, onProgress });
    }
    return {
      name: ingredients.map(({ folder }) => folder.name).join(' + '),
      gpu,
      textEncoder: textEncoder.model,
      unet: unet.model,
      vae: vae.model,
      scheduler,
      tokenizer,
      bytes: textEncoder.model.bytes + unet.model.bytes + vae.model.bytes,
      async reblend(weights, { signal, onProgress } = {}) {
        for (const [name, { model, having, blend }] of Object.entries({ text_encoder: textEncoder, unet, vae })) {
          if (having.length === 1) continue; // nothing to average
          const shares = having.map((one) => weights[ingredients.indexOf(one)]!);
          await model.load(blendOf(blend.ingredients, shares), {
            signal,
            onProgress: (done, total) => onProgress?.(name as WeightedComponent, done, total),
          });
        }
      },
      destroy,
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

/** The ingredients that have a part, or the base with all the weight. */
function ingredientsWith(
  ingredients: readonly ModelIngredient[],
  part: WeightedComponent,
  base: ModelFolder | undefined,
): readonly ModelIngredient[] {
  const having = ingredients.filter(({ folder }) => folder.components.has(part));
  if (having.length > 0) return having;
  if (base?.components.has(part)) return [{ folder: base, weight: 1 }];
  throw new CheckpointError(
    `No ${part} in ${ingredients.map(({ folder }) => folder.name).join(', ')}${base ? ` or ${base.name}` : ''}. ` +
      'Name the model that the fine-tunes started from with --base.',
    { part },
  );
}

async function weightsOf(having: readonly ModelIngredient[], part: WeightedComponent, open: Weights[]) {
  const all = [];
  for (const { folder } of having) {
    const weights = await folder.weights(part);
    if (!weights) {
      throw new CheckpointError(`${folder.name} has a ${part}/config.json but no ${part} weights (*.safetensors).`, {
        file: folder.name,
        part,
      });
    }
    open.push(weights);
    all.push(weights);
  }
  return all;
}

/** The config of a part, which all ingredients must share. */
export async function sameConfig<C>(
  having: readonly ModelIngredient[],
  part: string,
  configOf: (folder: ModelFolder) => Promise<C>,
): Promise<C> {
  const [first, ...others] = having;
  const config = await configOf(first!.folder);
  for (const { folder } of others) {
    const other = await configOf(folder);
    for (const key of Object.keys(config as object) as (keyof C)[]) {
      const [a, b] = [JSON.stringify(config[key]), JSON.stringify(other[key])];
      if (a === b) continue;
      throw new IncompatibleError(
        `${part}: ${String(key)} is ${a} in ${first!.folder.name} but ${b} in ${folder.name}. ` +
          'Only models of the same architecture can be averaged.',
        { part, key },
      );
    }
  }
  return config;
}

async function schedulerOf(ingredients: readonly ModelIngredient[], base?: ModelFolder): Promise<SchedulerConfig> {
  const folders = ingredients.map(({ folder }) => folder).filter(({ components }) => components.has('scheduler'));
  if (folders.length === 0 && base?.components.has('scheduler')) folders.push(base);
  const [first, ...others] = folders;
  if (!first) {
    throw new CheckpointError(
      'No scheduler/scheduler_config.json in any ingredient. Name the model that the fine-tunes started from with --base.',
    );
  }
  const config = await first.schedulerConfig();
  for (const folder of others) {
    const { predictionType } = await folder.schedulerConfig();
    if (predictionType !== config.predictionType) {
      throw new IncompatibleError(
        `${first.name} predicts ${config.predictionType} but ${folder.name} predicts ${predictionType}. ` +
          'Their average would predict neither.',
        { found: [config.predictionType, predictionType] },
      );
    }
  }
  return config;
}

async function tokenizerOf(ingredients: readonly ModelIngredient[], base: ModelFolder | undefined, maxLength: number) {
  for (const folder of [...ingredients.map(({ folder }) => folder), ...(base ? [base] : [])]) {
    const [vocab, merges, tokenizerJson, config, specialTokens] = await Promise.all(
      ['vocab.json', 'merges.txt', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'].map((file) =>
        folder.text(`tokenizer/${file}`),
      ),
    );
    if (!tokenizerJson && !(vocab && merges)) continue;
    return createTokenizer({ vocab, merges, tokenizerJson, config, specialTokens }, { maxLength });
  }
  return undefined;
}

/** The three networks must speak of the same channels. */
function checkFit(textEncoder: TextEncoder, unet: UNet, vae: Vae): void {
  const text = textEncoder.config.hiddenSize;
  const context = unet.config.crossAttentionDim[0]!;
  if (text !== context) {
    throw new IncompatibleError(
      `The text encoder gives ${text} channels but the UNet takes ${context}: they are of different models.`,
      { found: text, expected: context },
    );
  }
  const { latentChannels } = vae.config;
  if (unet.config.inChannels !== latentChannels) {
    throw new IncompatibleError(
      `The UNet takes ${unet.config.inChannels} channels but the VAE has ${latentChannels} latent channels. ` +
        'Inpainting and depth models, which take more, are not supported.',
      { found: unet.config.inChannels, expected: latentChannels },
    );
  }
}
