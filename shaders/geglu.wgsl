// y = x[first half] * gelu(x[second half]), along the channels (GEGLU: Shazeer 2020, arXiv 2002.05202).
//
//   x   (rows, 2 * channels)
//   y   (rows, channels)
//
// One thread per element of y.

struct Params {
  size: u32,
  channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElem>;
@group(0) @binding(2) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i < params.size) {
    let value = i / params.channels * 2 * params.channels + i % params.channels;
    y[i] = to_y(f32(x[value]) * activate(GELU, f32(x[value + params.channels])));
  }
}
