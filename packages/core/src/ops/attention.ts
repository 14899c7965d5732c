/** Scaled dot-product attention over heads (Vaswani et al. 2017). */
import { IncompatibleError } from '../errors.js';
import { call, graphOf, show, type Tensor } from '../gpu/graph.js';
import { batchedMatmul } from './matmul.js';

/** The widest head whose query and sum fit a thread's registers. SD 1.x has 40, 80 and 160; SD 2.x has 64. */
const WIDEST_IN_REGISTERS = 160;
const WORKGROUP = 64;
/** Keys looked at between two corrections of the running maximum: as many as the widest subgroup that shares. */
const KEYS = 8;

export interface AttentionOptions {
  readonly heads: number;
  /** A query sees only keys up to its own position. */
  readonly causal?: boolean;
}

/** y (N, Tq, C) from q (N, Tq, C), k and v (N, Tk, C): heads lie side by side in C. */
export function attention(q: Tensor, k: Tensor, v: Tensor, { heads, causal = false }: AttentionOptions): Tensor {
  const [images, queries, channels] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  if (channels % heads !== 0 || k.shape[2] !== channels || v.shape[2] !== channels) {
    throw new IncompatibleError(
      `attention of ${heads} heads over ${show(q.shape)}, ${show(k.shape)}, ${show(v.shape)}`,
    );
  }
  const headWidth = channels / heads;
  const scale = 1 / Math.sqrt(headWidth);
  if (headWidth > WIDEST_IN_REGISTERS && !causal) return wideAttention(q, k, v, heads);

  const graph = graphOf(q);
  const width = headWidth % 4 === 0 ? 4 : 1;
  return call(graph, {
    kernel: 'attention',
    inputs: { q, k, v },
    shape: q.shape,
    dispatch: () => ({
      variant: {
        width,
        subgroup: graph.gpu.subgroup,
        constants: { WORKGROUP, HEAD_VECS: headWidth / width, KEYS, CAUSAL: causal },
      },
      params: { queries, keys, heads, scale },
      workgroups: [Math.ceil(queries / WORKGROUP), heads, images],
    }),
  });
}

/** The same with the scores in memory, for heads as wide as the VAE's (512): product, softmax, product. */
function wideAttention(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
  const graph = graphOf(q);
  const [images, queries, channels] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  const headWidth = channels / heads;
  const inChannels = { row: channels, head: headWidth };
  const inScores = { row: keys, head: queries * keys, image: heads * queries * keys };

  const scores = batchedMatmul(graph, {
    x: q,
    w: k,
    shape: [images, heads, queries, keys],
    type: 'f32',
    rows: queries,
    columns: keys,
    inner: headWidth,
    width: headWidth % 4 === 0 ? 4 : 1,
    weights: 'numbers',
    images,
    heads,
    scale: 1 / Math.sqrt(headWidth),
    xStrides: { ...inChannels, image: queries * channels },
    wStrides: { column: channels, inner: headWidth % 4 === 0 ? 4 : 1, head: headWidth, image: keys * channels },
    yStrides: inScores,
  });
  const rows = images * heads * queries;
  const shares = call(graph, {
    kernel: 'softmax',
    inputs: { x: scores },
    shape: scores.shape,
    dispatch: () => ({
      variant: { constants: { WORKGROUP } },
      params: { rows, columns: keys },
      workgroups: [Math.min(rows, 65535), Math.ceil(rows / 65535)],
    }),
  });
  return batchedMatmul(graph, {
    x: shares,
    w: v,
    shape: q.shape,
    rows: queries,
    columns: headWidth,
    inner: keys,
    width: 1,
    weights: 'numbers',
    images,
    heads,
    xStrides: inScores,
    wStrides: { column: 1, inner: channels, head: headWidth, image: keys * channels },
    yStrides: { ...inChannels, image: queries * channels },
  });
}
