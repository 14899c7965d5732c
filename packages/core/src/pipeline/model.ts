/**
 * A model that can draw: text encoder, UNet, VAE, tokenizer and schedule, each from a blend of the ingredients that
 * have it. An ingredient may be a UNet alone, as fine-tuned shards are; the rest then comes from the base.
 */

import type { SchedulerConfig } from '../checkpoint/config-scheduler.js';
import type { ModelFolder, WeightedComponent } from '../checkpoint/model-folder.js';
import type { ModelIngredient, OpenRecipe, RecipeSettings } from '../cook/open-recipe.js';
import { type CookedPart, type CookOptions, cookPart } from '../cook/part.js';
import { CheckpointError, IncompatibleError, throwIfAborted, UsageError } from '../errors.js';
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
import { createEnsemble } from '../model/ensemble.js';
import { type ClipTokenizer, createTokenizer } from '../model/tokenizer.js';
import type { Blend } from '../soup/blend.js';

export interface LoadModelOptions extends RecipeSettings, CookOptions {
  /**
   * Average what the ingredients' UNets predict, at every step, instead of their weights: see model/ensemble.ts. Text
   * encoder and VAE are the soup's.
   */
  readonly ensemble?: boolean;
  /**
   * Keep the ingredients on the device, where the memory budget has room for them: `reblend` then reads no file. They give
   * way to whatever else needs the memory later.
   */
  readonly residents?: boolean;
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
  reblend(
    weights: readonly ModelIngredient['weight'][],
    options?: Pick<LoadModelOptions, 'signal' | 'onProgress'> & {
      /** Other block weights too, one table or none for each ingredient. */
      readonly blocks?: readonly ModelIngredient['blocks'][];
    },
  ): Promise<void>;
  destroy(): Promise<void>;
}

/** Opens, checks and loads; the ingredients' architectures must be the same. */
export async function loadModel(
  gpu: Gpu,
  ingredients: readonly ModelIngredient[],
  options: LoadModelOptions = {},
): Promise<Model> {
  const cooked: CookedPart[] = [];
  const made: Component[] = [];
  const destroy = async () => {
    for (const component of made) component.destroy();
    for (const part of cooked) await part.close();
  };
  if (options.ensemble) checkEnsemble(options);
  try {
    const scheduler = await schedulerOf(ingredients, options.base);
    const recipe: OpenRecipe = { ...options, ingredients };
    const part = async <T extends Component, C>(
      name: WeightedComponent,
      configOf: (folder: ModelFolder) => Promise<C>,
      create: (gpu: Gpu, config: C, blend: Blend) => T,
    ): Promise<{ model: T; found: CookedPart }> => {
      const found = await cookPart(gpu, recipe, name, options);
      if (!found) throw missingPart(name, recipe);
      cooked.push(found);
      const model = create(gpu, await configOf(found.from[0]!), found.blend);
      made.push(model);
      return { model, found };
    };
    const textEncoder = await part('text_encoder', (folder) => folder.textEncoderConfig(), createTextEncoder);
    const ensemble: typeof createEnsemble = (gpu, config, blend) => {
      const size = { images: 1, height: config.sampleSize, width: config.sampleSize };
      return createEnsemble(gpu, config, blend, { room: () => vae.model.decodeFootprint(size).peak });
    };
    const unet = await part('unet', (folder) => folder.unetConfig(), options.ensemble ? ensemble : createUNet);
    const vae = await part('vae', (folder) => folder.vaeConfig(), createVae);
    checkFit(textEncoder.model, unet.model, vae.model);
    const tokenizer = await tokenizerOf(ingredients, options.base, textEncoder.model.config.maxPositions);

    const parts = { text_encoder: textEncoder, unet, vae };
    // Everything has been checked, and its memory counted, before the first weight is read.
    for (const [name, { model, found }] of Object.entries(parts)) {
      const onProgress = (done: number, total: number) => options.onProgress?.(name as WeightedComponent, done, total);
      await model.load(found.blend, { signal: options.signal, onProgress, residents: options.residents });
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
      async reblend(weights, { signal, onProgress, blocks } = {}) {
        for (const [name, { model, found }] of Object.entries(parts)) {
          if (found.blend.ingredients.length === 1) continue; // nothing to average
          throwIfAborted(signal);
          const report = (done: number, total: number) => onProgress?.(name as WeightedComponent, done, total);
          await model.load(await found.reweigh(weights, blocks), { signal, onProgress: report });
        }
      },
      destroy,
    };
  } catch (error) {
    await destroy();
    throw error;
  }
}

/** What makes new weights of the ingredients' leaves nothing to take the mean of. */
function checkEnsemble({ method = 'linear', loras }: LoadModelOptions): void {
  if (method !== 'linear' && method !== 'task_arithmetic') {
    throw new UsageError(`${method} makes weights of its own; an ensemble is a mean of what the ingredients predict`, {
      method,
    });
  }
  if (loras?.length) {
    throw new UsageError('an ensemble has no weights to bake a LoRA into; bake it into the ingredients, in a recipe');
  }
}

const missingPart = (part: WeightedComponent, { ingredients, base }: OpenRecipe): CheckpointError =>
  new CheckpointError(
    `No ${part} in ${ingredients.map(({ folder }) => folder.name).join(', ')}${base ? ` or ${base.name}` : ''}. ` +
      'Name the model that the fine-tunes started from with --base.',
    { part },
  );

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
