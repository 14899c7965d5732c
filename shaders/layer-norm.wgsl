// y = (x - mean) / sqrt(variance + eps) * gamma + beta, mean and variance per row, in f32.
//
//   x, y          (rows, channels)
//   gamma, beta   (channels)
//   sum           as x: what x's splits add up to, where others read it as well
//
// One workgroup per ROWS rows, with the same number of threads each. A thread keeps its HELD vectors of the row in registers: x is
// read once, by loads that do not wait for one another. Mean first, then the squared distances from it. Several rows have a subgroup
// each; a row by itself has whole subgroups, where there are any.
// Uses sum-of-splits.wgsl.
// Uses summed-x.wgsl.
// Uses workgroup-sum.wgsl.

struct Params {
  rows: u32,
  channels: u32,
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

const ACROSS = WORKGROUP / ROWS;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let row = (group.y * 65535 + group.x) * ROWS + thread / ACROSS;
  let lane = thread % ACROSS;
  let vectors = params.channels / WIDTH;
  let start = min(row, params.rows - 1) * vectors;

  var total = 0.0;
  @unroll for (var i = 0u; i < HELD; i++) {
    let at#i = lane + i * ACROSS;
    let column#i = min(at#i, vectors - 1);
    let held#i = x_at(Place(start + column#i, column#i, 0, vectors, params.rows * vectors));
    total += select(0.0, inner(held#i, Vec(1)), at#i < vectors);
  }
  let mean = sum_across(vec2f(total, 0), lane).x / f32(params.channels);

  var squares = 0.0;
  @unroll for (var i = 0u; i < HELD; i++) {
    let distance#i = held#i - Vec(mean);
    squares += select(0.0, inner(distance#i, distance#i), at#i < vectors);
  }
  let rstd = inverseSqrt(sum_across(vec2f(squares, 0), lane).x / f32(params.channels) + params.eps);

  @unroll for (var i = 0u; i < HELD; i++) {
    // Read by all, so that no one's reading waits for another's storing.
    let value = distance#i * rstd * Vec(gamma[column#i]) + Vec(beta[column#i]);
    if (row < params.rows && at#i < vectors) {
      store_sum(start + at#i, held#i);
      y[start + at#i] = to_y_vec(value);
    }
  }
}
