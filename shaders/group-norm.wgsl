// y = activation((x - mean) / sqrt(variance + eps) * gamma + beta), mean and variance per (image, group),
// from the sums that group-norm-stats.wgsl has made.
//
//   x, y          (images, pixels, channels)
//   stats         (images, groups, SLICES, 2)
//   gamma, beta   (channels)
//
// One thread per vector of channels and PIXELS consecutive pixels; neighbours lie along the channels. A vector may reach over
// two groups. HELD pixels are read before any is stored, so that reading does not wait for storing. A workgroup first adds up the
// slices of all GROUPS between its threads.
// Uses border.wgsl.

struct Params {
  pixels: u32,
  channels: u32,
  height: u32,
  width: u32,
  eps: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> stats: array<vec2f>;
@group(0) @binding(3) var<storage, read> gamma: array<GammaVec>;
@group(0) @binding(4) var<storage, read> beta: array<BetaVec>;
@group(0) @binding(5) var<storage, read_write> y: array<YVec>;

// Threads that add up a group's slices.
const SHARERS = max(1, WORKGROUP / GROUPS);
var<workgroup> partial: array<vec2f, GROUPS * SHARERS>;
// Of each group, the mean and one by the deviation.
var<workgroup> moments: array<vec2f, GROUPS>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  find_moments(group.z, lane);
  let row = params.channels / WIDTH;
  let thread = (group.y * groups.x + group.x) * WORKGROUP + lane;
  let vector = thread % row;
  let first = thread / row * PIXELS;
  if (first >= params.pixels) {
    return;
  }
  let start = group.z * params.pixels * row;
  let own = params.channels / GROUPS;
  let norm_group = vector * WIDTH / own;
  let edge = (norm_group + 1) * own - vector * WIDTH;
  let low = moments[norm_group];
  let high = moments[min(norm_group + 1, GROUPS - 1)];
  let scale = split_at(edge, low.y, high.y) * Vec(gamma[vector]);
  let offset = Vec(beta[vector]) - split_at(edge, low.x, high.x) * scale;

  var spot = spot_of(first);
  let next = spot_of(1);
  for (var pixel = first; pixel < min(first + PIXELS, params.pixels); pixel += HELD) {
    @unroll for (var i = 0u; i < HELD; i++) {
      let held#i = Vec(x[start + min(pixel + i, params.pixels - 1) * row + vector]);
    }
    @unroll for (var i = 0u; i < HELD; i++) {
      if (pixel + i < params.pixels) {
        store_pixel(group.z, groups.z, pixel + i, spot, vector, activate_vec(ACTIVATION, held#i * scale + offset));
        spot = further(spot, next);
      }
    }
  }
}

fn find_moments(image: u32, lane: u32) {
  for (var i = lane; i < GROUPS * SHARERS; i += WORKGROUP) {
    var sums = vec2f(0);
    for (var slice = i % SHARERS; slice < SLICES; slice += SHARERS) {
      sums += stats[(image * GROUPS + i / SHARERS) * SLICES + slice];
    }
    partial[i] = sums;
  }
  workgroupBarrier();
  let own = params.channels / GROUPS;
  for (var i = lane; i < GROUPS; i += WORKGROUP) {
    var sums = vec2f(0);
    for (var sharer = 0u; sharer < SHARERS; sharer++) {
      sums += partial[i * SHARERS + sharer];
    }
    sums /= f32(params.pixels * own);
    let first = image * params.pixels * params.channels + i * own;
    let pivot = number_of(Vec(x[first / WIDTH]), first % WIDTH);
    moments[i] = vec2f(pivot + sums.x, inverseSqrt(max(sums.y - sums.x * sums.x, 0.0) + params.eps));
  }
  workgroupBarrier();
}
