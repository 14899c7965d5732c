/** The residual block of the UNet and the VAE (diffusers ResnetBlock2D), and what changes the size between blocks. */
import { firstOf, type Tensor, tap } from '../gpu/graph.js';
import { addPerImage, silu } from '../ops/elementwise.js';
import type { WeightScope } from '../soup/parameters.js';
import { conv2d, conv2dAndInput, conv2dAndShortcut, groupNorm, type Layer } from './layers.js';

export interface ResnetOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly groups: number;
  readonly eps: number;
  /** Of the time embedding; the VAE has none. */
  readonly timeProj?: Layer;
}

/** GroupNorm, SiLU, convolution; twice, with the time embedding between; plus the shortcut. */
export function resnetBlock(w: WeightScope, { inChannels, outChannels, groups, eps, timeProj }: ResnetOptions) {
  const norm1 = groupNorm(w.at('norm1'), inChannels, groups, eps);
  // Stored as sums are: norm2 takes their mean away, and would leave what halves round of it.
  const conv1 = conv2d(w.at('conv1'), inChannels, outChannels, { type: 'residual' });
  const norm2 = groupNorm(w.at('norm2'), outChannels, groups, eps);
  const withShortcut =
    inChannels === outChannels
      ? conv2dAndInput(w.at('conv2'), outChannels)
      : conv2dAndShortcut(w.at('conv2'), w.at('conv_shortcut'), inChannels, outChannels);

  // x (N, H, W, inChannels), temb (N or more, its channels), through SiLU already -> (N, H, W, outChannels)
  return (x: Tensor, temb?: Tensor): Tensor => {
    const conv2 = withShortcut(x);
    const shift = timeProj && temb && firstOf(timeProj(temb), x.shape[0]!); // before conv1, which can then add it as it stores
    let h = conv1(silu(norm1(x)));
    if (shift) h = addPerImage(h, shift);
    return tap(w.path, conv2(silu(norm2(h))));
  };
}

/** Half the size, by a convolution of stride 2. Padding 0 means one zero at the right and the bottom. */
export function downsample(w: WeightScope, channels: number, padding: number) {
  const conv = conv2d(w.at('conv'), channels, channels, {
    type: 'residual',
    stride: 2,
    padding: padding === 0 ? [0, 1, 1, 0] : [padding, padding, padding, padding],
  });
  return (x: Tensor): Tensor => tap(w.path, conv(x));
}

/** Nearest-neighbour scaling to `size` (height, width), then a convolution. */
export function upsample(w: WeightScope, channels: number) {
  const conv = conv2d(w.at('conv'), channels, channels, { type: 'residual' });
  return (x: Tensor, size: readonly [number, number] = [x.shape[1]! * 2, x.shape[2]! * 2]): Tensor =>
    tap(w.path, conv(x, { upsampleTo: size }));
}
