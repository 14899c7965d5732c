// y = sum of weight_k x_k over the first TERMS of a to e, added in this order: all that samplers do with latents.
//
//   a, b, c, d, e, y   (size) each, from its own first number on
//
// Without terms y is zero. One thread per element.

struct Params {
  size: u32,
  y_first: u32,
  a_first: u32,
  b_first: u32,
  c_first: u32,
  d_first: u32,
  e_first: u32,
  a_weight: f32,
  b_weight: f32,
  c_weight: f32,
  d_weight: f32,
  e_weight: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read> d: array<f32>;
@group(0) @binding(5) var<storage, read> e: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i >= params.size) {
    return;
  }
  var sum = 0.0;
  if (TERMS > 0u) {
    sum = params.a_weight * a[params.a_first + i];
  }
  if (TERMS > 1u) {
    sum += params.b_weight * b[params.b_first + i];
  }
  if (TERMS > 2u) {
    sum += params.c_weight * c[params.c_first + i];
  }
  if (TERMS > 3u) {
    sum += params.d_weight * d[params.d_first + i];
  }
  if (TERMS > 4u) {
    sum += params.e_weight * e[params.e_first + i];
  }
  y[params.y_first + i] = sum;
}
