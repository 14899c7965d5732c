// What all tiles of y = activation(x · wᵀ + bias + shift) + residual share, on the matrix units (tensor-tile.wgsl) and on lanes
// (lane-tile.wgsl): what is bound, where weights lie, and where results go. How x is fetched is a part of its own:
// rows-of-x.wgsl or windows-of-x.wgsl, which have
//   params                        with rows, columns, inner, split, rows_per_image, part_... and beside
//   begin_row(row, part) -> XRow  for each row of x that a thread fetches: all that x_chunk needs to know of it
//   begin_step(k) -> XStep        the same of an inner index
//   x_chunk(at, step) -> XEight   eight numbers of that row, from that inner index on
//   begin_results(part) -> at     the row of y that the first row's sums are
//   y_row(row, at) -> row         the same of other rows
// A part is what one workgroup along z sums up: `split` of the inner dimension.
//
//   w        (inner / 32, columns, 32); behind them memory for whole tiles, with anything in it
//   bias     (columns)
//   shift    (images, columns)         one row per image, the image being row / rows_per_image
//   residual (rows, columns)
//   y        (splits, rows, columns)   each split has the sum over its part of the inner dimension
//
// Tiles go over the edges of x and w; what lies there is not stored. x and w are bound as read_write though nobody writes
// them: what cannot change is fetched as late as possible by NVIDIA's compiler, and then everybody waits (204 against 249
// TFLOP/s at 4096 x 4096 x 4096 on the matrix units).
//
// GATED: y = value * gelu(gate), value being the first half of the columns and gate the second (GEGLU: Shazeer 2020, arXiv
// 2002.05202); y is (rows, columns / 2).
//
// BESIDE: behind x, the inner dimension runs over `beside`, and behind w over `beside_w`: the sum of two products is one. On the matrix
// units alone.
//
//   beside   (rows, params.beside)
//   beside_w (params.beside / 32, columns, 32), and memory as behind w
//
// JOINT: columns belong to several results, part_columns each, of which y has one after the other, part_pitch apart.

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<XEight>;
@group(0) @binding(2) var<storage, read_write> w: array<WEight>;
@group(0) @binding(3) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(6) var<storage, read_write> y: array<YVec>;

// Where eight weights are: block after block of 32 of the inner dimension, as they lie in memory.
fn w_chunk(k: u32, column: u32) -> u32 {
  let at = select(k, k % w_inner(), IN_TWO);
  return (at / 32 * params.columns + column) * 4 + at % 32 / 8;
}

// The inner dimension of w.
fn w_inner() -> u32 {
  if (BESIDE) {
    return params.inner - params.beside;
  }
  return select(params.inner, params.inner / 2, IN_TWO);
}

// Where a row of `beside` would begin if it had as much before it as x has.
fn beside_row(row: u32) -> u32 {
  return row * (params.beside / 8) - w_inner() / 8;
}

// Columns of y.
fn results() -> u32 {
  return select(params.columns, params.columns / 2, GATED);
}

fn index_of(results_at: u32, row: u32, column: u32) -> u32 {
  if (JOINT) {
    return column / params.part_columns * params.part_pitch + row * params.part_columns + column % params.part_columns;
  }
  return y_row(row, results_at) * results() + column;
}

fn store(sum: Vec, row: u32, column: u32, results_at: u32) {
  let at = index_of(results_at, row, column) / WIDTH;
  y[at] = to_y_vec(finish(sum, column, row, at));
}

fn store_gated(value: Vec, gate: Vec, row: u32, column: u32) {
  let gated = with_bias(value, column) * activate_vec(GELU, with_bias(gate, column + results()));
  y[index_of(0, row, column) / WIDTH] = to_y_vec(gated);
}

fn with_bias(sum: Vec, column: u32) -> Vec {
  if (HAS_BIAS) {
    return sum + Vec(bias[column / WIDTH]);
  }
  return sum;
}

fn finish(sum: Vec, column: u32, row: u32, at: u32) -> Vec {
  var value = with_bias(sum, column);
  if (HAS_SHIFT) {
    value += Vec(shift[(row / params.rows_per_image * params.columns + column) / WIDTH]);
  }
  value = activate_vec(ACTIVATION, value);
  if (HAS_RESIDUAL) {
    value += Vec(residual[at]);
  }
  return value;
}
