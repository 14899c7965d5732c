// y = activation((x - mean) / sqrt(variance + eps) * gamma + beta), mean and variance per (image, group),
// from the sums that group-norm-stats.wgsl has made.
//
//   x, y          (images, pixels, channels)
//   stats         (images, groups, SLICES, 2)
//   gamma, beta   (channels)
//
// One thread per channel and PIXELS consecutive pixels; the threads of a workgroup lie along the channels.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElem>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> gamma: array<f32>;
@group(0) @binding(4) var<storage, read> beta: array<f32>;
@group(0) @binding(5) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let channel = group.x * WORKGROUP + lane;
  if (channel >= params.channels) {
    return;
  }
  let image = group.z;
  let width = params.channels / params.groups;
  let norm_group = channel / width;
  let image_start = image * params.pixels * params.channels;

  var sums = vec2f(0);
  for (var slice = 0u; slice < SLICES; slice++) {
    sums += stats[(image * params.groups + norm_group) * SLICES + slice];
  }
  sums /= f32(params.pixels * width);
  let mean = f32(x[image_start + norm_group * width]) + sums.x;
  let rstd = inverseSqrt(max(sums.y - sums.x * sums.x, 0.0) + params.eps);
  let scale = rstd * gamma[channel];
  let offset = beta[channel] - mean * scale;

  let last = min((group.y + 1) * PIXELS, params.pixels);
  for (var pixel = group.y * PIXELS; pixel < last; pixel++) {
    let at = image_start + pixel * params.channels + channel;
    y[at] = to_y(activate(ACTIVATION, f32(x[at]) * scale + offset));
  }
}
