/** Products of very few rows by weights that lie for the matrix units, which would have hardly anything to multiply. */
import { activationCode } from '../gpu/activate.js';
import { call, type Graph, type Tensor } from '../gpu/graph.js';
import { epilogueParams, partParams } from './epilogue.js';
import type { MatrixProduct, Parts } from './weights.js';

/** As in few-rows.wgsl. */
const ROWS = 2;
const COLUMNS = 16;
/** Up to here weights are read as often as there are pairs of rows. */
export const FEW_ROWS = 8;

export interface FewRows extends MatrixProduct {
  readonly graph: Graph;
  readonly rows: number;
  readonly parts?: Parts;
}

/** y = x · wᵀ + bias, w being a matrix of width 32, in halves. */
export function fewRows({ graph, x, w, bias, rows, shape, type, rowsPerImage, parts }: FewRows): Tensor {
  const columns = w.rows;
  return call(graph, {
    kernel: 'few-rows',
    inputs: { x, w: w.data, bias },
    shape,
    type,
    epilogue: parts ? {} : { activation: true, add: true },
    dispatch: (node) => ({
      // Weights are taken apart as words.
      variant: { width: 4, weights: 'pairs', constants: { ACTIVATION: activationCode(node.activation) } },
      params: {
        ...epilogueParams(node),
        rows,
        columns,
        inner: w.inner / 4,
        rows_per_image: rowsPerImage,
        ...partParams(columns, parts),
      },
      fixed: 'all',
      workgroups: [Math.ceil(columns / COLUMNS), Math.ceil(rows / ROWS)],
    }),
  });
}
