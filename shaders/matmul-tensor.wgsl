// y = activation(x · wᵀ + bias + shift) + residual on the matrix units.
// Uses tensor-tile.wgsl.
//
//   x             (rows, inner)             f16, or f32 that is rounded to f16 as it is fetched
//   bias          (columns)
//   shift         (images, columns)         one row per image, the image being row / rows_per_image
//   residual, y   (rows, columns)

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  split: u32,
  rows_per_image: u32,
  part_columns: u32,
  part_pitch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<XEight>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4u>;
@group(0) @binding(3) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(6) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  tile(group, thread, subgroup, lane);
}

// Of an inner index: how far into a row of x it is, and which part of the numbers is wanted.
struct Step {
  by: u32,
  is_rest: bool,
}

fn begin_row(row: u32) -> u32 {
  return row * w_inner() / 8;
}

fn begin_step(k: u32) -> Step {
  if (IN_TWO) {
    return Step(k % w_inner() / 8, k >= w_inner());
  }
  return Step(k / 8, false);
}

fn x_chunk(row_at: u32, step: Step) -> vec4u {
  let eight = x[row_at + step.by];
  if (IN_TWO) {
    return x_part(eight, step.is_rest);
  }
  return x_halves(eight);
}
