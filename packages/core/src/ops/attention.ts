/** Scaled dot-product attention over heads (Vaswani et al. 2017): which of its kernels a device and a head's width take. */
import { IncompatibleError } from '../errors.js';
import { call, graphOf, show, type Tensor } from '../gpu/graph.js';
import { type Attention, type AttentionOptions, graphAndShapes } from './attention-inputs.js';
import { laneAttention } from './attention-lanes.js';
import { sharedAttention } from './attention-shared.js';
import { tensorAttention } from './attention-tensor.js';
import { wideAttention } from './attention-wide.js';

/** The widest head whose query and sum fit a thread's registers. SD 1.x has 40, 80 and 160; SD 2.x has 64. */
const WIDEST_IN_REGISTERS = 160;
const WORKGROUP = 64;
/** Keys looked at between two corrections of the running maximum. */
const KEYS = 8;

/** y (N, Tq, C) from q (N, Tq, C), k and v (N, Tk, C): heads lie side by side in C. */
export function attention(q: Tensor, k: Tensor, v: Tensor, { heads, causal = false }: AttentionOptions): Tensor {
  const channels = q.shape[2]!;
  if (channels % heads !== 0 || k.shape[2] !== channels || v.shape[2] !== channels) {
    throw new IncompatibleError(
      `attention of ${heads} heads over ${show(q.shape)}, ${show(k.shape)}, ${show(v.shape)}`,
    );
  }
  const one: Attention = { q, k, v, heads, causal };
  const { gpu } = graphOf(q);
  if (channels / heads > WIDEST_IN_REGISTERS && !causal) return wideAttention(one);
  const onMatrixUnits = tensorAttention(one);
  if (onMatrixUnits) return onMatrixUnits;
  if (gpu.subgroup > 1) return sharedAttention(one);
  return gpu.tiles ? laneAttention(one) : plainAttention(one);
}

/** One thread for a query of a head. */
function plainAttention(one: Attention): Tensor {
  const { graph, q, images, queries, keys, heads, headWidth, width, causal, inputs } = graphAndShapes(one);
  return call(graph, {
    kernel: 'attention',
    inputs,
    shape: q.shape,
    dispatch: () => ({
      variant: { width, constants: { WORKGROUP, KEYS, HEAD_VECS: headWidth / width, CAUSAL: causal } },
      params: { queries, keys, heads, scale: 1 / Math.sqrt(headWidth) },
      workgroups: [Math.ceil(queries / WORKGROUP), heads, images],
    }),
  });
}
