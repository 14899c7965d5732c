/**
 * What a tensor is called in a single file (CompVis' latent-diffusion, which A1111 and ComfyUI read) and in a diffusers
 * folder: one table for both directions. Names were checked against diffusers' loaders/single_file_utils.py and
 * scripts/convert_diffusers_to_original_stable_diffusion.py; counts and numbering come from the model's config.
 */
import { ConfigError } from '../../errors.js';
import type { ClipTextConfig, UNetConfig, VaeConfig } from '../configs.js';

/** One tensor of a diffusers folder, and where it is in a single file. */
export interface KeyPair {
  /** In the single file, after the prefix of its part. */
  readonly ldm: string;
  readonly diffusers: string;
  /** What older or newer diffusers folders call it. */
  readonly alias?: string;
  /** A matrix that the single file keeps as a convolution of one pixel: [C, C, 1, 1]. */
  readonly conv?: true;
  /** Which third of the file's rows: q, k and v in one matrix. */
  readonly third?: 0 | 1 | 2;
  /** Only where its layer changes the number of channels. */
  readonly optional?: true;
}

type Extra = Omit<KeyPair, 'ldm' | 'diffusers'>;

/** A layer: its name in the single file and in diffusers, and what is special about its tensors. */
type Row = readonly [ldm: string, diffusers: string, extra?: Extra & { readonly bias?: false }];

const UNET: readonly Row[] = [
  ['time_embed.0', 'time_embedding.linear_1'],
  ['time_embed.2', 'time_embedding.linear_2'],
  ['input_blocks.0.0', 'conv_in'],
  ['out.0', 'conv_norm_out'],
  ['out.2', 'conv_out'],
];

const UNET_RESNET: readonly Row[] = [
  ['in_layers.0', 'norm1'],
  ['in_layers.2', 'conv1'],
  ['emb_layers.1', 'time_emb_proj'],
  ['out_layers.0', 'norm2'],
  ['out_layers.3', 'conv2'],
  ['skip_connection', 'conv_shortcut', { optional: true }],
];

const same = (...names: string[]): Row[] => names.map((name) => [name, name]);
const sameWithoutBias = (...names: string[]): Row[] => names.map((name) => [name, name, { bias: false }]);

const TRANSFORMER = same('norm', 'proj_in', 'proj_out');

const TRANSFORMER_BLOCK: readonly Row[] = [
  ...same('norm1', 'norm2', 'norm3', 'attn1.to_out.0', 'attn2.to_out.0', 'ff.net.0.proj', 'ff.net.2'),
  ...sameWithoutBias('attn1.to_q', 'attn1.to_k', 'attn1.to_v', 'attn2.to_q', 'attn2.to_k', 'attn2.to_v'),
];

const VAE_HALF: readonly Row[] = [...same('conv_in', 'conv_out'), ['norm_out', 'conv_norm_out']];

const VAE_RESNET: readonly Row[] = [
  ...same('norm1', 'conv1', 'norm2', 'conv2'),
  ['nin_shortcut', 'conv_shortcut', { optional: true }],
];

const VAE_ATTENTION: readonly Row[] = [
  ['norm', 'group_norm'],
  ['q', 'to_q', { conv: true, alias: 'query' }],
  ['k', 'to_k', { conv: true, alias: 'key' }],
  ['v', 'to_v', { conv: true, alias: 'value' }],
  ['proj_out', 'to_out.0', { conv: true, alias: 'proj_attn' }],
];

