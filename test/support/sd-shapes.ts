/**
 * The tensors of Stable Diffusion's networks as diffusers and transformers name them, from the modules that make them:
 * written from the models' definitions, and apart from core's table of names, which is tested with it.
 */
import { encodeSafetensorsHeader, type Source, type TensorSpec } from '@diffusion-soup/core';

export type Shapes = Map<string, readonly number[]>;

export interface UNetSizes {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly channels: readonly number[];
  readonly layers: readonly number[];
  readonly downAttention: readonly boolean[];
  /** By up_blocks.i, from the coarsest level. */
  readonly upAttention: readonly boolean[];
  readonly depth: readonly number[];
  readonly context: number;
  readonly linear: boolean;
}

const named = (shapes: Shapes) => ({
  linear: (name: string, out: number, input: number, bias = true) => {
    shapes.set(`${name}.weight`, [out, input]);
    if (bias) shapes.set(`${name}.bias`, [out]);
  },
  conv: (name: string, out: number, input: number, kernel = 3) => {
    shapes.set(`${name}.weight`, [out, input, kernel, kernel]);
    shapes.set(`${name}.bias`, [out]);
  },
  norm: (name: string, channels: number) => {
    shapes.set(`${name}.weight`, [channels]);
    shapes.set(`${name}.bias`, [channels]);
  },
});

function resnet(shapes: Shapes, name: string, input: number, out: number, time?: number): void {
  const { norm, conv, linear } = named(shapes);
  norm(`${name}.norm1`, input);
  conv(`${name}.conv1`, out, input);
  if (time) linear(`${name}.time_emb_proj`, out, time);
  norm(`${name}.norm2`, out);
  conv(`${name}.conv2`, out, out);
  if (input !== out) conv(`${name}.conv_shortcut`, out, input, 1);
}

function transformer(shapes: Shapes, name: string, c: number, { context, linear: isLinear }: UNetSizes, depth: number) {
  const { norm, conv, linear } = named(shapes);
  const project = (which: string) => (isLinear ? linear(`${name}.${which}`, c, c) : conv(`${name}.${which}`, c, c, 1));
  norm(`${name}.norm`, c);
  project('proj_in');
  for (let k = 0; k < depth; k++) {
    const block = `${name}.transformer_blocks.${k}`;
    for (const [attn, from] of [['attn1', c] as const, ['attn2', context] as const]) {
      linear(`${block}.${attn}.to_q`, c, c, false);
      linear(`${block}.${attn}.to_k`, c, from, false);
      linear(`${block}.${attn}.to_v`, c, from, false);
      linear(`${block}.${attn}.to_out.0`, c, c);
    }
    for (const n of [1, 2, 3]) norm(`${block}.norm${n}`, c);
    linear(`${block}.ff.net.0.proj`, 8 * c, c);
    linear(`${block}.ff.net.2`, c, 4 * c);
  }
  project('proj_out');
}

export function unetShapes(sizes: UNetSizes): Shapes {
  const shapes: Shapes = new Map();
  const { norm, conv, linear } = named(shapes);
  const { channels, layers, depth } = sizes;
  const [first, last] = [channels[0]!, channels.length - 1];
  const time = 4 * first;
  conv('conv_in', first, sizes.inChannels);
  linear('time_embedding.linear_1', time, first);
  linear('time_embedding.linear_2', time, time);
  const skips = [first];
  let c = first;
  channels.forEach((out, i) => {
    for (let j = 0; j < layers[i]!; j++) {
      resnet(shapes, `down_blocks.${i}.resnets.${j}`, c, out, time);
      if (sizes.downAttention[i]) transformer(shapes, `down_blocks.${i}.attentions.${j}`, out, sizes, depth[i]!);
      skips.push(out);
      c = out;
    }
    if (i === last) return;
    conv(`down_blocks.${i}.downsamplers.0.conv`, out, out);
    skips.push(out);
  });
  resnet(shapes, 'mid_block.resnets.0', c, c, time);
  transformer(shapes, 'mid_block.attentions.0', c, sizes, depth[last]!);
  resnet(shapes, 'mid_block.resnets.1', c, c, time);
  for (let i = 0; i <= last; i++) {
    const level = last - i;
    const out = channels[level]!;
    for (let j = 0; j <= layers[level]!; j++) {
      resnet(shapes, `up_blocks.${i}.resnets.${j}`, c + skips.pop()!, out, time);
      if (sizes.upAttention[i]) transformer(shapes, `up_blocks.${i}.attentions.${j}`, out, sizes, depth[level]!);
      c = out;
    }
    if (i < last) conv(`up_blocks.${i}.upsamplers.0.conv`, out, out);
  }
  norm('conv_norm_out', first);
  conv('conv_out', sizes.outChannels, first);
  return shapes;
}

