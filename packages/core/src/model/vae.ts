/** The autoencoder between pictures and latents (Rombach et al. 2022; diffusers AutoencoderKL), bottom-up. */
import type { VaeConfig } from '../checkpoint/configs.js';
import { reshape, type Tensor, tap } from '../gpu/graph.js';
import { attention } from '../ops/attention.js';
import { add, silu } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import { conv2d, groupNorm, linear, times } from './layers.js';
import { downsample, resnetBlock, upsample } from './resnet.js';

const EPS = 1e-6;

/** Pictures (N, H, W, 3) in [-1, 1] -> (N, h, w, 2 * latentChannels): mean and log-variance of the latents. */
export function vaeEncoder(w: WeightScope, config: VaeConfig) {
  const { blockOutChannels, layersPerBlock, normGroups: groups } = config;
  const at = w.at('encoder');
  const last = blockOutChannels.at(-1)!;
  const convIn = conv2d(at.at('conv_in'), config.inChannels, blockOutChannels[0]!);
  const blocks = blockOutChannels.map((outChannels, i) => {
    const block = at.at('down_blocks', i);
    const resnets = times(layersPerBlock, (j) => {
      const inChannels = j > 0 ? outChannels : blockOutChannels[Math.max(0, i - 1)]!;
      return resnetBlock(block.at('resnets', j), { inChannels, outChannels, groups, eps: EPS });
    });
    const isLast = i === blockOutChannels.length - 1;
    const down = isLast ? undefined : downsample(block.at('downsamplers', 0), outChannels, 0);
    return (x: Tensor): Tensor => {
      const h = resnets.reduce((h, resnet) => resnet(h), x);
      return tap(block.path, down ? down(h) : h);
    };
  });
  const mid = midBlock(at.at('mid_block'), last, config);
  const normOut = groupNorm(at.at('conv_norm_out'), last, groups, EPS);
  const convOut = conv2d(at.at('conv_out'), last, config.latentChannels * 2);
  const moments = config.latentChannels * 2;
  const quantConv = config.useQuantConv ? conv2d(w.at('quant_conv'), moments, moments, { kernel: 1 }) : identity;

  return (image: Tensor): Tensor => {
    let h = convIn(image);
    for (const block of blocks) h = block(h);
    h = mid(h);
    return quantConv(tap(at.path, convOut(silu(normOut(h)))));
  };
}

/** Latents (N, h, w, latentChannels), unscaled -> pictures (N, H, W, 3), about [-1, 1]. */
export function vaeDecoder(w: WeightScope, config: VaeConfig) {
  const { layersPerBlock, normGroups: groups, latentChannels } = config;
  const at = w.at('decoder');
  const channels = [...config.blockOutChannels].reverse();
  const first = channels[0]!;
  const postQuantConv = config.usePostQuantConv
    ? conv2d(w.at('post_quant_conv'), latentChannels, latentChannels, { kernel: 1 })
    : identity;
  const convIn = conv2d(at.at('conv_in'), latentChannels, first);
  const mid = midBlock(at.at('mid_block'), first, config);
  const blocks = channels.map((outChannels, i) => {
    const block = at.at('up_blocks', i);
    const resnets = times(layersPerBlock + 1, (j) => {
      const inChannels = j > 0 ? outChannels : channels[Math.max(0, i - 1)]!;
      return resnetBlock(block.at('resnets', j), { inChannels, outChannels, groups, eps: EPS });
    });
    const up = i === channels.length - 1 ? undefined : upsample(block.at('upsamplers', 0), outChannels);
    return (x: Tensor): Tensor => {
      const h = resnets.reduce((h, resnet) => resnet(h), x);
      return tap(block.path, up ? up(h) : h);
    };
  });
  const last = channels.at(-1)!;
  const normOut = groupNorm(at.at('conv_norm_out'), last, groups, EPS);
  const convOut = conv2d(at.at('conv_out'), last, config.outChannels, { type: 'f32' });

  return (latents: Tensor): Tensor => {
    let h = convIn(postQuantConv(latents));
    h = mid(h);
    for (const block of blocks) h = block(h);
    return tap(at.path, convOut(silu(normOut(h))));
  };
}

const identity = (x: Tensor): Tensor => x;

function midBlock(w: WeightScope, channels: number, { normGroups: groups, midBlockAttention }: VaeConfig) {
  const resnet = (i: number) =>
    resnetBlock(w.at('resnets', i), { inChannels: channels, outChannels: channels, groups, eps: EPS });
  const resnet0 = resnet(0);
  const attend = midBlockAttention ? pixelAttention(w.at('attentions', 0), channels, groups) : identity;
  const resnet1 = resnet(1);
  return (x: Tensor): Tensor => tap(w.path, resnet1(attend(resnet0(x))));
}

/** Every pixel of x (N, H, W, C) attends to every other, with one head of all channels. */
function pixelAttention(w: WeightScope, channels: number, groups: number) {
  const norm = groupNorm(w.at('group_norm'), channels, groups, EPS);
  // Files from before diffusers 0.18 have other names: SD 1.x and 2.x among them.
  const [q, k, v, out] = w.has('to_q') ? ['to_q', 'to_k', 'to_v', 'to_out.0'] : ['query', 'key', 'value', 'proj_attn'];
  const toQ = linear(w.at(q!), channels, channels);
  const toK = linear(w.at(k!), channels, channels);
  const toV = linear(w.at(v!), channels, channels);
  const toOut = linear(w.at(out!), channels, channels);
  return (x: Tensor): Tensor => {
    const [images, height, width] = x.shape as [number, number, number, number];
    const y = reshape(norm(x), [images, height * width, channels]);
    const h = toOut(attention(toQ(y), toK(y), toV(y), { heads: 1 }));
    return tap(w.path, add(x, reshape(h, x.shape)));
  };
}
