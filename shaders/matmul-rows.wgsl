// y = activation(x · wᵀ + bias + shift) + residual on processors whose lanes share what they read.
//
//   x             (rows, inner, 4)
//   w             (inner, columns, 4)
//   residual, y   (rows, columns)
//
// Uses held-rows.wgsl.

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  rows_per_image: u32,
  group_columns: u32,
  held: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> w: array<WeightVec>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftElem>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualElem>;
@group(0) @binding(6) var<storage, read_write> y: array<YElem>;

// Where each row of the lane begins in x; rows past the end read the last one and are not stored.
var<private> x_at: vec4u;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_row = (group.z * 65535 + group.y) * SUBGROUP * LANE_ROWS;
  if (first_row < params.rows) {
    let row = min(first_row + lane + vec4u(0, 1, 2, 3) * SUBGROUP, vec4u(params.rows - 1));
    image = row / params.rows_per_image;
    x_at = row * params.inner;
    multiply(first_row, group.x * params.group_columns, lane);
  }
}

fn hold(first: u32, count: u32) {
  for (var j = 0u; j < count; j++) {
    @unroll for (var r = 0u; r < 4; r++) {
      held[j * LANE_ROWS + r] = vec4f(x[x_at[r] + first + j]);
    }
  }
  hold_nothing(count);
}

fn y_row(row: u32) -> u32 {
  return row;
}
