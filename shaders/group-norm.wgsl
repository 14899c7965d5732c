// y = activation((x - mean) / sqrt(variance + eps) * gamma + beta), mean and variance per (image, group),
// from the sums that group-norm-stats.wgsl has made.
//
//   x, y          (images, pixels, channels)
//   stats         (images, groups, SLICES, 2)
//   gamma, beta   (channels)
//
// One thread per vector of channels and PIXELS consecutive pixels; neighbours lie along the channels.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> gamma: array<GammaVec>;
@group(0) @binding(4) var<storage, read> beta: array<BetaVec>;
@group(0) @binding(5) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = params.channels / WIDTH;
  let thread = (group.y * groups.x + group.x) * WORKGROUP + lane;
  let vector = thread % row;
  let first = thread / row * PIXELS;
  if (first >= params.pixels) {
    return;
  }
  let image = group.z;
  let width = row / params.groups;
  let norm_group = vector / width;
  let image_start = image * params.pixels * row;

  var sums = vec2f(0);
  for (var slice = 0u; slice < SLICES; slice++) {
    sums += stats[(image * params.groups + norm_group) * SLICES + slice];
  }
  sums /= f32(params.pixels * width * WIDTH);
  let mean = first_of(Vec(x[image_start + norm_group * width])) + sums.x;
  let rstd = inverseSqrt(max(sums.y - sums.x * sums.x, 0.0) + params.eps);
  let scale = rstd * Vec(gamma[vector]);
  let offset = Vec(beta[vector]) - mean * scale;

  let last = min(first + PIXELS, params.pixels);
  for (var pixel = first; pixel < last; pixel++) {
    let at = image_start + pixel * row + vector;
    y[at] = to_y_vec(activate_vec(ACTIVATION, Vec(x[at]) * scale + offset));
  }
}
