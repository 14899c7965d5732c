/**
 * The denoising network (Ronneberger et al. 2015, Rombach et al. 2022; diffusers UNet2DConditionModel), bottom-up.
 * Any number of levels, layers, heads and transformer blocks: everything comes from unet/config.json.
 */
import type { UNetConfig } from '../checkpoint/configs.js';
import { repeat, type Tensor, tap } from '../gpu/graph.js';
import { concat, silu, timestepEmbedding } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import { conv2d, gatheredLinears, groupNorm, linear, times } from './layers.js';
import { downsample, resnetBlock, upsample } from './resnet.js';
import { transformer2d } from './transformer.js';

const TIME_CHANNELS_FACTOR = 4;

/** What one level of the UNet is made of. */
interface Level {
  readonly channels: number;
  readonly heads: number;
  readonly transformerLayers: number;
  readonly contextChannels: number;
}

export function unet(w: WeightScope, config: UNetConfig) {
  const { blockOutChannels, layersPerBlock, normGroups: groups, normEps: eps } = config;
  const depth = blockOutChannels.length;
  const firstChannels = blockOutChannels[0]!;
  const timeChannels = firstChannels * TIME_CHANNELS_FACTOR;
  const levels = times(
    depth,
    (i): Level => ({
      channels: blockOutChannels[i]!,
      heads: config.heads[i]!,
      transformerLayers: config.transformerLayers[i]!,
      contextChannels: config.crossAttentionDim[i]!,
    }),
  );
  const lastLevel = levels[depth - 1]!;
  // Of what is the same for every block.
  const ofTime = gatheredLinears(w, 'f32');
  const ofContext = gatheredLinears(w);
  const resnet = (at: WeightScope, inChannels: number, outChannels: number) => {
    const timeProj = ofTime.linear(at.at('time_emb_proj'), timeChannels, outChannels);
    return resnetBlock(at, { inChannels, outChannels, groups, eps, timeProj });
  };
  const transformer = (at: WeightScope, level: Level) =>
    transformer2d(at, { ...level, layers: level.transformerLayers, groups, ofContext });

  const embedTime = timeEmbedding(w.at('time_embedding'), firstChannels, config);
  const convIn = conv2d(w.at('conv_in'), config.inChannels, firstChannels, {
    kernel: config.convInKernel,
    type: 'residual',
  });

  // Channels of what the down path leaves for the up path, in the order in which it is made.
  const skipChannels = [firstChannels];
  const downBlocks = times(depth, (i) => {
    const at = w.at('down_blocks', i);
    const level = levels[i]!;
    const hasDownsampler = i < depth - 1;
    const layers = times(layersPerBlock[i]!, (j) => {
      const inChannels = j > 0 ? level.channels : (levels[i - 1]?.channels ?? firstChannels);
      skipChannels.push(level.channels);
      return {
        resnet: resnet(at.at('resnets', j), inChannels, level.channels),
        attend: config.downBlocks[i]!.attention ? transformer(at.at('attentions', j), level) : undefined,
      };
    });
    if (hasDownsampler) skipChannels.push(level.channels);
    const down = hasDownsampler
      ? downsample(at.at('downsamplers', 0), level.channels, config.downsamplePadding)
      : undefined;

    return (x: Tensor, temb: Tensor, context: Tensor, skips: Tensor[]): Tensor => {
      let h = x;
      for (const layer of layers) {
        h = layer.resnet(h, temb);
        if (layer.attend) h = layer.attend(h, context);
        skips.push(h);
      }
      if (down) {
        h = down(h);
        skips.push(h);
      }
      return tap(at.path, h);
    };
  });

  const midBlock = config.midBlock === 'none' ? undefined : mid(w.at('mid_block'));
  function mid(at: WeightScope) {
    const { channels } = lastLevel;
    const resnet0 = resnet(at.at('resnets', 0), channels, channels);
    if (config.midBlock === 'plain') return (x: Tensor, temb: Tensor) => tap(at.path, resnet0(x, temb));
    const attend = transformer(at.at('attentions', 0), lastLevel);
    const resnet1 = resnet(at.at('resnets', 1), channels, channels);
    return (x: Tensor, temb: Tensor, context: Tensor) => tap(at.path, resnet1(attend(resnet0(x, temb), context), temb));
  }

  let channels = lastLevel.channels;
  const upBlocks = times(depth, (i) => {
    const at = w.at('up_blocks', i);
    const level = levels[depth - 1 - i]!;
    const layers = times(layersPerBlock[depth - 1 - i]! + 1, (j) => {
      const inChannels = channels + skipChannels.pop()!;
      channels = level.channels;
      return {
        resnet: resnet(at.at('resnets', j), inChannels, level.channels),
        attend: config.upBlocks[i]!.attention ? transformer(at.at('attentions', j), level) : undefined,
      };
    });
    const up = i < depth - 1 ? upsample(at.at('upsamplers', 0), level.channels) : undefined;

    return (x: Tensor, temb: Tensor, context: Tensor, skips: Tensor[]): Tensor => {
      let h = x;
      for (const layer of layers) {
        h = layer.resnet(concat(h, repeat(skips.pop()!, h.shape[0]!)), temb);
        if (layer.attend) h = layer.attend(h, context);
      }
      if (up) {
        // To the size of the next skip, which is not always twice ours: 5 was halved to 3.
        const [, height, width] = skips.at(-1)!.shape as [number, number, number];
        h = up(h, [height, width]);
      }
      return tap(at.path, h);
    };
  });

  const normOut = groupNorm(w.at('conv_norm_out'), firstChannels, groups, eps);
  const convOut = conv2d(w.at('conv_out'), firstChannels, config.outChannels, {
    kernel: config.convOutKernel,
    type: 'f32',
  });

  ofTime.gather();
  ofContext.gather();

  /** sample (N, H, W, inChannels), timestep (A), context (A, T, contextChannels) -> (A, H, W, outChannels); A as in transformer2d. */
  return (sample: Tensor, timestep: Tensor, context: Tensor): Tensor => {
    // Every residual block wants silu(temb): once is enough.
    const temb = silu(embedTime(timestep));
    let h = convIn(sample);
    const skips = [h];
    for (const block of downBlocks) h = block(h, temb, context, skips);
    if (midBlock) h = midBlock(h, temb, context);
    for (const block of upBlocks) h = block(h, temb, context, skips);
    return convOut(silu(normOut(repeat(h, context.shape[0]!))));
  };
}

/** Sinusoids of the timestep, through two linear layers. (N) -> (N, 4 * channels); f32, since every block adds it. */
function timeEmbedding(w: WeightScope, channels: number, { flipSinToCos, freqShift }: UNetConfig) {
  const linear1 = linear(w.at('linear_1'), channels, channels * TIME_CHANNELS_FACTOR, 'f32');
  const linear2 = linear(w.at('linear_2'), channels * TIME_CHANNELS_FACTOR, channels * TIME_CHANNELS_FACTOR, 'f32');
  return (timestep: Tensor): Tensor =>
    tap(w.path, linear2(silu(linear1(timestepEmbedding(timestep, { channels, flip: flipSinToCos, freqShift })))));
}
