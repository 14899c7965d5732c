/**
 * unet/config.json, a UNet2DConditionModel. Names and defaults are those of diffusers'
 * models/unets/unet_2d_condition.py; the schema lists what this engine implements.
 */
import * as z from 'zod/mini';
import {
  count,
  flag,
  levels,
  MAX_CHANNELS,
  MAX_HEADS,
  MAX_LAYERS,
  only,
  onlyOrAbsent,
  parseOptions,
  perLevel,
  positive,
  type RefuseOption,
  refusalOfOption,
  sideOf,
  squareSize,
} from './config-schema.js';

export interface UNetConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  /** Lists of numbers have one for each level, from the finest (down_blocks.0) to the coarsest. */
  readonly blockOutChannels: readonly number[];
  /** By down_blocks.i. */
  readonly downBlocks: readonly { readonly attention: boolean }[];
  /** By up_blocks.i: from the coarsest level to the finest. */
  readonly upBlocks: readonly { readonly attention: boolean }[];
  readonly midBlock: 'cross-attention' | 'plain' | 'none';
  readonly layersPerBlock: readonly number[];
  readonly heads: readonly number[];
  readonly transformerLayers: readonly number[];
  readonly crossAttentionDim: readonly number[];
  readonly useLinearProjection: boolean;
  readonly normGroups: number;
  readonly normEps: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly centerInputSample: boolean;
  readonly convInKernel: number;
  readonly convOutKernel: number;
  /** Side of the square latents the model was trained on. */
  readonly sampleSize: number;
  readonly downsamplePadding: 0 | 1;
  readonly midBlockScaleFactor: number;
}

/** Where a config does not say: 64 latents are the 512 pixels of Stable Diffusion 1. */
const SAMPLE_SIZE = 64;

/** A kernel must be odd to have a centre; diffusers has no model above 7. */
const kernel = () => z.literal([1, 3, 5, 7], 'this engine supports only 1, 3, 5 or 7');

/** Sinusoids are shifted by 0 or 1 in every known model. */
const shift = () => z.number('expected a number').check(z.gte(0, 'expected 0 or more'), z.lt(2, 'expected below 2'));

const schema = z.object({
  _class_name: z.optional(only('UNet2DConditionModel')),
  sample_size: squareSize(SAMPLE_SIZE),
  in_channels: z._default(count(MAX_CHANNELS), 4),
  out_channels: z._default(count(MAX_CHANNELS), 4),
  center_input_sample: z._default(flag(), false),
  flip_sin_to_cos: z._default(flag(), true),
  freq_shift: z._default(shift(), 0),
  down_block_types: z._default(levels(only('CrossAttnDownBlock2D', 'DownBlock2D')), [
    'CrossAttnDownBlock2D',
    'CrossAttnDownBlock2D',
    'CrossAttnDownBlock2D',
    'DownBlock2D',
  ]),
  mid_block_type: z._default(only('UNetMidBlock2DCrossAttn', 'UNetMidBlock2D', null), 'UNetMidBlock2DCrossAttn'),
  up_block_types: z._default(levels(only('UpBlock2D', 'CrossAttnUpBlock2D')), [
    'UpBlock2D',
    'CrossAttnUpBlock2D',
    'CrossAttnUpBlock2D',
    'CrossAttnUpBlock2D',
  ]),
  block_out_channels: z._default(levels(count(MAX_CHANNELS)), [320, 640, 1280, 1280]),
  layers_per_block: z._default(perLevel(MAX_LAYERS), 2),
  transformer_layers_per_block: z._default(perLevel(MAX_LAYERS), 1),
  // Named by mistake, and kept so by diffusers for 40,000 configs: it is the number of heads.
  attention_head_dim: z._default(perLevel(MAX_HEADS), 8),
  // So diffusers refuses the option that would be named rightly, and no model has it.
  num_attention_heads: onlyOrAbsent(null),
  cross_attention_dim: z._default(perLevel(MAX_CHANNELS), 1280),
  use_linear_projection: z._default(flag(), false),
  norm_num_groups: z._default(count(MAX_CHANNELS), 32),
  norm_eps: z._default(positive(), 1e-5),
  downsample_padding: z._default(only(0, 1), 1),
  mid_block_scale_factor: onlyOrAbsent(1),
  conv_in_kernel: z._default(kernel(), 3),
  conv_out_kernel: z._default(kernel(), 3),
  act_fn: onlyOrAbsent('silu', 'swish'), // two names of one function
  // Scores are summed in f32 whatever this says.
  upcast_attention: z._default(z.nullable(flag()), false),
  only_cross_attention: z._default(
    z.union([z.literal(false), z.array(z.literal(false))], 'this engine supports only false'),
    false,
  ),
  mid_block_only_cross_attention: z._default(z.nullable(only(false)), null),
  reverse_transformer_layers_per_block: onlyOrAbsent(null),
  encoder_hid_dim: onlyOrAbsent(null),
  encoder_hid_dim_type: onlyOrAbsent(null),
  dual_cross_attention: onlyOrAbsent(false),
  class_embed_type: onlyOrAbsent(null),
  addition_embed_type: onlyOrAbsent(null),
  addition_time_embed_dim: onlyOrAbsent(null),
  num_class_embeds: onlyOrAbsent(null),
  resnet_time_scale_shift: onlyOrAbsent('default'),
  resnet_skip_time_act: onlyOrAbsent(false),
  resnet_out_scale_factor: onlyOrAbsent(1),
  time_embedding_type: onlyOrAbsent('positional'),
  time_embedding_dim: onlyOrAbsent(null),
  time_embedding_act_fn: onlyOrAbsent(null),
  timestep_post_act: onlyOrAbsent(null),
  time_cond_proj_dim: onlyOrAbsent(null),
  projection_class_embeddings_input_dim: onlyOrAbsent(null),
  attention_type: onlyOrAbsent('default'),
  class_embeddings_concat: onlyOrAbsent(false),
  cross_attention_norm: onlyOrAbsent(null),
});

