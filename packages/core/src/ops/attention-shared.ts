/** Attention on processors whose lanes share what they read (shaders/attention-shared.wgsl). */
import { call, type Tensor } from '../gpu/graph.js';
import { type Attention, graphAndShapes } from './attention-inputs.js';

/**
 * Where lanes share what they read, queries of a thread: what was handed round serves all of them. It takes as many
 * multiplications of a head's scores that this is worth a larger kernel.
 */
const SHARED_QUERIES = 6;
const MUCH = 2 ** 18;
/** Vectors of all its queries: of 40 channels six, of 160 one. */
const MOST_VECTORS = 60;
/** Products of vectors that are written out for scores, and again for values: more code than this is slower than fewer keys at a time. */
const MOST_WRITTEN = 240;

export function sharedAttention(one: Attention): Tensor {
  const { graph, q, images, queries, keys, heads, headWidth, width, causal, inputs } = graphAndShapes(one);
  const { subgroup } = graph.gpu;
  const headVecs = headWidth / width;
  const constants = sharedConstants(
    subgroup,
    headVecs,
    sharedQueries(subgroup, headVecs, queries, queries * keys * headWidth),
  );
  return call(graph, {
    kernel: 'attention-shared',
    inputs,
    shape: q.shape,
    dispatch: () => ({
      variant: { width, subgroup, constants: { ...constants, CAUSAL: causal } },
      params: { queries, keys, heads, scale: 1 / Math.sqrt(headWidth), head_vecs: headVecs },
      workgroups: [Math.ceil(queries / (subgroup * constants.QUERIES)), heads, images],
    }),
  });
}

function sharedQueries(subgroup: number, headVecs: number, queries: number, work: number): number {
  const worth = work < MUCH ? 1 : SHARED_QUERIES;
  return Math.max(1, Math.min(worth, Math.floor(MOST_VECTORS / headVecs), Math.ceil(queries / subgroup)));
}

/** What attention-shared.wgsl has to know. */
export function sharedConstants(subgroup: number, headVecs: number, queries: number) {
  let keys = subgroup;
  while (keys > 1 && keys * headVecs * queries > MOST_WRITTEN) keys /= 2;
  const perRead = subgroup / keys;
  return {
    HEAD_VECS: headVecs,
    QUERIES: queries,
    KEYS: keys,
    PER_READ: perRead,
    READS: Math.ceil(headVecs / perRead),
  };
}
