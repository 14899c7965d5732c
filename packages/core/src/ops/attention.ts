/** Scaled dot-product attention over heads (Vaswani et al. 2017). */
import { IncompatibleError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { call, elementCount, graphOf, show, spread, type Tensor } from '../gpu/graph.js';
import { batchedMatmul } from './matmul.js';
import { tiledProduct } from './tiled.js';
import { bodyOf } from './tiles.js';
import { type Matrix, WIDEST_TILE } from './weights.js';

/** The widest head whose query and sum fit a thread's registers. SD 1.x has 40, 80 and 160; SD 2.x has 64. */
const WIDEST_IN_REGISTERS = 160;
const WORKGROUP = 64;
/** Keys looked at between two corrections of the running maximum. */
const KEYS = 8;
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
  const graph = graphOf(q);
  if (headWidth > WIDEST_IN_REGISTERS && !causal) return wideAttention(q, k, v, heads);

  const onMatrixUnits = causal ? undefined : tensorAttention(q, k, v, heads);
  if (onMatrixUnits) return onMatrixUnits;

  const width = headWidth % 4 === 0 ? 4 : 1;
  const HEAD_VECS = headWidth / width;
  const { subgroup } = graph.gpu;
  const params = { queries, keys, heads, scale };
  const common = { inputs: { q, k, v }, shape: q.shape };
  if (subgroup > 1) {
    const shared = sharedConstants(
      subgroup,
      HEAD_VECS,
      sharedQueries(subgroup, HEAD_VECS, queries, queries * keys * headWidth),
    );
    return call(graph, {
      ...common,
      kernel: 'attention-shared',
      dispatch: () => ({
        variant: { width, subgroup, constants: { ...shared, CAUSAL: causal } },
        params: { ...params, head_vecs: HEAD_VECS },
        workgroups: [Math.ceil(queries / (subgroup * shared.QUERIES)), heads, images],
      }),
    });
  }
  if (graph.gpu.tiles) {
    const shuffles = canShuffle(graph.gpu);
    const staged = laneConstants(
      HEAD_VECS,
      2 * headWidth * (k.storage.type === 'f16' ? 2 : 4),
      shuffles ? MOST_LANES : 1,
    );
    return call(graph, {
      ...common,
      kernel: 'attention-lanes',
      dispatch: () => ({
        variant: { width, shuffles, constants: { ...staged, CAUSAL: causal } },
        params,
        workgroups: [Math.ceil(queries / ((staged.WORKGROUP / staged.LANES) * staged.QUERIES)), heads, images],
      }),
    });
  }
  return call(graph, {
    ...common,
    kernel: 'attention',
    dispatch: () => ({
      variant: { width, constants: { WORKGROUP, KEYS, HEAD_VECS, CAUSAL: causal } },
      params,
      workgroups: [Math.ceil(queries / WORKGROUP), heads, images],
    }),
  });
}

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

/** What attention-lanes.wgsl has to know of a head, a key and a value of which take so many bytes. */
export function laneConstants(headVecs: number, bytes: number, mostLanes: number) {
  let lanes = Math.min(mostLanes, headVecs >= SHARED_VECTORS ? 2 : 1);
  while (lanes < mostLanes && headVecs / lanes > HELD_VECTORS) lanes *= 2;
  let keys = MOST_STAGED;
  while (keys > KEYS && keys * bytes > STAGED_BYTES) keys /= 2;
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

/** On the matrix units; undefined where heads are too wide for the device's workgroup memory. */
function tensorAttention(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor | undefined {
  const { gpu } = graphOf(q);
  const [images, queries, channels] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  const headWidth = channels / heads;
  const isHalf = [q, k, v].every(({ storage }) => storage.type === 'f16');
  const most = gpu.device.limits.maxComputeWorkgroupStorageSize;
  const shape = TENSOR_SHAPES.find((one) => headWidth <= one.widestHead && tensorBytes(headWidth, one) <= most);
  if (gpu.matrixUnits !== 'all' || !isHalf || headWidth % 8 !== 0 || !shape) return undefined;
  return call(graphOf(q), {
    kernel: 'attention-tensor',
    inputs: { q, k, v },
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

/** The same with the scores in memory, for heads as wide as the VAE's (512): product, softmax, product. */
function wideAttention(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
  const graph = graphOf(q);
  const [images, queries, channels] = q.shape as [number, number, number];
  const keys = k.shape[1]!;
  const headWidth = channels / heads;
  const shape = [images, heads, queries, keys];
  const body = bodyOf(graph.gpu, 1);
  const isTiled = body === 'lanes' || (body === 'tensor' && [q, k, v].every(({ storage }) => storage.type === 'f16'));
  if (isTiled && images * heads === 1 && headWidth % 32 === 0 && keys % 32 === 0) {
    const scores = tiledProduct({
      ...{ kernel: 'matmul', x: q, shape, type: 'f32', rowsPerImage: queries },
      w: toBlocks(k, { columns: keys, inner: headWidth, byColumn: channels, byInner: 1 }),
    });
    return tiledProduct({
      ...{ kernel: 'matmul', shape: q.shape, type: graph.gpu.precision, rowsPerImage: queries },
      x: softmax(scores, 1 / Math.sqrt(headWidth)),
      w: toBlocks(v, { columns: headWidth, inner: keys, byColumn: 1, byInner: channels }),
    });
  }

  const inChannels = { row: channels, head: headWidth };
  const inScores = { row: keys, head: queries * keys, image: heads * queries * keys };
  const width = headWidth % 4 === 0 ? 4 : 1;
  const scores = batchedMatmul(graph, {
    ...{ x: q, w: k, shape, type: 'f32', rows: queries, columns: keys, inner: headWidth, images, heads },
    ...{ width, weights: 'numbers' },
    xStrides: { ...inChannels, image: queries * channels },
    wStrides: { column: channels, inner: width, head: headWidth, image: keys * channels },
    yStrides: inScores,
  });
  return batchedMatmul(graph, {
    ...{ x: softmax(scores, 1 / Math.sqrt(headWidth)), w: v, shape: q.shape, images, heads },
    ...{ rows: queries, columns: headWidth, inner: keys, width: 1, weights: 'numbers' },
    xStrides: inScores,
    wStrides: { column: 1, inner: channels, head: headWidth, image: keys * channels },
    yStrides: { ...inChannels, image: queries * channels },
  });
}

/** softmax(scores * scale) over the last dimension. */
function softmax(scores: Tensor, scale: number): Tensor {
  const columns = scores.shape.at(-1)!;
  const rows = elementCount(scores.shape) / columns;
  return call(graphOf(scores), {
    kernel: 'softmax',
    inputs: { x: scores },
    shape: scores.shape,
    dispatch: () => ({
      variant: { constants: { WORKGROUP } },
      params: { rows, columns, scale },
      workgroups: [Math.min(rows, 65535), Math.ceil(rows / 65535)],
    }),
  });
}

/** An activation as a matrix for tiles: element (column, inner) lies at these steps in x. */
function toBlocks(
  x: Tensor,
  { columns, inner, byColumn, byInner }: { columns: number; inner: number; byColumn: number; byInner: number },
): Matrix {
  const size = columns * inner;
  const data = call(graphOf(x), {
    kernel: 'to-blocks',
    inputs: { x },
    shape: [size + WIDEST_TILE * 32], // the last tile may reach past the end
    dispatch: () => ({
      params: { size, columns, x_column: byColumn, x_inner: byInner },
      workgroups: spread(size, 256),
    }),
  });
  return { data, rows: columns, inner, kernel: 1, width: 32, packed: data.storage.type === 'f16' };
}
