// y = x in another storage type, since inputs come as f32 and activations are stored as the precision tier says, or over and
// over: element i of y is element i % period of x.
//
//   x   (period)
//   y   (size)
//
// One thread per vector, in which both are counted.

struct Params {
  size: u32,
  period: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i < params.size) {
    y[i] = to_y_vec(Vec(x[i % params.period]));
  }
}
