/** Attention on the matrix units (shaders/attention-tensor.wgsl, and attention-tensor-long.wgsl for long rows of keys). */
import { call, type Tensor } from '../gpu/graph.js';
import { type Attention, graphAndShapes } from './attention-inputs.js';
import { inWaves } from './tiles.js';

/** Of a workgroup: subgroups of 16 queries, and the keys that are looked at together, in sixteens. */
export interface TensorShape {
  readonly subgroups: number;
  readonly keyBlocks: number;
}

/** The first that a head may have, and that fits the device's workgroup memory, is taken. */
export const TENSOR_SHAPES: readonly (TensorShape & { readonly widestHead: number })[] = [
  { widestHead: 128, subgroups: 4, keyBlocks: 1 },
  { widestHead: 256, subgroups: 4, keyBlocks: 2 },
  { widestHead: 256, subgroups: 4, keyBlocks: 1 },
];
export const LONG_SHAPE: TensorShape = { subgroups: 10, keyBlocks: 1 };

/** Of fewer keys the beginning is too much of it. */
const FEWEST_KEYS = 1024;
/** What 4096 keys of 64 numbers take on an H200 in microseconds, if a compute unit has one workgroup of a kind, or more of them. */
const MICROS = { short: [97, 133, 168], long: [134] };

/** Undefined where a device cannot. `long`: by the kernel for long rows in this shape, also where the other is faster. */
export function tensorAttention(one: Attention, long?: TensorShape): Tensor | undefined {
  const { graph, q, images, queries, keys, heads, headWidth, causal, inputs } = graphAndShapes(one);
  const { gpu } = graph;
  const isHalf = Object.values(inputs).every(({ storage }) => storage.type === 'f16');
  const most = gpu.device.limits.maxComputeWorkgroupStorageSize;
  const short = TENSOR_SHAPES.find((shape) => headWidth <= shape.widestHead && shortBytes(headWidth, shape) <= most);
  if (causal || gpu.matrixUnits !== 'all' || !isHalf || headWidth % 8 !== 0 || !short) return undefined;
  const workgroups = (shape: TensorShape) => [Math.ceil(queries / queriesOf(shape)), heads, images] as const;
  const canBeLong = keys >= FEWEST_KEYS && keys % 16 === 0 && longBytes(headWidth, LONG_SHAPE) <= most;
  const isLong = long || (canBeLong && micros('long', workgroups(LONG_SHAPE)) < micros('short', workgroups(short)));
  const [kernel, shape] = isLong
    ? (['attention-tensor-long', long ?? LONG_SHAPE] as const)
    : (['attention-tensor', short] as const);
  return call(graph, {
    kernel,
    inputs,
    shape: q.shape,
    dispatch: () => ({
      variant: { matrixUnits: true, constants: tensorConstants(headWidth, shape) },
      params: { queries, keys, heads, scale: 1 / Math.sqrt(headWidth) },
      workgroups: workgroups(shape),
    }),
  });
}

const queriesOf = ({ subgroups }: TensorShape): number => subgroups * 16;

/** What either kernel has to know of a head and of its shape. */
export function tensorConstants(headWidth: number, { subgroups, keyBlocks }: TensorShape) {
  const blocks = Math.ceil(headWidth / 16);
  return {
    HEAD: headWidth,
    BLOCKS: blocks,
    SUBGROUPS: subgroups,
    KEY_BLOCKS: keyBlocks,
    SLOTS: Math.ceil((keyBlocks * 16 * blocks * 2) / (subgroups * 32)),
  };
}

/** Of so many workgroups of a kind; other devices take other times, whose order is alike. */
const micros = (kind: keyof typeof MICROS, [x, y, z]: readonly [number, number, number]): number =>
  inWaves(x * y * z, MICROS[kind].length, (onUnit) => MICROS[kind][onUnit - 1]!);

/** Bytes of a row of keys or values, and of scores. */
const rowBytes = (headWidth: number, { keyBlocks }: TensorShape) => ({
  panel: (Math.ceil(headWidth / 16) * 16 + 8) * 2,
  scores: (keyBlocks * 16 + 4) * 4,
});

/** Workgroup memory that attention-tensor.wgsl takes, in bytes. */
function shortBytes(headWidth: number, shape: TensorShape): number {
  const { panel, scores } = rowBytes(headWidth, shape);
  const [keys, queries] = [shape.keyBlocks * 16, queriesOf(shape)];
  const shares = (keys + 8) * 2;
  return Math.max(2 * keys * panel + queries * (scores + shares), queries * Math.max(panel, 80)) + 16;
}

/** And attention-tensor-long.wgsl. */
function longBytes(headWidth: number, shape: TensorShape): number {
  const { panel, scores } = rowBytes(headWidth, shape);
  return Math.max(4 * shape.keyBlocks * 16 * panel + 3 * queriesOf(shape) * scores, queriesOf(shape) * panel) + 16;
}
