/** Attention on the matrix units (shaders/attention-tensor.wgsl). */
import { call, type Tensor } from '../gpu/graph.js';
import { type Attention, graphAndShapes } from './attention-inputs.js';

/** On the matrix units; undefined where heads are too wide for the device's workgroup memory. */
export function tensorAttention(one: Attention): Tensor | undefined {
  const { graph, q, images, queries, keys, heads, headWidth, causal, inputs } = graphAndShapes(one);
  const { gpu } = graph;
  const isHalf = Object.values(inputs).every(({ storage }) => storage.type === 'f16');
  const most = gpu.device.limits.maxComputeWorkgroupStorageSize;
  const shape = TENSOR_SHAPES.find((one) => headWidth <= one.widestHead && tensorBytes(headWidth, one) <= most);
  if (causal || gpu.matrixUnits !== 'all' || !isHalf || headWidth % 8 !== 0 || !shape) return undefined;
  return call(graph, {
    kernel: 'attention-tensor',
    inputs,
    shape: q.shape,
    dispatch: () => ({
      variant: { matrixUnits: true, constants: tensorConstants(headWidth, shape) },
      params: { queries, keys, heads, scale: 1 / Math.sqrt(headWidth) },
      workgroups: [Math.ceil(queries / queriesOf(shape)), heads, images],
    }),
  });
}

/** Of a workgroup of attention-tensor.wgsl: subgroups of 16 queries, and the keys that are looked at together, in sixteens. */
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

const queriesOf = ({ subgroups }: TensorShape): number => subgroups * 16;

/** What attention-tensor.wgsl has to know of a head and of its shape. */
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

/** Workgroup memory that attention-tensor.wgsl takes, in bytes. */
function tensorBytes(headWidth: number, shape: TensorShape): number {
  const pitch = (Math.ceil(headWidth / 16) * 16 + 8) * 2;
  const [keys, queries] = [shape.keyBlocks * 16, queriesOf(shape)];
  const scores = (keys + 4) * 4;
  const shares = (keys + 8) * 2;
  return Math.max(2 * keys * pitch + queries * (scores + shares), queries * Math.max(pitch, 80)) + 16;
}
