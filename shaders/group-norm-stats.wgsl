// Sums for group normalisation: for each (image, group, slice of the pixels)
//   y = (Σ (x - pivot), Σ (x - pivot)²),  pivot = the group's first value in the image
// in f32. The pivot keeps the difference of squares from cancelling when the mean is far from zero.
//
//   x   (images, pixels, channels)
//   y   (images, groups, SLICES, 2)
//
// One workgroup per (slice, GROUPS neighbouring groups, image). With several groups its threads lie along the channels of all
// of them, so that memory is read as it lies, and WORKGROUP is a multiple of those vectors. With one, a thread has a vector of
// its channels in every so many pixels, or several of them where a pixel has more than there are threads. Where SUBGROUP is
// above 1 the workgroup is one subgroup with one group.
// Uses workgroup-sum.wgsl.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read_write> y: array<vec2f>;

const ACROSS = WORKGROUP;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let width = params.channels / params.groups / WIDTH;
  let row = params.channels / WIDTH;
  let vectors = width * GROUPS;
  let first_group = group.y * GROUPS;
  let start = group.z * params.pixels * row + first_group * width;
  let pivot = first_of(Vec(x[start + lane % vectors / width * width]));
  let per_slice = (params.pixels + SLICES - 1) / SLICES;
  let first = group.x * per_slice;
  let last = min(first + per_slice, params.pixels);
  // Threads behind the last whole pixel have nothing to do.
  let across = min(vectors, WORKGROUP);
  let stride = WORKGROUP / across;
  let begin = first + select(lane / across, last, lane / across >= stride);

  var sums = vec2f(0);
  for (var i = lane % across; i < vectors; i += across) {
    for (var pixel = begin; pixel < last; pixel += stride * HELD) {
      @unroll for (var j = 0u; j < HELD; j++) {
        let at#j = pixel + j * stride;
        let held#j = Vec(x[start + min(at#j, last - 1) * row + i]);
      }
      @unroll for (var j = 0u; j < HELD; j++) {
        let distance = select(Vec(0), held#j - Vec(pivot), at#j < last);
        sums += vec2f(inner(distance, Vec(1)), inner(distance, distance));
      }
    }
  }
  if (GROUPS > 1) {
    partial[lane] = sums;
    workgroupBarrier();
    if (lane < GROUPS) {
      var total = vec2f(0);
      for (var from_pixel = lane * width; from_pixel < WORKGROUP; from_pixel += vectors) {
        for (var i = 0u; i < width; i++) {
          total += partial[from_pixel + i];
        }
      }
      y[(group.z * params.groups + first_group + lane) * SLICES + group.x] = total;
    }
    return;
  }
  let at = (group.z * params.groups + group.y) * SLICES + group.x;
  let total = sum_across(sums, lane);
  if (lane == 0) {
    y[at] = total;
  }
}
