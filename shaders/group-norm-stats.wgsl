// Sums for group normalisation: for each (image, group, slice of the pixels)
//   y = (Σ (x - pivot), Σ (x - pivot)²),  pivot = the group's first value in the image
// in f32. The pivot keeps the difference of squares from cancelling when the mean is far from zero.
//
//   x   (images, pixels, channels)
//   y   (images, groups, SLICES, 2)
//   sum as x: what x's splits add up to, for others to read
//
// One workgroup per (slice, GROUPS neighbouring groups, image). With several groups its threads lie along the channels of all
// of them, so that memory is read as it lies, and WORKGROUP is a multiple of those vectors; a vector may reach over two groups, and
// SHARERS threads add up what there is of a group. With one, a thread has a vector of its channels in every so many pixels, or
// several of them where a pixel has more than there are threads. Where SUBGROUP is above 1 the workgroup is one subgroup with one group.
// Uses sum-of-splits.wgsl.
// Uses summed-x.wgsl.
// Uses workgroup-sum.wgsl.

struct Params {
  pixels: u32,
  channels: u32,
  groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(3) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(4) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(5) var<storage, read_write> sum: array<SumVec>;
@group(0) @binding(6) var<storage, read_write> y: array<vec2f>;

const ACROSS = WORKGROUP;
const SHARERS = min(16u, WORKGROUP / GROUPS);

// What each thread has of the group that its vector begins in, and of the next one.
var<workgroup> shares: array<vec4f, select(1, WORKGROUP, GROUPS > 1)>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let own = params.channels / params.groups;
  let vectors = own * GROUPS / WIDTH;
  let row = params.channels / WIDTH;
  let first_group = group.y * GROUPS;
  let image = group.z * params.pixels * row;
  let size = groups.z * params.pixels * row;
  let start = image + first_group * own / WIDTH;
  // Threads behind the last whole pixel have nothing to do.
  let across = min(vectors, WORKGROUP);
  let stride = WORKGROUP / across;
  let per_slice = (params.pixels + SLICES - 1) / SLICES;
  let first = group.x * per_slice;
  let last = min(first + per_slice, params.pixels);
  let begin = first + select(lane / across, last, lane / across >= stride);
  // Of the group that this thread's vector begins in, the first number, and where in the vector the next one begins.
  let its_channel = select(0, lane % across * WIDTH, GROUPS > 1);
  let its_group = its_channel / own;
  let edge = (its_group + 1) * own - its_channel;
  let its_first = image * WIDTH + (first_group + its_group) * own;
  let next_first = its_first + select(0, own, edge < WIDTH);
  let pivot = split_at(edge, x_number(its_first, group.z, size), x_number(next_first, group.z, size));

  var sums = Vec(0);
  var squares = Vec(0);
  for (var i = lane % across; i < vectors; i += across) {
    for (var pixel = begin; pixel < last; pixel += stride * HELD) {
      @unroll for (var j = 0u; j < HELD; j++) {
        let at#j = pixel + j * stride;
        let place#j = start + min(at#j, last - 1) * row + i;
        let held#j = x_at(Place(place#j, first_group * own / WIDTH + i, group.z, row, size));
      }
      @unroll for (var j = 0u; j < HELD; j++) {
        if (at#j < last) {
          store_sum(place#j, held#j);
        }
        let distance = select(Vec(0), held#j - pivot, at#j < last);
        sums += distance;
        squares += distance * distance;
      }
    }
  }
  if (GROUPS == 1) {
    let total = sum_across(vec2f(inner(sums, Vec(1)), inner(squares, Vec(1))), lane);
    if (lane == 0) {
      y[(group.z * params.groups + group.y) * SLICES + group.x] = total;
    }
    return;
  }
  let begins = split_at(edge, 1, 0);
  let goes_on = Vec(1) - begins;
  shares[lane] = vec4f(inner(sums, begins), inner(squares, begins), inner(sums, goes_on), inner(squares, goes_on));
  workgroupBarrier();
  let shared_group = lane / SHARERS;
  if (shared_group < GROUPS) {
    let first_vector = shared_group * own / WIDTH;
    let count = ((shared_group + 1) * own - 1) / WIDTH + 1 - first_vector;
    var sum = vec2f(0);
    for (var i = lane % SHARERS; i < count * stride; i += SHARERS) {
      let vector = first_vector + i % count;
      let share = shares[i / count * vectors + vector];
      sum += select(share.zw, share.xy, vector * WIDTH / own == shared_group);
    }
    partial[lane] = sum;
  }
  workgroupBarrier();
  if (lane < GROUPS) {
    var total = vec2f(0);
    for (var i = 0u; i < SHARERS; i++) {
      total += partial[lane * SHARERS + i];
    }
    y[(group.z * params.groups + first_group + lane) * SLICES + group.x] = total;
  }
}

fn x_number(at: u32, image: u32, size: u32) -> f32 {
  let row = params.channels / WIDTH;
  return number_of(x_at(Place(at / WIDTH, at / WIDTH % row, image, row, size)), at % WIDTH);
}