const CLIP_LAYER = same(
  ...['layer_norm1', 'layer_norm2', 'mlp.fc1', 'mlp.fc2'],
  ...['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'self_attn.out_proj'],
);

const OPEN_CLIP_LAYER: readonly Row[] = [
  ['ln_1', 'layer_norm1'],
  ['ln_2', 'layer_norm2'],
  ['mlp.c_fc', 'mlp.fc1'],
  ['mlp.c_proj', 'mlp.fc2'],
  ['attn.out_proj', 'self_attn.out_proj'],
];

const THIRDS = [
  ['q_proj', 0],
  ['k_proj', 1],
  ['v_proj', 2],
] as const;

/** Every tensor of these layers; biases are no convolutions. */
function* tensors(rows: readonly Row[], ldm: string, diffusers: string): Generator<KeyPair> {
  for (const [from, to, { bias, alias, conv, ...extra } = {}] of rows) {
    for (const name of bias === false ? ['weight'] : ['weight', 'bias']) {
      yield {
        ldm: `${ldm}${from}.${name}`,
        diffusers: `${diffusers}${to}.${name}`,
        ...extra,
        ...(alias !== undefined && { alias: `${diffusers}${alias}.${name}` }),
        ...(conv && name === 'weight' && { conv }),
      };
    }
  }
}

export type UNetStructure = Pick<
  UNetConfig,
  'layersPerBlock' | 'downBlocks' | 'midBlock' | 'upBlocks' | 'transformerLayers'
>;

/** In a single file every layer and every change of size has a number of its own; in diffusers, levels have layers. */
export function* unetKeys(config: UNetStructure): Generator<KeyPair> {
  const { layersPerBlock, downBlocks, upBlocks, transformerLayers } = config;
  const last = layersPerBlock.length - 1;
  if (config.midBlock !== 'cross-attention') {
    const found = `a UNet without attention in its middle (mid_block_type "${config.midBlock}")`;
    throw new ConfigError(`A single file has no place for ${found}. Keep it as a diffusers folder.`);
  }
  function* transformer(ldm: string, diffusers: string, depth: number): Generator<KeyPair> {
    yield* tensors(TRANSFORMER, `${ldm}.`, `${diffusers}.`);
    for (let k = 0; k < depth; k++) {
      const block = `.transformer_blocks.${k}.`;
      yield* tensors(TRANSFORMER_BLOCK, ldm + block, diffusers + block);
    }
  }
  yield* tensors(UNET, '', '');
  let n = 1;
  for (const [i, layers] of layersPerBlock.entries()) {
    for (let j = 0; j < layers; j++, n++) {
      yield* tensors(UNET_RESNET, `input_blocks.${n}.0.`, `down_blocks.${i}.resnets.${j}.`);
      if (!downBlocks[i]!.attention) continue;
      yield* transformer(`input_blocks.${n}.1`, `down_blocks.${i}.attentions.${j}`, transformerLayers[i]!);
    }
    if (i < last) yield* tensors([[`${n++}.0.op`, `${i}.downsamplers.0.conv`]], 'input_blocks.', 'down_blocks.');
  }
  yield* tensors(UNET_RESNET, 'middle_block.0.', 'mid_block.resnets.0.');
  yield* transformer('middle_block.1', 'mid_block.attentions.0', transformerLayers[last]!);
  yield* tensors(UNET_RESNET, 'middle_block.2.', 'mid_block.resnets.1.');
  n = 0;
  for (const [i, { attention }] of upBlocks.entries()) {
    const level = last - i;
    for (let j = 0; j <= layersPerBlock[level]!; j++, n++) {
      yield* tensors(UNET_RESNET, `output_blocks.${n}.0.`, `up_blocks.${i}.resnets.${j}.`);
      if (!attention) continue;
      yield* transformer(`output_blocks.${n}.1`, `up_blocks.${i}.attentions.${j}`, transformerLayers[level]!);
    }
    if (level === 0) continue;
    const up: Row = [`${n - 1}.${attention ? 2 : 1}.conv`, `${i}.upsamplers.0.conv`];
    yield* tensors([up], 'output_blocks.', 'up_blocks.');
  }
}

export type VaeStructure = Pick<
  VaeConfig,
  'blockOutChannels' | 'layersPerBlock' | 'useQuantConv' | 'usePostQuantConv' | 'midBlockAttention'
>;

/** A single file numbers the decoder's levels from the finest, as the encoder's; diffusers as they are run. */
export function* vaeKeys(config: VaeStructure): Generator<KeyPair> {
  const last = config.blockOutChannels.length - 1;
  for (const half of ['encoder', 'decoder']) {
    yield* tensors(VAE_HALF, `${half}.`, `${half}.`);
    for (const j of [0, 1]) {
      yield* tensors(VAE_RESNET, `${half}.mid.block_${j + 1}.`, `${half}.mid_block.resnets.${j}.`);
    }
    if (!config.midBlockAttention) continue;
    yield* tensors(VAE_ATTENTION, `${half}.mid.attn_1.`, `${half}.mid_block.attentions.0.`);
  }
  for (let i = 0; i <= last; i++) {
    const [down, up] = [`encoder.down.${i}.`, `decoder.up.${last - i}.`];
    const [downBlock, upBlock] = [`encoder.down_blocks.${i}.`, `decoder.up_blocks.${i}.`];
    for (let j = 0; j <= config.layersPerBlock; j++) {
      if (j < config.layersPerBlock) yield* tensors(VAE_RESNET, `${down}block.${j}.`, `${downBlock}resnets.${j}.`);
      yield* tensors(VAE_RESNET, `${up}block.${j}.`, `${upBlock}resnets.${j}.`);
    }
    if (i === last) continue;
    yield* tensors([['downsample.conv', 'downsamplers.0.conv']], down, downBlock);
    yield* tensors([['upsample.conv', 'upsamplers.0.conv']], up, upBlock);
  }
  if (config.useQuantConv) yield* tensors(same('quant_conv'), '', '');
  if (config.usePostQuantConv) yield* tensors(same('post_quant_conv'), '', '');
}

export type ClipStructure = Pick<ClipTextConfig, 'layers'>;

/** transformers 5.6 left "text_model." out of its names; both are read. */
const TEXT_MODEL = 'text_model.';

function* withAlias(pairs: Iterable<KeyPair>): Generator<KeyPair> {
  for (const pair of pairs) yield { ...pair, alias: pair.diffusers.slice(TEXT_MODEL.length) };
}

/** OpenAI's CLIP of Stable Diffusion 1, which kept transformers' names. */
export function* clipKeys({ layers }: ClipStructure): Generator<KeyPair> {
  const embeddings = sameWithoutBias('embeddings.token_embedding', 'embeddings.position_embedding');
  yield* withAlias(tensors([...embeddings, ...same('final_layer_norm')], '', TEXT_MODEL));
  for (let i = 0; i < layers; i++) {
    const layer = `encoder.layers.${i}.`;
    yield* withAlias(tensors(CLIP_LAYER, layer, TEXT_MODEL + layer));
  }
}

/** OpenCLIP of Stable Diffusion 2: https://github.com/mlfoundations/open_clip, which keeps q, k and v in one matrix. */
export function* openClipKeys({ layers }: ClipStructure): Generator<KeyPair> {
  const embeddings = `${TEXT_MODEL}embeddings.`;
  yield* withAlias([
    { ldm: 'token_embedding.weight', diffusers: `${embeddings}token_embedding.weight` },
    { ldm: 'positional_embedding', diffusers: `${embeddings}position_embedding.weight` },
    ...tensors([['ln_final', 'final_layer_norm']], '', TEXT_MODEL),
  ]);
  for (let i = 0; i < layers; i++) {
    const [ldm, diffusers] = [`transformer.resblocks.${i}.`, `${TEXT_MODEL}encoder.layers.${i}.`];
    yield* withAlias(tensors(OPEN_CLIP_LAYER, ldm, diffusers));
    for (const name of ['weight', 'bias']) {
      for (const [proj, third] of THIRDS) {
        const pair = { ldm: `${ldm}attn.in_proj_${name}`, diffusers: `${diffusers}self_attn.${proj}.${name}`, third };
        yield* withAlias([pair]);
      }
    }
  }
}
