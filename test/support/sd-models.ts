/** Stable Diffusion 1.5 and 2.1 in their real sizes, and any other, as configs and as the layout of a single file. */
import {
  type ClipTextConfig,
  parseClipTextConfig,
  parseUNetConfig,
  parseVaeConfig,
  type SingleFileTensor,
  singleFileLayout,
} from '@diffusion-soup/core';
import {
  type ClipSizes,
  clipShapes,
  type Shapes,
  specsOf,
  type UNetSizes,
  unetShapes,
  type VaeSizes,
  vaeShapes,
} from './sd-shapes.ts';

const ATTENTION = [true, true, true, false];
const SD15_UNET: UNetSizes = {
  inChannels: 4,
  outChannels: 4,
  channels: [320, 640, 1280, 1280],
  layers: [2, 2, 2, 2],
  downAttention: ATTENTION,
  upAttention: [...ATTENTION].reverse(),
  depth: [1, 1, 1, 1],
  context: 768,
  linear: false,
};
const SD21_UNET: UNetSizes = { ...SD15_UNET, context: 1024, linear: true };
const VAE: VaeSizes = { channels: [128, 256, 512, 512], layers: 2, latents: 4 };
const CLIP: ClipSizes = { vocabulary: 49408, positions: 77, channels: 768, layers: 12 };
const VIT_H: ClipSizes = { vocabulary: 49408, positions: 77, channels: 1024, layers: 23 };

const types = (attention: readonly boolean[], name: string) =>
  attention.map((has) => (has ? `CrossAttn${name}` : name));

/** As a config.json would say it. */
export const unetConfig = (sizes: UNetSizes, more: Record<string, unknown> = {}) =>
  parseUNetConfig({
    in_channels: sizes.inChannels,
    out_channels: sizes.outChannels,
    block_out_channels: [...sizes.channels],
    layers_per_block: [...sizes.layers],
    down_block_types: types(sizes.downAttention, 'DownBlock2D'),
    up_block_types: types(sizes.upAttention, 'UpBlock2D'),
    transformer_layers_per_block: [...sizes.depth],
    cross_attention_dim: sizes.context,
    use_linear_projection: sizes.linear,
    attention_head_dim: sizes.linear ? sizes.channels.map((c) => c / 64) : 8,
    ...more,
  });
export const vaeConfig = ({ channels, layers, latents }: VaeSizes, more: Record<string, unknown> = {}) =>
  parseVaeConfig({
    block_out_channels: [...channels],
    down_block_types: channels.map(() => 'DownEncoderBlock2D'),
    up_block_types: channels.map(() => 'UpDecoderBlock2D'),
    layers_per_block: layers,
    latent_channels: latents,
    ...more,
  });
export const clipConfig = (
  sizes: ClipSizes,
  hidden_act: ClipTextConfig['hiddenAct'],
  more: Record<string, unknown> = {},
) =>
  parseClipTextConfig({
    vocab_size: sizes.vocabulary,
    hidden_size: sizes.channels,
    intermediate_size: 4 * sizes.channels,
    num_hidden_layers: sizes.layers,
    num_attention_heads: sizes.channels / 64,
    max_position_embeddings: sizes.positions,
    hidden_act,
    ...more,
  });

export interface Model {
  readonly unet: UNetSizes;
  readonly vae: VaeSizes;
  readonly clip: ClipSizes;
  readonly act: ClipTextConfig['hiddenAct'];
}

export const shapesOf = ({ unet, vae, clip }: Model): Record<'unet' | 'vae' | 'text_encoder', Shapes> => ({
  unet: unetShapes(unet),
  vae: vaeShapes(vae),
  text_encoder: clipShapes(clip),
});

export function layoutOf(model: Model): SingleFileTensor[] {
  const shapes = shapesOf(model);
  return singleFileLayout({
    unet: { config: unetConfig(model.unet), tensors: specsOf(shapes.unet) },
    vae: { config: vaeConfig(model.vae), tensors: specsOf(shapes.vae) },
    text_encoder: { config: clipConfig(model.clip, model.act), tensors: specsOf(shapes.text_encoder) },
  });
}

export const SD15: Model = { unet: SD15_UNET, vae: VAE, clip: CLIP, act: 'quick_gelu' };
export const SD21: Model = { unet: SD21_UNET, vae: VAE, clip: VIT_H, act: 'gelu' };

const SMALL_UNET: UNetSizes = {
  ...SD15_UNET,
  channels: [64, 128, 128],
  layers: [2, 2, 2],
  downAttention: [true, true, false],
  upAttention: [false, true, true],
  depth: [1, 1, 1],
  context: 64,
};

/** Few and small tensors, in the layout of either version. */
export const SMALL1: Model = {
  unet: SMALL_UNET,
  vae: { channels: [32, 64], layers: 1, latents: 4 },
  clip: { vocabulary: 100, positions: 16, channels: 64, layers: 4 },
  act: 'quick_gelu',
};
export const SMALL2: Model = { ...SMALL1, unet: { ...SMALL_UNET, linear: true }, act: 'gelu' };
