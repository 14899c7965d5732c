// y = a + b, where b may be smaller than a: element i of a meets element
//   i / per_image * b_image + i % period   of b.
//
//   a, y   (size)
//   b      the same size (period = size); or repeated over the batch (period = its size); or one row of
//          channels per image (per_image = pixels * channels, b_image = period = channels)
//
// One thread per element. Merged into the kernel before it where that is possible (fuse.ts).

struct Params {
  size: u32,
  per_image: u32,
  b_image: u32,
  period: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AElem>;
@group(0) @binding(2) var<storage, read> b: array<BElem>;
@group(0) @binding(3) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i < params.size) {
    y[i] = to_y(f32(a[i]) + f32(b[i / params.per_image * params.b_image + i % params.period]));
  }
}
