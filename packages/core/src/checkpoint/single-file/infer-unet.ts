/**
 * The config of a UNet from its tensors in a single file. Everything but the number of attention heads, the groups of
 * the norms and the size of pictures shows in names and shapes; those are as in every published model.
 */
import type { JsonObject } from '../json.js';
import { NEEDS_CONFIG, type Part } from './part.js';

/** Stable Diffusion 1 has 8 heads everywhere, 2 has heads of 64 channels. */
const HEADS = 8;
const HEAD_CHANNELS = 64;

interface Level {
  channels: number;
  layers: number;
  attention: boolean;
  /** Transformer blocks of each attention. */
  depth: number;
}

/** The JSON of a unet/config.json; `sampleSize` is the side of the latents that the model was trained on. */
export function inferUNetConfig(part: Part, sampleSize: number): JsonObject {
  const levels = levelsOf(part);
  const up = upAttention(part, levels);
  // Stable Diffusion 1 enters a transformer by a convolution of one pixel, 2 by a matrix: the same sums, other shapes.
  const linear = part.rank('middle_block.1.proj_in.weight') === 2;
  const coarsest = levels.length - 1;
  const attends = (i: number) => levels[i]!.attention || up[coarsest - i]! || i === coarsest;
  levels[coarsest]!.depth ||= depthOf(part, 'middle_block.1');
  levels.forEach((level, i) => {
    level.depth ||= up[coarsest - i] ? depthOf(part, `output_blocks.${firstOutput(levels, i)}.1`) : 1;
  });
  return {
    _class_name: 'UNet2DConditionModel',
    sample_size: sampleSize,
    in_channels: part.shape('input_blocks.0.0.weight', 4)[1]!,
    out_channels: part.shape('out.2.weight', 4)[0]!,
    down_block_types: levels.map(({ attention }) => (attention ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    up_block_types: up.map((attention) => (attention ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    block_out_channels: levels.map(({ channels }) => channels),
    layers_per_block: oneOrAll(levels.map(({ layers }) => layers)),
    transformer_layers_per_block: oneOrAll(levels.map(({ depth }) => depth)),
    cross_attention_dim: part.shape('middle_block.1.transformer_blocks.0.attn2.to_k.weight', 2)[1]!,
    attention_head_dim: linear ? levels.map((level, i) => headsOf(part, i, level, attends(i))) : HEADS,
    use_linear_projection: linear,
    conv_in_kernel: part.shape('input_blocks.0.0.weight', 4)[2]!,
    conv_out_kernel: part.shape('out.2.weight', 4)[2]!,
    norm_num_groups: 32,
    norm_eps: 1e-5,
    act_fn: 'silu',
  };
}

/** From the finest level to the coarsest: each but the last ends with a layer `op` that halves the picture. */
function levelsOf(part: Part): Level[] {
  const levels: Level[] = [{ channels: 0, layers: 0, attention: false, depth: 0 }];
  for (let n = 1; ; n++) {
    const at = `input_blocks.${n}`;
    const level = levels.at(-1)!;
    const conv = `${at}.0.in_layers.2.weight`;
    if (part.has(`${at}.0.op.weight`)) {
      if (level.layers === 0) part.refuse(`${at}.0.op.weight`, 'halves the picture before any layer of its level');
      levels.push({ channels: 0, layers: 0, attention: false, depth: 0 });
    } else if (part.has(conv)) {
      const channels = part.shape(conv, 4)[0]!;
      const attention = part.has(`${at}.1.norm.weight`);
      if (level.layers === 0) {
        Object.assign(level, { channels, attention, depth: attention ? depthOf(part, `${at}.1`) : 0 });
      } else if (channels !== level.channels) {
        part.refuse(conv, `gives ${channels} channels, but its level began with ${level.channels}`);
      }
      level.layers++;
    } else {
      if (level.layers === 0) part.refuse(conv, 'is missing');
      return levels;
    }
  }
}

/** By up_blocks.i, from the coarsest level: an upsampler has no norm, so only attention has one at index 1. */
function upAttention(part: Part, levels: readonly Level[]): boolean[] {
  return levels.map((_, i) => part.has(`output_blocks.${firstOutput(levels, levels.length - 1 - i)}.1.norm.weight`));
}

/** The way up runs through the levels backwards, with one layer more in each. */
function firstOutput(levels: readonly Level[], level: number): number {
  return levels.slice(level + 1).reduce((sum, { layers }) => sum + layers + 1, 0);
}

const depthOf = (part: Part, at: string): number =>
  part.count((k) => `${at}.transformer_blocks.${k}.norm1.weight`) || 1;

/** As many as there are whole heads; levels without attention have a number too, which nobody reads. */
function headsOf(part: Part, level: number, { channels }: Level, attends: boolean): number {
  if (channels % HEAD_CHANNELS === 0) return channels / HEAD_CHANNELS;
  if (!attends) return 1;
  return part.refuse(
    'middle_block.1.proj_in.weight',
    `is a matrix, as in Stable Diffusion 2, where heads have ${HEAD_CHANNELS} channels; but level ${level} has ${channels}`,
    NEEDS_CONFIG,
  );
}

const oneOrAll = (values: readonly number[]): number | number[] =>
  values.every((value) => value === values[0]) ? values[0]! : [...values];
