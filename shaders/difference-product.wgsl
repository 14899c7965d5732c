// y = (a - b) · z, or its transpose's product (a - b)ᵀ · z: what fine-tuning changed, times a few columns.
//
//   x   two matrices as their files have them, from words `a` and `b` on: formats `a_format`, `b_format`
//   z   (inner, columns) f32
//   y   (rows, columns) f32
//
// Element (row, k) of the first factor is number row * row_stride + k * inner_stride of a and of b, which makes it the
// matrix or its transpose. One thread has 4 columns of one row. Sums are f32, in parts of PART so that they stay small
// beside what is added to them.
//
// Uses stored-number.wgsl.

struct Params {
  rows: u32,
  inner: u32,
  columns: u32,
  row_stride: u32,
  inner_stride: u32,
  a: u32,
  b: u32,
  a_format: u32,
  b_format: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> z: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;

const PART = 64u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let groups_of_columns = (params.columns + 3) / 4;
  let thread = id.y * groups.x * 64 + id.x;
  // Neighbours read neighbouring numbers of x.
  let row = select(thread / groups_of_columns, thread % params.rows, params.row_stride == 1);
  let first = select(thread % groups_of_columns, thread / params.rows, params.row_stride == 1) * 4;
  if (row >= params.rows || first >= params.columns) {
    return;
  }
  let last = params.columns - 1;
  let columns = min(vec4u(first) + vec4u(0, 1, 2, 3), vec4u(last));
  var sum = vec4f();
  for (var begin = 0u; begin < params.inner; begin += PART) {
    // The zeros are written out: without them the variable keeps its values from turn to turn on lavapipe.
    var part = vec4f(0.0, 0.0, 0.0, 0.0);
    for (var k = begin; k < min(begin + PART, params.inner); k++) {
      let at = k * params.columns;
      let values = vec4f(z[at + columns.x], z[at + columns.y], z[at + columns.z], z[at + columns.w]);
      part += difference(row * params.row_stride + k * params.inner_stride) * values;
    }
    sum += part;
  }
  for (var c = 0u; c < min(4u, params.columns - first); c++) {
    y[row * params.columns + first + c] = sum[c];
  }
}

fn difference(element: u32) -> f32 {
  let a = bitcast<f32>(stored_bits(params.a, params.a_format, element));
  return a - bitcast<f32>(stored_bits(params.b, params.b_format, element));
}
