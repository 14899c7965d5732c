/** Attention on the lanes of graphics cards (shaders/attention-lanes.wgsl). */
import type { Gpu } from '../gpu/gpu.js';
import { call, type Tensor } from '../gpu/graph.js';
import { type Attention, graphAndShapes } from './attention-inputs.js';

/** Most lanes that share a head: neighbours in a subgroup. Adding up across them costs as much as many multiplications. */
const MOST_LANES = 8;
const canShuffle = ({ device: { features, adapterInfo } }: Gpu): boolean =>
  features.has('subgroups') && (adapterInfo?.subgroupMinSize ?? 0) >= MOST_LANES;
/** Vectors of queries, and as many of sums, that a lane's registers hold: with more of them fewer lanes run at once (measured). */
const HELD_VECTORS = 10;
/** Vectors of a head from which on it pays to share them, so that a lane has two queries. */
const SHARED_VECTORS = 8;
/** Keys that are staged at once, in the workgroup memory that every device has. */
const MOST_STAGED = 32;
const STAGED_BYTES = 16384;
const STAGING_THREADS = 128;

/** Keys looked at between two corrections of the running maximum. */
const KEYS = 8;

export function laneAttention(one: Attention): Tensor {
  const { graph, q, images, queries, keys, heads, headWidth, width, causal, inputs } = graphAndShapes(one);
  const shuffles = canShuffle(graph.gpu);
  const constants = laneConstants(headWidth / width, width, shuffles ? MOST_LANES : 1);
  const queriesOfGroup = (constants.WORKGROUP / constants.LANES) * constants.QUERIES;
  return call(graph, {
    kernel: 'attention-lanes',
    inputs,
    shape: q.shape,
    dispatch: () => ({
      variant: { width, shuffles, constants: { ...constants, CAUSAL: causal } },
      params: { queries, keys, heads, scale: 1 / Math.sqrt(headWidth) },
      workgroups: [Math.ceil(queries / queriesOfGroup), heads, images],
    }),
  });
}

/** What attention-lanes.wgsl has to know of a head, which has so many vectors of so many numbers. */
export function laneConstants(headVecs: number, width: number, mostLanes: number) {
  let lanes = Math.min(mostLanes, headVecs >= SHARED_VECTORS ? 2 : 1);
  while (lanes < mostLanes && headVecs / lanes > HELD_VECTORS) lanes *= 2;
  let keys = MOST_STAGED;
  while (keys > KEYS && 2 * keys * headVecs * width * 4 > STAGED_BYTES) keys /= 2;
  const slots = Math.ceil(headVecs / lanes);
  return {
    WORKGROUP: STAGING_THREADS,
    HEAD_VECS: headVecs,
    LANES: lanes,
    SLOTS: slots,
    QUERIES: Math.max(1, Math.min(2, Math.floor(HELD_VECTORS / slots))),
    KEYS,
    TILE: keys,
    FETCHES: Math.ceil((keys * headVecs) / STAGING_THREADS),
  };
}
