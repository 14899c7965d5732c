/**
 * text_encoder/config.json, a CLIPTextModel. Names and defaults are those of transformers'
 * models/clip/configuration_clip.py; the schema lists what this engine implements.
 */
import * as z from 'zod/mini';
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

export interface ClipTextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Tokens of one prompt, with the start and end tokens. */
  readonly maxPositions: number;
  readonly hiddenAct: 'quick_gelu' | 'gelu';
  readonly layerNormEps: number;
  /** As the file says; old files say 0, 2 and 1, which the tokenizer's own ids contradict. */
  readonly bosTokenId: number | null;
  readonly eosTokenId: number | null;
  readonly padTokenId: number | null;
  readonly projectionDim: number;
}

/** The largest known vocabulary has 256,000 tokens. */
const MAX_VOCABULARY = 2 ** 20;

function tokenId(fallback: number) {
  const message = 'expected a token id, 0 or more, or null';
  const id = z.number(message).check(z.refine((n) => Number.isInteger(n) && n >= 0 && n < MAX_VOCABULARY, message));
  return z._default(z.nullable(id), fallback);
}

const schema = z.object({
  model_type: z.optional(only('clip_text_model')),
  vocab_size: z._default(count(MAX_VOCABULARY), 49408),
  hidden_size: z._default(count(MAX_CHANNELS), 512),
  intermediate_size: z._default(count(MAX_CHANNELS), 2048),
  projection_dim: z._default(z.nullable(count(MAX_CHANNELS)), 512),
  num_hidden_layers: z._default(count(MAX_LAYERS), 12),
  num_attention_heads: z._default(count(MAX_HEADS), 8),
  max_position_embeddings: z._default(count(MAX_CHANNELS), 77),
  hidden_act: z._default(only('quick_gelu', 'gelu'), 'quick_gelu'),
  layer_norm_eps: z._default(positive(), 1e-5),
  pad_token_id: tokenId(1),
  bos_token_id: tokenId(49406),
  eos_token_id: tokenId(49407),
});

/** transformers writes every option of every model into a config; these say nothing about this model's values. */
export const harmless = [
  // Training and initial values.
  ...['attention_dropout', 'dropout', 'initializer_factor', 'initializer_range', 'gradient_checkpointing'],
  // Who wrote it, and in which type.
  ...[
    'architectures',
    'torch_dtype',
    'dtype',
    'transformers_version',
    'tokenizer_class',
    'use_bfloat16',
    'torchscript',
  ],
  // What a Python call returns.
  ...['return_dict', 'use_return_dict', 'output_attentions', 'output_hidden_states', 'return_dict_in_generate'],
  ...['output_scores', 'use_cache', 'chunk_size_feed_forward', 'attn_implementation'],
  // Generating text, which an encoder does not do.
  ...['max_length', 'min_length', 'do_sample', 'early_stopping', 'num_beams', 'num_beam_groups', 'temperature'],
  ...['top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty', 'diversity_penalty', 'bad_words_ids'],
  ...['no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'num_return_sequences', 'remove_invalid_values'],
  // Classification, TensorFlow, and tying weights that this model does not have.
  ...['id2label', 'label2id', 'problem_type', 'tf_legacy_loss', 'tie_encoder_decoder', 'tie_word_embeddings'],
];

/** Nothing, as Python sees it. */
export function isOff(value: unknown): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0;
  return value === null || value === false || value === 0 || value === '';
}

/** Checks the JSON of a text_encoder/config.json. */
export function parseClipTextConfig(json: unknown, file = 'text_encoder/config.json'): ClipTextConfig {
  const options = parseOptions(json, file, schema, { harmless, isOff });
  const { hidden_size: hiddenSize, num_attention_heads: heads } = options;
  if (hiddenSize % heads !== 0) {
    refusalOfOption(file)('hidden_size', hiddenSize, `expected a multiple of num_attention_heads, ${heads}`);
  }
  return {
    vocabSize: options.vocab_size,
    hiddenSize,
    intermediateSize: options.intermediate_size,
    layers: options.num_hidden_layers,
    heads,
    maxPositions: options.max_position_embeddings,
    hiddenAct: options.hidden_act,
    layerNormEps: options.layer_norm_eps,
    bosTokenId: options.bos_token_id,
    eosTokenId: options.eos_token_id,
    padTokenId: options.pad_token_id,
    projectionDim: options.projection_dim ?? 512,
  };
}
