// y = exp((x - max) * scale) / Σ exp((x - max) * scale) per row, in f32; scale > 0.
//
//   x, y   (rows, columns)
//
// One workgroup per row; each thread strides over the columns. Used where a head is too wide for attention.wgsl.

struct Params {
  rows: u32,
  columns: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<YElem>;

var<workgroup> partial: array<f32, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let row = group.y * 65535 + group.x;
  let start = min(row, params.rows - 1) * params.columns;

  var highest = -3.4e38;
  for (var i = lane; i < params.columns; i += WORKGROUP) {
    highest = max(highest, x[start + i]);
  }
  partial[lane] = highest;
  for (var half = WORKGROUP / 2; half > 0; half /= 2) {
    workgroupBarrier();
    if (lane < half) {
      partial[lane] = max(partial[lane], partial[lane + half]);
    }
  }
  highest = workgroupUniformLoad(&partial[0]);

  var sum = 0.0;
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
  let total = workgroupUniformLoad(&partial[0]);

  if (row < params.rows) {
    for (var i = lane; i < params.columns; i += WORKGROUP) {
      y[start + i] = to_y(exp((x[start + i] - highest) * params.scale) / total);
    }
  }
}
