/** Group and layer normalisation, statistics in f32. */
import { IncompatibleError } from '../errors.js';
import { activationCode } from '../gpu/activate.js';
import type { Gpu } from '../gpu/gpu.js';
import { call, elementCount, graphOf, type Tensor } from '../gpu/graph.js';
import type { Variant } from '../gpu/kernel.js';

/** Values that one workgroup sums up at least, before a group is worth cutting into slices. */
const VALUES_PER_SLICE = 4096;
const MAX_SLICES = 32;
/** Pixels that one thread normalises. */
const PIXELS = 16;
const WORKGROUP = 64;

export interface NormWeights {
  /** (channels) */
  readonly gamma: Tensor;
  readonly beta: Tensor;
  readonly eps: number;
}

/** GroupNorm (Wu & He, arXiv 1803.08494) of x (N, ..., C) over the pixels and channels of each group. */
export function groupNorm(x: Tensor, { gamma, beta, eps, groups }: NormWeights & { groups: number }): Tensor {
  const images = x.shape[0]!;
  const channels = x.shape.at(-1)!;
  if (channels % groups !== 0) throw new IncompatibleError(`${channels} channels do not make ${groups} equal groups`);
  const pixels = elementCount(x.shape) / images / channels;
  const slices = Math.min(MAX_SLICES, pixels, Math.max(1, Math.ceil((pixels * channels) / groups / VALUES_PER_SLICE)));
  const graph = graphOf(x);

  const stats = call(graph, {
    kernel: 'group-norm-stats',
    inputs: { x },
    shape: [images, groups, slices, 2],
    type: 'f32',
    dispatch: () => ({
      variant: sumsVariant(graph.gpu, { SLICES: slices }),
      params: { pixels, channels, groups },
      workgroups: [slices, groups, images],
    }),
  });
  return call(graph, {
    kernel: 'group-norm',
    inputs: { x, stats, gamma, beta },
    shape: x.shape,
    epilogue: { activation: true },
    dispatch: (node) => ({
      variant: { constants: { WORKGROUP, SLICES: slices, PIXELS, ACTIVATION: activationCode(node.activation) } },
      params: { pixels, channels, groups, eps },
      workgroups: [Math.ceil(channels / WORKGROUP), Math.ceil(pixels / PIXELS), images],
    }),
  });
}

/** A workgroup that adds up what its threads have: one subgroup where there is one, else by turns in workgroup memory. */
function sumsVariant({ lanes }: Gpu, constants: Variant['constants'] = {}): Variant {
  return { subgroup: lanes, constants: { ...constants, WORKGROUP: lanes > 1 ? lanes : WORKGROUP } };
}

/** LayerNorm (Ba et al., arXiv 1607.06450) of x (..., C) over the channels. */
export function layerNorm(x: Tensor, { gamma, beta, eps }: NormWeights): Tensor {
  const channels = x.shape.at(-1)!;
  const rows = elementCount(x.shape) / channels;
  const graph = graphOf(x);
  return call(graph, {
    kernel: 'layer-norm',
    inputs: { x, gamma, beta },
    shape: x.shape,
    dispatch: () => ({
      variant: sumsVariant(graph.gpu),
      params: { rows, channels, eps },
      workgroups: [Math.min(rows, 65535), Math.ceil(rows / 65535)],
    }),
  });
}
