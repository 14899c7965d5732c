/** The config of a VAE from its tensors in a single file. */
import type { JsonObject } from '../json.js';
import type { Part } from './part.js';

/** The JSON of a vae/config.json; `sampleSize` is the side of the pictures that the model was trained on. */
export function inferVaeConfig(part: Part, sampleSize: number): JsonObject {
  const depth = Math.max(
    1,
    part.count((i) => `encoder.down.${i}.block.0.conv1.weight`),
  );
  const levels = Array.from({ length: depth }, (_, i) => i);
  return {
    _class_name: 'AutoencoderKL',
    sample_size: sampleSize,
    in_channels: part.shape('encoder.conv_in.weight', 4)[1]!,
    out_channels: part.shape('decoder.conv_out.weight', 4)[0]!,
    latent_channels: part.shape('decoder.conv_in.weight', 4)[1]!,
    down_block_types: levels.map(() => 'DownEncoderBlock2D'),
    up_block_types: levels.map(() => 'UpDecoderBlock2D'),
    block_out_channels: levels.map((i) => part.shape(`encoder.down.${i}.block.0.conv1.weight`, 4)[0]!),
    layers_per_block: Math.max(
      1,
      part.count((j) => `encoder.down.0.block.${j}.conv1.weight`),
    ),
    scaling_factor: 0.18215,
    norm_num_groups: 32,
    act_fn: 'silu',
    use_quant_conv: part.has('quant_conv.weight'),
    use_post_quant_conv: part.has('post_quant_conv.weight'),
    mid_block_add_attention: part.has('decoder.mid.attn_1.norm.weight'),
  };
}
