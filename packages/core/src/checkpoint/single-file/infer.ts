/**
 * What a single file is, from its tensors and metadata: Stable Diffusion 1 or 2, which parts, and the config of each.
 * What cannot be seen is as diffusers' from_single_file has it (loaders/single_file_utils.py).
 */
import { ConfigError } from '../../errors.js';
import {
  type ClipTextConfig,
  parseClipTextConfig,
  parseSchedulerConfig,
  parseUNetConfig,
  parseVaeConfig,
  type SchedulerConfig,
  type UNetConfig,
  type VaeConfig,
} from '../configs.js';
import type { JsonObject, JsonValue } from '../json.js';
import type { Component } from '../model-index.js';
import type { Weights } from '../weights.js';
import { type Configs, configsIn } from './configs.js';
import { inferPrediction, inferSchedulerConfig, type PredictionType, trainedSize } from './infer-scheduler.js';
import { inferTextConfig, type TextLayout, textLayoutOf } from './infer-text.js';
import { inferUNetConfig } from './infer-unet.js';
import { inferVaeConfig } from './infer-vae.js';
import { NEEDS_CONFIG, PREFIXES, partOf } from './part.js';

export interface Known {
  /** Used in place of what can be inferred. */
  readonly configs?: Configs;
  readonly predictionType?: PredictionType;
}

export interface Described<Config> {
  /** As a config.json would say it. */
  readonly json: JsonValue;
  readonly config: Config;
}

export interface Description {
  readonly version: 1 | 2;
  /** How the text encoder is named in the file. */
  readonly textLayout?: TextLayout;
  readonly unet?: Described<UNetConfig>;
  readonly vae?: Described<VaeConfig>;
  readonly text_encoder?: Described<ClipTextConfig>;
  readonly scheduler?: Described<SchedulerConfig>;
  /** What had to be assumed, a sentence each. */
  readonly notes: readonly string[];
}

/** Levels of the VAE of every Stable Diffusion 1 and 2, for a UNet that comes without one. */
const VAE_LEVELS = 4;

type Parse<Config> = (json: unknown, file: string) => Config;

export async function describe(weights: Weights, { configs, predictionType }: Known): Promise<Description> {
  const told: Configs = { ...configsIn(weights), ...configs };
  const textLayout = textLayoutOf(weights);
  const version = versionOf(weights, textLayout);
  const prediction = await inferPrediction(weights, version);
  const type = predictionType ?? prediction.type;
  const size = trainedSize(weights, version, type);

  function config<Config>(part: Component, parse: Parse<Config>, infer: () => JsonObject): Described<Config> {
    const file = `${weights.name}: ${part}`;
    const json = told[part];
    if (json !== undefined) return { json, config: parse(json, file) };
    const inferred = infer();
    return { json: inferred, config: withHint(() => parse(inferred, `${file}, as its tensors have it`)) };
  }

  const vae = hasAny(weights, PREFIXES.vae)
    ? config('vae', parseVaeConfig, () => inferVaeConfig(partOf(weights, PREFIXES.vae), size))
    : undefined;
  const latents = Math.max(1, size / 2 ** ((vae?.config.blockOutChannels.length ?? VAE_LEVELS) - 1));
  const unet = hasAny(weights, PREFIXES.unet)
    ? config('unet', parseUNetConfig, () => inferUNetConfig(partOf(weights, PREFIXES.unet), Math.floor(latents)))
    : undefined;
  const text = textLayout
    ? config('text_encoder', parseClipTextConfig, () => inferTextConfig(partOf(weights, textLayout.prefix), textLayout))
    : undefined;
  const scheduler = unet && config('scheduler', parseSchedulerConfig, () => inferSchedulerConfig(version, type));

  const assumes = unet && version === 2 && prediction.from === 'version' && !told.scheduler && !predictionType;
  return {
    version,
    ...(textLayout && { textLayout }),
    ...(unet && { unet }),
    ...(vae && { vae }),
    ...(text && { text_encoder: text }),
    ...(scheduler && { scheduler: predictionType ? predicting(scheduler, predictionType) : scheduler }),
    notes: assumes ? ['It does not say what it predicts: v is assumed, as in Stable Diffusion 2.1 of 768 pixels.'] : [],
  };
}

/** By the text encoder; a UNet alone by its transformers, which version 2 enters through matrices. */
function versionOf(weights: Weights, textLayout: TextLayout | undefined): 1 | 2 {
  if (textLayout) return textLayout.kind === 'open-clip' ? 2 : 1;
  const entry = weights.tensors.get(`${PREFIXES.unet}middle_block.1.proj_in.weight`);
  return entry?.shape.length === 2 ? 2 : 1;
}

function hasAny({ tensors }: Weights, prefix: string): boolean {
  for (const key of tensors.keys()) if (key.startsWith(prefix)) return true;
  return false;
}

function predicting({ json, config }: Described<SchedulerConfig>, predictionType: PredictionType) {
  return { json: { ...(json as JsonObject), prediction_type: predictionType }, config: { ...config, predictionType } };
}

/** An inferred config that cannot be right is one that the tensors do not tell. */
function withHint<Config>(parse: () => Config): Config {
  try {
    return parse();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${error.message}. ${NEEDS_CONFIG}`, error.facts, { cause: error });
  }
}
