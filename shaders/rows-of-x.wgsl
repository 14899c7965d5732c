// x of a product, as tiles fetch it: a part of matmul-tensor.wgsl and matmul-lanes.wgsl.
//
//   x   (rows, inner), eight numbers at once
//
// IN_TWO: the inner dimension runs over x twice (tensor-tile.wgsl).

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  split: u32,
  rows_per_image: u32,
  part_columns: u32,
  part_pitch: u32,
  beside: u32,
}

struct XRow {
  at: u32,
  beside_at: u32,
}
alias XStep = u32;

fn begin_row(row: u32, part: u32) -> XRow {
  return XRow(row * w_inner() / 8, beside_row(row));
}

// How far into a row of x an inner index is.
fn begin_step(k: u32) -> XStep {
  return select(k, k % w_inner(), IN_TWO) / 8;
}

fn begin_results(part: u32) -> u32 {
  return part * params.rows;
}

fn y_row(row: u32, results_at: u32) -> u32 {
  return results_at + row;
}

fn x_chunk(row: XRow, step: XStep) -> XEight {
  return x[row.at + step];
}
