// y = x and b side by side along the channels.
//
//   x   (rows, x_channels)
//   b   (rows, b_channels)
//   y   (rows, x_channels + b_channels)
//   sum as x: what x's splits add up to, where others read it as well
//
// One thread per vector of y. Channels and sizes are counted in vectors.
// Uses sum-of-splits.wgsl.
// Uses summed-x.wgsl.

struct Params {
  size: u32,
  x_channels: u32,
  b_channels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> b: array<BVec>;
@group(0) @binding(3) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(6) var<storage, read_write> sum: array<SumVec>;
@group(0) @binding(7) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 256 + id.x;
  if (i >= params.size) {
    return;
  }
  let channels = params.x_channels + params.b_channels;
  let row = i / channels;
  let channel = i % channels;
  if (channel >= params.x_channels) {
    y[i] = to_y_vec(Vec(b[row * params.b_channels + channel - params.x_channels]));
    return;
  }
  let at = row * params.x_channels + channel;
  let size = params.size / channels * params.x_channels;
  let value = x_at(Place(at, channel, 0, params.x_channels, size));
  store_sum(at, value);
  y[i] = to_y_vec(value);
}
