// y = activation(Σ x + bias + shift) + residual: the sums of a product whose inner dimension was split (tensor-tile.wgsl).
//
//   x             (splits, rows, columns)
//   bias          (columns)
//   shift         (images, columns)         one row per image, the image being row / rows_per_image
//   residual, y   (rows, columns)
//
// GATED: y = value * gelu(gate), the halves of the columns, as in tensor-tile.wgsl; y is (rows, columns / 2).
//
// One thread per vector of y. Columns and sizes are counted in vectors, `size` those of a split.
// Uses sum-of-splits.wgsl.

struct Params {
  columns: u32,
  size: u32,
  per_image: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(3) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(4) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(5) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (GATED) {
    let results = params.columns / 2;
    if (i >= params.size / 2) {
      return;
    }
    let column = i % results;
    let at = i / results * params.columns + column;
    let gate = sum_at(at + results, column + results, params.size);
    y[i] = to_y_vec(sum_at(at, column, params.size) * activate_vec(GELU, gate));
    return;
  }
  if (i < params.size) {
    y[i] = to_y_vec(summed(Place(i, i % params.columns, i / params.per_image, params.columns, params.size)));
  }
}
