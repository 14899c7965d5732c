/** Attention of heads that are too wide for registers, such as the VAE's: product, softmax, product. */
import { kindOf } from '../gpu/gpu.js';
import { call, elementCount, graphOf, spread, type Tensor } from '../gpu/graph.js';
import { type Attention, graphAndShapes } from './attention-inputs.js';
import { batchedMatmul } from './matmul.js';
import { tiledProduct } from './tiled.js';
import { bodyOf, type Matrix, WIDEST_TILE } from './weights.js';

/** Threads that have a row between them. */
const WORKGROUP = { card: 256, processor: 64 };

/** The scores are in memory, for heads as wide as the VAE's (512): product, softmax, product. */
export function wideAttention(one: Attention): Tensor {
  const { graph, q, k, v, images, queries, keys, channels, heads, headWidth } = graphAndShapes(one);
  const shape = [images, heads, queries, keys];
  const packed = graph.gpu.precision === 'f16'; // as toBlocks leaves them
  if (bodyOf(graph.gpu, { kernel: 1, packed }) && images * heads === 1 && headWidth % 32 === 0 && keys % 32 === 0) {
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
  const graph = graphOf(scores);
  const width = columns % 4 === 0 ? 4 : 1;
  return call(graph, {
    kernel: 'softmax',
    inputs: { x: scores },
    shape: scores.shape,
    dispatch: () => ({
      variant: { width, constants: { WORKGROUP: WORKGROUP[kindOf(graph.gpu)] } },
      params: { rows, columns: columns / width, scale },
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
