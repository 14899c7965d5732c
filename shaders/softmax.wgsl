// y = exp((x - max) * scale) / Σ exp((x - max) * scale) per row, in f32; scale > 0.
//
//   x, y   (rows, columns)
//
// One workgroup per row; each thread strides over the vectors of its columns. Used where a head is too wide for attention.wgsl.

struct Params {
  rows: u32,
  // In vectors.
  columns: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read_write> y: array<YVec>;

var<workgroup> partial: array<Vec, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * 65535 + group.x;
  let start = min(row, params.rows - 1) * params.columns;

  var held = Vec(-3.4e38);
  for (var i = lane; i < params.columns; i += WORKGROUP) {
    held = max(held, x[start + i]);
  }
  partial[lane] = held;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] = max(partial[lane], partial[lane + half]);
    }
  }
  let highest_of = workgroupUniformLoad(&partial[0]);
  var highest = first_of(highest_of);
  for (var i = 1u; i < WIDTH; i++) {
    highest = max(highest, number_of(highest_of, i));
  }

  var sum = Vec(0);
  for (var i = lane; i < params.columns; i += WORKGROUP) {
    sum += exp((x[start + i] - highest) * params.scale);
  }
  workgroupBarrier();
  partial[lane] = sum;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] += partial[lane + half];
    }
  }
  let total = inner(workgroupUniformLoad(&partial[0]), Vec(1));

  if (row < params.rows) {
    for (var i = lane; i < params.columns; i += WORKGROUP) {
      y[start + i] = to_y_vec(exp((x[start + i] - highest) * params.scale) / total);
    }
  }
}