const harmless = [
  'dropout', // only in training
  'addition_embed_type_num_heads', // only with addition_embed_type
  // Left behind by diffusers' EMAModel when it saves an averaged model.
  'decay',
  'min_decay',
  'optimization_step',
  'update_after_step',
  'use_ema_warmup',
  'inv_gamma',
  'power',
];

/** Checks the JSON of a unet/config.json. */
export function parseUNetConfig(json: unknown, file = 'unet/config.json'): UNetConfig {
  const options = parseOptions(json, file, schema, { harmless });
  const refuse: RefuseOption = refusalOfOption(file);
  const blockOutChannels = options.block_out_channels;
  const depth = blockOutChannels.length;
  const spread = (key: keyof typeof options, value: number | readonly number[]): readonly number[] => {
    const list = typeof value === 'number' ? blockOutChannels.map(() => value) : value;
    if (list.length !== depth) refuse(key, value, `expected ${depth} of them, one for each of block_out_channels`);
    return list;
  };
  for (const key of ['down_block_types', 'up_block_types'] as const) {
    if (options[key].length !== depth) {
      refuse(key, options[key], `expected ${depth} of them, one for each of block_out_channels`);
    }
  }
  const config: UNetConfig = {
    inChannels: options.in_channels,
    outChannels: options.out_channels,
    blockOutChannels,
    downBlocks: options.down_block_types.map((type) => ({ attention: type === 'CrossAttnDownBlock2D' })),
    upBlocks: options.up_block_types.map((type) => ({ attention: type === 'CrossAttnUpBlock2D' })),
    midBlock: midBlockOf(options.mid_block_type),
    layersPerBlock: spread('layers_per_block', options.layers_per_block),
    heads: spread('attention_head_dim', options.attention_head_dim),
    transformerLayers: spread('transformer_layers_per_block', options.transformer_layers_per_block),
    crossAttentionDim: spread('cross_attention_dim', options.cross_attention_dim),
    useLinearProjection: options.use_linear_projection,
    normGroups: options.norm_num_groups,
    normEps: options.norm_eps,
    flipSinToCos: options.flip_sin_to_cos,
    freqShift: options.freq_shift,
    centerInputSample: options.center_input_sample,
    convInKernel: options.conv_in_kernel,
    convOutKernel: options.conv_out_kernel,
    sampleSize: sideOf(options.sample_size, SAMPLE_SIZE),
    downsamplePadding: options.downsample_padding,
    midBlockScaleFactor: options.mid_block_scale_factor,
  };
  checkDivisibility(config, refuse);
  return config;
}

function midBlockOf(type: 'UNetMidBlock2DCrossAttn' | 'UNetMidBlock2D' | null): UNetConfig['midBlock'] {
  if (type === null) return 'none';
  return type === 'UNetMidBlock2D' ? 'plain' : 'cross-attention';
}

function checkDivisibility(config: UNetConfig, refuse: RefuseOption): void {
  const { blockOutChannels, normGroups, heads, downBlocks, upBlocks, midBlock } = config;
  const last = blockOutChannels.length - 1;
  blockOutChannels.forEach((channels, level) => {
    const key = `block_out_channels[${level}]`;
    if (channels % normGroups !== 0) refuse(key, channels, `expected a multiple of norm_num_groups, ${normGroups}`);
    const attends =
      downBlocks[level]!.attention ||
      upBlocks[last - level]!.attention ||
      (level === last && midBlock === 'cross-attention');
    if (attends && channels % heads[level]! !== 0) {
      refuse(key, channels, `expected a multiple of attention_head_dim, here the number of heads, ${heads[level]}`);
    }
  });
  if (blockOutChannels[0]! % 2 !== 0) {
    refuse('block_out_channels[0]', blockOutChannels[0], 'expected an even number: half are sines, half cosines');
  }
}
