/** What attention is asked for, and what all of its kernels want to know of that. */
import { graphOf, type Tensor } from '../gpu/graph.js';

export interface AttentionOptions {
  readonly heads: number;
  /** A query sees only keys up to its own position. */
  readonly causal?: boolean;
}

export interface Attention extends Required<AttentionOptions> {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
}

export function graphAndShapes({ q, k, v, heads, causal }: Attention) {
  const [images, queries, channels] = q.shape as [number, number, number];
  const headWidth = channels / heads;
  const width: 1 | 4 = headWidth % 4 === 0 ? 4 : 1;
  const inputs = { q, k, v };
  return {
    graph: graphOf(q),
    ...inputs,
    inputs,
    images,
    queries,
    keys: k.shape[1]!,
    channels,
    heads,
    headWidth,
    width,
    causal,
  };
}
