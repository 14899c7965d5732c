// y = activation((x - mean) / sqrt(variance + eps) * gamma + beta), mean and variance per (image, group) in f32: sums and
// their use in one kernel, for groups that one workgroup gets through.
//
//   x, y          (images, pixels, channels)
//   gamma, beta   (channels)
//   sum           as x: what x's splits add up to, where others read it as well
//
// One workgroup per (group, image). A thread has one vector of the group's channels in every so many pixels. It holds the
// first HELD of them in registers, by loads that do not wait for one another; what is left it reads twice. Sums are those of
// group-norm-stats.wgsl: of distances from the group's first value.
// Uses border.wgsl.
// Uses sum-of-splits.wgsl.
// Uses summed-x.wgsl.
// Uses workgroup-sum.wgsl.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
  height: u32,
  width: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> gamma: array<GammaVec>;
@group(0) @binding(3) var<storage, read> beta: array<BetaVec>;
@group(0) @binding(4) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(5) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(6) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(7) var<storage, read_write> sum: array<SumVec>;
@group(0) @binding(8) var<storage, read_write> y: array<YVec>;

const ACROSS = WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let width = params.channels / params.groups / WIDTH;
  let row = params.channels / WIDTH;
  let start = group.y * params.pixels * row + group.x * width;
  // Threads behind the last whole pixel have nothing to do.
  let stride = WORKGROUP / width;
  let own = start + lane % width;
  let first = select(lane / width, params.pixels, lane / width >= stride);
  let vector = group.x * width + lane % width;
  let size = groups.y * params.pixels * row;
  let pivot = first_of(x_at(Place(start, group.x * width, group.y, row, size)));
  let own_gamma = Vec(gamma[vector]);
  let own_beta = Vec(beta[vector]);

  var sums = vec2f(0);
  @unroll for (var i = 0u; i < HELD; i++) {
    let at#i = first + i * stride;
    let held#i = x_at(Place(own + min(at#i, params.pixels - 1) * row, vector, group.y, row, size));
    sums += select(vec2f(0), sums_of(held#i - Vec(pivot)), at#i < params.pixels);
  }
  for (var pixel = first + HELD * stride; pixel < params.pixels; pixel += stride) {
    sums += sums_of(x_at(Place(own + pixel * row, vector, group.y, row, size)) - Vec(pivot));
  }
  let total = sum_across(sums, lane) / f32(params.pixels * width * WIDTH);
  let mean = pivot + total.x;
  let rstd = inverseSqrt(max(total.y - total.x * total.x, 0.0) + params.eps);
  let scale = rstd * own_gamma;
  let offset = own_beta - mean * scale;

  var spot = spot_of(first);
  let next = spot_of(stride);
  @unroll for (var i = 0u; i < HELD; i++) {
    if (at#i < params.pixels) {
      store_sum(own + at#i * row, held#i);
      store_pixel(group.y, groups.y, at#i, spot, vector, activate_vec(ACTIVATION, held#i * scale + offset));
      spot = further(spot, next);
    }
  }
  for (var pixel = first + HELD * stride; pixel < params.pixels; pixel += stride) {
    let value = x_at(Place(own + pixel * row, vector, group.y, row, size));
    store_sum(own + pixel * row, value);
    store_pixel(group.y, groups.y, pixel, spot, vector, activate_vec(ACTIVATION, value * scale + offset));
    spot = further(spot, next);
  }
}

fn sums_of(distance: Vec) -> vec2f {
  return vec2f(inner(distance, Vec(1)), inner(distance, distance));
}
