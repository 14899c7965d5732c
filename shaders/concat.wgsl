// y = a and b side by side along the channels.
//
//   a   (rows, a_channels)
//   b   (rows, b_channels)
//   y   (rows, a_channels + b_channels)
//
// One thread per vector of y. Channels and sizes are counted in vectors.

struct Params {
  size: u32,
  a_channels: u32,
  b_channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<AVec>;
@group(0) @binding(2) var<storage, read> b: array<BVec>;
@group(0) @binding(3) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i >= params.size) {
    return;
  }
  let channels = params.a_channels + params.b_channels;
  let row = i / channels;
  let channel = i % channels;
  if (channel < params.a_channels) {
    y[i] = YVec(a[row * params.a_channels + channel]);
  } else {
    y[i] = YVec(b[row * params.b_channels + channel - params.a_channels]);
  }
}
