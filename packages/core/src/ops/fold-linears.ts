/** Two linear layers, one after the other, as one: weights are multiplied once, not what goes through them. */
import { call, type Graph, type Tensor } from '../gpu/graph.js';
import { fewRows } from './few-rows.js';
import { type Matrix, WIDEST_TILE } from './weights.js';

/** As in fold-linears.wgsl. */
const SUBGROUPS = 4;

export interface Linear {
  readonly weight: Matrix;
  readonly bias?: Tensor;
}

/** What takes x to second(first(x)); both of width 32, in halves, on the matrix units. */
export function foldLinears(graph: Graph, first: Linear, second: Linear): Linear {
  const [{ weight: w }, { weight: v }] = [first, second];
  const [inner, rows] = [w.inner, v.rows];
  const data = call(graph, {
    kernel: 'fold-linears',
    inputs: { w: w.data, v: v.data },
    shape: [inner * rows + WIDEST_TILE * 32],
    type: 'f16',
    dispatch: () => ({
      variant: { matrixUnits: true },
      params: { rows, middle: v.inner },
      workgroups: [Math.ceil(rows / 32 / SUBGROUPS), inner / 32],
    }),
  });
  const bias = first.bias
    ? fewRows({ graph, x: first.bias, w: v, bias: second.bias, rows: 1, shape: [rows], type: 'f32', rowsPerImage: 1 })
    : second.bias;
  return { weight: { data, rows, inner, kernel: 1, width: 32, packed: true }, bias };
}
