/** Group and layer normalisation, statistics in f32. */
import { IncompatibleError } from '../errors.js';
import { activationCode } from '../gpu/activate.js';
import { type Gpu, kindOf } from '../gpu/gpu.js';
import { call, elementCount, graphOf, type Node, type StorageType, spread, type Tensor } from '../gpu/graph.js';
import type { Variant } from '../gpu/kernel.js';
import { summedConstants } from './epilogue.js';

/** Values that one workgroup sums up at least, before a group is worth cutting into slices. */
const VALUES_PER_SLICE = 4096;
const MAX_SLICES = 64;
const WORKGROUP = 64;
/** Threads that normalise together, and add up their groups' slices first; every device has workgroups of so many. */
const END_WORKGROUP = { card: 256, processor: WORKGROUP };
const STATS_WORKGROUP = 512;
/** Bytes of a pixel that a graphics card reads no slower than less: so many groups are summed up side by side. */
const STATS_BYTES = 128;
/** Threads that normalise in all: more have nothing to gain, and each workgroup has to sum up all slices first. */
const THREADS = { card: 2 ** 18, processor: 2 ** 17 };
/** Pixels of a thread. */
const FEWEST_PIXELS = { card: 4, processor: 16 };
const MOST_PIXELS = 64;
/** Rows of layer norm that a workgroup of a graphics card has, where rows are many; where they are few, they have so many threads. */
const LAYER_ROWS = 4;
const LAYER_THREADS = 2 ** 18;
/** Values of a group that one workgroup gets through, sums and results: more are for many. Processors have few workgroups. */
const WHOLE_VALUES = { card: 2 ** 15, processor: 2 ** 17 };
/** Numbers that a thread holds in registers. */
const MOST_HELD = 48;
/** As wide as a graphics card's compute unit; processors run threads one after the other. */
const WHOLE_WORKGROUP = 1024;

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
  const whole = wholeGroupNorm(x, { gamma, beta, eps, groups });
  if (whole) return whole;
  const graph = graphOf(x);
  const kind = kindOf(graph.gpu);
  const slices = Math.min(MAX_SLICES, pixels, Math.max(1, Math.ceil((pixels * channels) / groups / VALUES_PER_SLICE)));
  const { groupsAtOnce, ...sums } = statsVariant(
    graph.gpu,
    { own: channels / groups, groups, pixels: Math.ceil(pixels / slices), type: x.storage.type },
    slices,
  );

  const stats = call(graph, {
    kernel: 'group-norm-stats',
    inputs: { x },
    shape: [images, groups, slices, 2],
    type: 'f32',
    canSum: 'any',
    dispatch: (node) => ({
      variant: { ...sums, constants: { ...sums.constants, ...summedConstants(node) } },
      params: { pixels, channels, groups },
      fixed: 'all',
      workgroups: [slices, groups / groupsAtOnce, images],
    }),
  });
  const across = channels % 4 === 0 && channels / groups > 1 ? 4 : 1;
  const vectors = channels / across;
  const each = 2 ** Math.round(Math.log2((vectors * pixels * images) / THREADS[kind]));
  const PIXELS = Math.min(MOST_PIXELS, Math.max(FEWEST_PIXELS[kind], each));
  const HELD = Math.min(PIXELS, heldPixels(graph.gpu));
  const workgroup = END_WORKGROUP[kind];
  return call(graph, {
    kernel: 'group-norm',
    inputs: { x, stats, gamma, beta },
    shape: x.shape,
    epilogue,
    dispatch: (node) => ({
      variant: {
        width: across,
        constants: { WORKGROUP: workgroup, GROUPS: groups, SLICES: slices, PIXELS, HELD, ...endConstants(node) },
      },
      params: { pixels, channels, eps, ...sizesOf(x) },
      fixed: 'all',
      workgroups: [...spread(vectors * Math.ceil(pixels / PIXELS), workgroup), images],
    }),
  });
}

/** What a norm can do before it stores, and what it has been asked to. */
const epilogue = { activation: true, border: true } as const;
const endConstants = ({ activation, hasBorder }: Node) => ({
  ACTIVATION: activationCode(activation),
  BORDER: Number(hasBorder === true),
});

/** Of a picture's pixels; other things have no border. */
const sizesOf = ({ shape }: Tensor) => ({ height: shape.at(-3) ?? 1, width: shape.at(-2) ?? 1 });

/** Pixels that a thread reads before it does anything with them; a processor's threads need not wait for one another. */
const heldPixels = (gpu: Gpu): number => (kindOf(gpu) === 'card' ? 8 : 1);

