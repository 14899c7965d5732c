/**
 * vae/config.json, an AutoencoderKL. Names and defaults are those of diffusers' models/autoencoders/autoencoder_kl.py;
 * the schema lists what this engine implements.
 */
import * as z from 'zod/mini';
import {
  count,
  flag,
  levels,
  MAX_CHANNELS,
  MAX_LAYERS,
  only,
  onlyOrAbsent,
  parseOptions,
  positive,
  type RefuseOption,
  refusalOfOption,
  sideOf,
  squareSize,
} from './config-schema.js';

export interface VaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** From the finest level to the coarsest; each but the last halves the picture. */
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normGroups: number;
  readonly actFn: 'silu';
  /** The UNet sees latents times this. */
  readonly scalingFactor: number;
  /** Later models subtract one first: not implemented, so always 0. */
  readonly shiftFactor: 0;
  /** Side of the square pictures the model was trained on, in pixels. */
  readonly sampleSize: number;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  readonly midBlockAttention: boolean;
  /** Per-channel statistics in place of the scaling factor: not implemented, so never there. */
  readonly latentsMean: null;
  readonly latentsStd: null;
}

const SAMPLE_SIZE = 32;

const schema = z.object({
  _class_name: z.optional(only('AutoencoderKL')),
  in_channels: z._default(count(MAX_CHANNELS), 3),
  out_channels: z._default(count(MAX_CHANNELS), 3),
  down_block_types: z._default(levels(only('DownEncoderBlock2D')), ['DownEncoderBlock2D']),
  up_block_types: z._default(levels(only('UpDecoderBlock2D')), ['UpDecoderBlock2D']),
  block_out_channels: z._default(levels(count(MAX_CHANNELS)), [64]),
  layers_per_block: z._default(count(MAX_LAYERS), 1),
  act_fn: onlyOrAbsent('silu', 'swish'), // two names of one function
  latent_channels: z._default(count(MAX_CHANNELS), 4),
  norm_num_groups: z._default(count(MAX_CHANNELS), 32),
  sample_size: squareSize(SAMPLE_SIZE),
  scaling_factor: z._default(positive(), 0.18215),
  shift_factor: onlyOrAbsent(null, 0), // of Stable Diffusion 3 and later

  latents_mean: onlyOrAbsent(null),
  latents_std: onlyOrAbsent(null),
  use_quant_conv: z._default(flag(), true),
  use_post_quant_conv: z._default(flag(), true),
  mid_block_add_attention: z._default(flag(), true),
});

const harmless = ['force_upcast']; // about f16 overflow in other engines; sums are f32 here

/** Checks the JSON of a vae/config.json. */
export function parseVaeConfig(json: unknown, file = 'vae/config.json'): VaeConfig {
  const options = parseOptions(json, file, schema, { harmless });
  const refuse: RefuseOption = refusalOfOption(file);
  const blockOutChannels = options.block_out_channels;
  const groups = options.norm_num_groups;
  for (const key of ['down_block_types', 'up_block_types'] as const) {
    if (options[key].length !== blockOutChannels.length) {
      refuse(key, options[key], `expected ${blockOutChannels.length} of them, one for each of block_out_channels`);
    }
  }
  blockOutChannels.forEach((channels, level) => {
    if (channels % groups === 0) return;
    refuse(`block_out_channels[${level}]`, channels, `expected a multiple of norm_num_groups, ${groups}`);
  });
  return {
    inChannels: options.in_channels,
    outChannels: options.out_channels,
    latentChannels: options.latent_channels,
    blockOutChannels,
    layersPerBlock: options.layers_per_block,
    normGroups: groups,
    actFn: 'silu',
    scalingFactor: options.scaling_factor,
    shiftFactor: 0,
    sampleSize: sideOf(options.sample_size, SAMPLE_SIZE),
    useQuantConv: options.use_quant_conv,
    usePostQuantConv: options.use_post_quant_conv,
    midBlockAttention: options.mid_block_add_attention,
    latentsMean: null,
    latentsStd: null,
  };
}
