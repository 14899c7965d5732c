// Sums for group normalisation: for each (image, group, slice of the pixels)
//   y = (Σ (x - pivot), Σ (x - pivot)²),  pivot = the group's first value in the image
// in f32. The pivot keeps the difference of squares from cancelling when the mean is far from zero.
//
//   x   (images, pixels, channels)
//   y   (images, groups, SLICES, 2)
//
// One workgroup per (slice, group, image); each thread strides over the slice's values. Where SUBGROUP is above 1 the
// workgroup is one subgroup, and its lanes' sums are added without a barrier.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XElem>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2f>;

var<workgroup> partial: array<vec2f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let width = params.channels / params.groups;
  let start = group.z * params.pixels * params.channels + group.y * width;
  let pivot = f32(x[start]);
  let per_slice = (params.pixels + SLICES - 1) / SLICES;
  let first = min(group.x * per_slice, params.pixels);
  let values = (min(first + per_slice, params.pixels) - first) * width;

  var sums = vec2f(0);
  for (var i = lane; i < values; i += WORKGROUP) {
    let value = f32(x[start + (first + i / width) * params.channels + i % width]) - pivot;
    sums += vec2f(value, value * value);
  }
  let at = (group.z * params.groups + group.y) * SLICES + group.x;
  if (SUBGROUP > 1) {
    let total = sum_of_lanes(sums);
    if (lane == 0) {
      y[at] = total;
    }
    return;
  }
  partial[lane] = sums;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
  }
  if (lane == 0) {
    y[at] = partial[0];
  }
}