export interface VaeSizes {
  readonly channels: readonly number[];
  readonly layers: number;
  readonly latents: number;
}

export function vaeShapes({ channels, layers, latents }: VaeSizes): Shapes {
  const shapes: Shapes = new Map();
  const { norm, conv, linear } = named(shapes);
  const [first, last] = [channels[0]!, channels.length - 1];
  const wide = channels[last]!;
  for (const half of ['encoder', 'decoder']) {
    for (const j of [0, 1]) resnet(shapes, `${half}.mid_block.resnets.${j}`, wide, wide);
    norm(`${half}.mid_block.attentions.0.group_norm`, wide);
    for (const name of ['to_q', 'to_k', 'to_v', 'to_out.0']) {
      linear(`${half}.mid_block.attentions.0.${name}`, wide, wide);
    }
  }
  conv('encoder.conv_in', first, 3);
  conv('decoder.conv_in', wide, latents);
  let [down, up] = [first, wide];
  for (let i = 0; i <= last; i++) {
    for (let j = 0; j < layers; j++) {
      resnet(shapes, `encoder.down_blocks.${i}.resnets.${j}`, j === 0 ? down : channels[i]!, channels[i]!);
    }
    for (let j = 0; j <= layers; j++) {
      const out = channels[last - i]!;
      resnet(shapes, `decoder.up_blocks.${i}.resnets.${j}`, j === 0 ? up : out, out);
    }
    [down, up] = [channels[i]!, channels[last - i]!];
    if (i === last) continue;
    conv(`encoder.down_blocks.${i}.downsamplers.0.conv`, down, down);
    conv(`decoder.up_blocks.${i}.upsamplers.0.conv`, up, up);
  }
  for (const [half, c, out] of [['encoder', wide, 2 * latents] as const, ['decoder', first, 3] as const]) {
    norm(`${half}.conv_norm_out`, c);
    conv(`${half}.conv_out`, out, c);
  }
  conv('quant_conv', 2 * latents, 2 * latents, 1);
  conv('post_quant_conv', latents, latents, 1);
  return shapes;
}

export interface ClipSizes {
  readonly vocabulary: number;
  readonly positions: number;
  readonly channels: number;
  readonly layers: number;
}

export function clipShapes({ vocabulary, positions, channels: c, layers }: ClipSizes): Shapes {
  const shapes: Shapes = new Map();
  const { norm, linear } = named(shapes);
  shapes.set('text_model.embeddings.token_embedding.weight', [vocabulary, c]);
  shapes.set('text_model.embeddings.position_embedding.weight', [positions, c]);
  for (let i = 0; i < layers; i++) {
    const layer = `text_model.encoder.layers.${i}`;
    for (const name of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) linear(`${layer}.self_attn.${name}`, c, c);
    for (const n of [1, 2]) norm(`${layer}.layer_norm${n}`, c);
    linear(`${layer}.mlp.fc1`, 4 * c, c);
    linear(`${layer}.mlp.fc2`, c, 4 * c);
  }
  norm('text_model.final_layer_norm', c);
  return shapes;
}

export const specsOf = (shapes: Shapes): Map<string, TensorSpec> =>
  new Map([...shapes].map(([name, shape]) => [name, { name, dtype: 'F16', shape }]));

/** A file with these tensors whose numbers are all 0 and nowhere kept, so that it may have any size. */
export function hollowFile(tensors: Iterable<TensorSpec>, metadata: Record<string, string> = {}): Source {
  const { header, size } = encodeSafetensorsHeader([...tensors], metadata);
  return {
    name: 'hollow.safetensors',
    size,
    async readInto(target, offset) {
      target.fill(0);
      target.set(header.subarray(offset, Math.max(offset, Math.min(header.length, offset + target.length))));
    },
  };
}
