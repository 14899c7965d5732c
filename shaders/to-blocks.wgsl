// Activations in the place of weights: y (inner / 32, columns, 32) from x, as tensor-tile.wgsl reads w.
//
//   x   element (column, inner) at column * x_column + inner * x_inner
//
// One thread per element of y.

struct Params {
  size: u32,
  columns: u32,
  x_column: u32,
  x_inner: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElem>;
@group(0) @binding(2) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i < params.size) {
    let column = i / 32 % params.columns;
    let inner = i / 32 / params.columns * 32 + i % 32;
    y[i] = to_y(f32(x[column * params.x_column + inner * params.x_inner]));
  }
}
