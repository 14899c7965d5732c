/**
 * The config.json of a CLIP checkpoint: a CLIPModel, which has both towers, or one of them with its projection
 * (CLIPVisionModelWithProjection, CLIPTextModelWithProjection). Names and defaults are those of transformers'
 * models/clip/configuration_clip.py.
 */
import * as z from 'zod/mini';
import { type ClipTextConfig, harmless, isOff, parseClipTextConfig } from './config-clip.js';
import {
  count,
  MAX_CHANNELS,
  MAX_HEADS,
  MAX_LAYERS,
  only,
  parseOptions,
  positive,
  refusalOfOption,
} from './config-schema.js';

export interface ClipVisionConfig {
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly channels: number;
  /** Pixels of a side; positions are learned, so there is no other size. */
  readonly imageSize: number;
  /** Pixels of a patch's side. */
  readonly patchSize: number;
  readonly hiddenAct: 'quick_gelu' | 'gelu';
  readonly layerNormEps: number;
}

export interface ClipModelConfig {
  readonly text?: ClipTextConfig;
  readonly vision?: ClipVisionConfig;
  /** Channels of the space that pictures and texts share. */
  readonly projectionDim: number;
}

const visionSchema = z.object({
  model_type: z.optional(only('clip_vision_model')),
  hidden_size: z._default(count(MAX_CHANNELS), 768),
  intermediate_size: z._default(count(MAX_CHANNELS), 3072),
  projection_dim: z._default(z.nullable(count(MAX_CHANNELS)), 512),
  num_hidden_layers: z._default(count(MAX_LAYERS), 12),
  num_attention_heads: z._default(count(MAX_HEADS), 12),
  num_channels: z._default(only(3), 3),
  image_size: z._default(count(4096), 224),
  patch_size: z._default(count(1024), 32),
  hidden_act: z._default(only('quick_gelu', 'gelu'), 'quick_gelu'),
  layer_norm_eps: z._default(positive(), 1e-5),
});

const part = () => z.optional(z.nullable(z.record(z.string(), z.unknown(), 'expected an object with options')));

const modelSchema = z.object({
  model_type: z.optional(only('clip')),
  projection_dim: z._default(z.nullable(count(MAX_CHANNELS)), 512),
  text_config: part(),
  vision_config: part(),
  // What was given when the config was made; where there is one, it counts.
  text_config_dict: part(),
  vision_config_dict: part(),
});

/** Checks a vision tower's options. */
export function parseClipVisionConfig(json: unknown, file: string): ClipVisionConfig {
  const options = parseOptions(json, file, visionSchema, { harmless, isOff });
  const { hidden_size: hiddenSize, num_attention_heads: heads, image_size: side, patch_size: patch } = options;
  const refuse = refusalOfOption(file);
  if (hiddenSize % heads !== 0) {
    refuse('hidden_size', hiddenSize, `expected a multiple of num_attention_heads, ${heads}`);
  }
  if (patch > side) refuse('patch_size', patch, `expected at most the image_size, ${side}`);
  return {
    hiddenSize,
    intermediateSize: options.intermediate_size,
    layers: options.num_hidden_layers,
    heads,
    channels: options.num_channels,
    imageSize: side,
    patchSize: patch,
    hiddenAct: options.hidden_act,
    layerNormEps: options.layer_norm_eps,
  };
}

/** Checks the JSON of a CLIP checkpoint's config.json; `model_type` says which towers it has. */
export function parseClipModelConfig(json: unknown, file = 'config.json'): ClipModelConfig {
  const type = (json as { model_type?: unknown } | null)?.model_type;
  const own = (json as { projection_dim?: number | null } | null)?.projection_dim;
  if (type === 'clip_vision_model') return { vision: parseClipVisionConfig(json, file), projectionDim: own ?? 512 };
  if (type === 'clip_text_model') {
    const text = parseClipTextConfig(json, file);
    return { text, projectionDim: text.projectionDim };
  }
  if (type !== 'clip') {
    refusalOfOption(file)('model_type', type, 'expected "clip", "clip_vision_model" or "clip_text_model"');
  }
  const options = parseOptions(json, file, modelSchema, {
    harmless: [...harmless, 'logit_scale_init_value'],
    isOff,
  });
  return {
    text: parseClipTextConfig({ ...options.text_config, ...options.text_config_dict }, `${file}: text_config`),
    vision: parseClipVisionConfig(
      { ...options.vision_config, ...options.vision_config_dict },
      `${file}: vision_config`,
    ),
    projectionDim: options.projection_dim ?? 512,
  };
}