/** In one kernel; undefined for groups that are too much for one workgroup. */
function wholeGroupNorm(
  x: Tensor,
  { gamma, beta, eps, groups }: NormWeights & { readonly groups: number },
): Tensor | undefined {
  const graph = graphOf(x);
  const { lanes, device } = graph.gpu;
  const { maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX } = device.limits;
  const images = x.shape[0]!;
  const channels = x.shape.at(-1)!;
  const pixels = elementCount(x.shape) / images / channels;
  const width = (channels / groups) % 4 === 0 ? 4 : 1;
  const most = Math.min(WHOLE_WORKGROUP, maxComputeInvocationsPerWorkgroup, maxComputeWorkgroupSizeX);
  const kind = kindOf(graph.gpu);
  const workgroup = kind === 'card' ? 2 ** Math.floor(Math.log2(most)) : WORKGROUP;
  const values = WHOLE_VALUES[kind];
  const subgroup = workgroup <= lanes ** 2 ? lanes : 1;
  if ((pixels * channels) / groups > values || channels / groups / width > workgroup) return undefined;
  const held = Math.ceil(pixels / Math.floor(workgroup / (channels / groups / width)));
  // Processors have few registers, and take long to compile.
  const HELD = kind === 'card' ? Math.min(MOST_HELD / width, held) : 4;
  return call(graph, {
    kernel: 'group-norm-whole',
    inputs: { x, gamma, beta },
    shape: x.shape,
    epilogue,
    canSum: 'any',
    dispatch: (node) => ({
      variant: {
        width,
        subgroup,
        constants: { WORKGROUP: workgroup, HELD, ...endConstants(node), ...summedConstants(node) },
      },
      params: { pixels, channels, groups, eps, ...sizesOf(x) },
      fixed: 'all',
      workgroups: [groups, images],
    }),
  });
}

/** `own` channels to a group, so many pixels to a slice. */
function statsVariant(
  gpu: Gpu,
  { own, groups, pixels, type }: { own: number; groups: number; pixels: number; type: StorageType },
  SLICES: number,
): Variant & { readonly groupsAtOnce: number } {
  const width = own % 4 === 0 ? 4 : 1;
  if (kindOf(gpu) === 'processor') {
    const constants = { SLICES, GROUPS: 1, HELD: heldPixels(gpu), WORKGROUP: addersOf(gpu) };
    return { subgroup: gpu.lanes, constants, width, groupsAtOnce: 1 };
  }
  /** As many as take a thread to the end of its slice, or in turns of the same length there. */
  const heldOf = (vectors: number, workgroup: number) => {
    const each = Math.ceil(pixels / Math.max(1, Math.floor(workgroup / vectors)));
    return Math.ceil(each / Math.ceil(each / heldPixels(gpu)));
  };
  const most = Math.min(STATS_WORKGROUP, gpu.device.limits.maxComputeInvocationsPerWorkgroup);
  const wanted = STATS_BYTES / (type === 'f16' ? 2 : 4);
  let groupsAtOnce = 1;
  while (groups % (groupsAtOnce * 2) === 0 && own * groupsAtOnce < wanted) groupsAtOnce *= 2;
  // A vector reaches over two groups at most.
  const across = (own * groupsAtOnce) % 4 === 0 && own > 2 ? 4 : 1;
  const vectors = (own / across) * groupsAtOnce;
  if (groupsAtOnce === 1 || vectors > most) {
    const WORKGROUP = 2 ** Math.floor(Math.log2(most));
    const constants = { SLICES, HELD: heldOf(own / width, WORKGROUP), GROUPS: 1, WORKGROUP };
    return { constants, width, groupsAtOnce: 1 };
  }
  const WORKGROUP = Math.floor(most / vectors) * vectors;
  const constants = { SLICES, HELD: heldOf(vectors, WORKGROUP), GROUPS: groupsAtOnce, WORKGROUP };
  return { constants, width: across, groupsAtOnce };
}

/** Threads that add up what they have: one subgroup where there is one, else by turns in workgroup memory. */
const addersOf = ({ lanes }: Gpu): number => (lanes > 1 ? lanes : WORKGROUP);

/** LayerNorm (Ba et al., arXiv 1607.06450) of x (..., C) over the channels. */
export function layerNorm(x: Tensor, { gamma, beta, eps }: NormWeights): Tensor {
  const channels = x.shape.at(-1)!;
  const rows = elementCount(x.shape) / channels;
  const graph = graphOf(x);
  const width = channels % 4 === 0 ? 4 : 1;
  const vectors = channels / width;
  const { rowsAtOnce, across } = layerShape(graph.gpu, rows, vectors);
  const groups = Math.ceil(rows / rowsAtOnce);
  return call(graph, {
    kernel: 'layer-norm',
    inputs: { x, gamma, beta },
    shape: x.shape,
    canSum: 'unshifted', // its rows are of no image
    dispatch: (node) => ({
      variant: {
        subgroup: graph.gpu.lanes,
        width,
        constants: {
          WORKGROUP: across * rowsAtOnce,
          ROWS: rowsAtOnce,
          HELD: Math.ceil(vectors / across),
          ...summedConstants(node),
        },
      },
      params: { rows, channels, eps },
      fixed: 'all',
      workgroups: [Math.min(groups, 65535), Math.ceil(groups / 65535)],
    }),
  });
}

/** Threads of a row, and rows of a workgroup. A graphics card has several rows to a workgroup, or several subgroups to a row. */
function layerShape(gpu: Gpu, rows: number, vectors: number) {
  const { lanes, device } = gpu;
  if (lanes === 1 || kindOf(gpu) === 'processor') return { rowsAtOnce: 1, across: addersOf(gpu) };
  const most = Math.min(lanes ** 2, device.limits.maxComputeInvocationsPerWorkgroup);
  const wanted = Math.max(lanes, Math.min(LAYER_THREADS / rows, vectors, most));
  const held = Math.ceil(vectors / wanted);
  const across = Math.ceil(vectors / held / lanes) * lanes;
  return { rowsAtOnce: across === lanes ? LAYER_ROWS : 1, across };
}
