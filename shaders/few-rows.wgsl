// y = activation(x · wᵀ + bias + shift) + residual for so few rows that a tile of the matrix units would be empty, such as the
// time embedding's: each weight is read once, from where it lies for those units, and nothing is staged.
//
//   x             (rows, inner, 4)
//   w             (inner / 8, columns, 32) halves
//   bias          (columns)
//   shift         (images, columns)         one row per image, the image being row / rows_per_image
//   residual, y   (rows, columns)
//
// Columns may belong to several results, part_columns each, of which y has one after the other, part_pitch apart.
//
// A workgroup makes ROWS rows of COLUMNS columns. Of each column SLICES threads have every SLICES-th block of the inner
// dimension; what they have is added up in workgroup memory, always in the same order.

struct Params {
  has_bias: u32,
  has_shift: u32,
  has_residual: u32,
  rows: u32,
  columns: u32,
  inner: u32,
  rows_per_image: u32,
  part_columns: u32,
  part_pitch: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> w: array<vec4u>;
@group(0) @binding(3) var<storage, read> bias: array<BiasElem>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftElem>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualElem>;
@group(0) @binding(6) var<storage, read_write> y: array<YElem>;

const ROWS = 2u;
const COLUMNS = 16u;
const SLICES = 16u;

var<workgroup> sums: array<vec2f, COLUMNS * SLICES>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let column = group.x * COLUMNS + thread % COLUMNS;
  let first_row = group.y * ROWS;
  // What lies past the end is read again, and not stored.
  let w_column = min(column, params.columns - 1);
  let x_at = min(first_row + vec2u(0, 1), vec2u(params.rows - 1)) * params.inner;

  var sum = vec2f(0);
  for (var block = thread / COLUMNS; block < params.inner / 8; block += SLICES) {
    for (var eight = 0u; eight < 4; eight++) {
      let words = w[(block * params.columns + w_column) * 4 + eight];
      let low = vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
      let high = vec4f(unpack2x16float(words.z), unpack2x16float(words.w));
      let at = x_at + block * 8 + eight * 2;
      sum += vec2f(dot(low, Vec(x[at.x])), dot(low, Vec(x[at.y])));
      sum += vec2f(dot(high, Vec(x[at.x + 1])), dot(high, Vec(x[at.y + 1])));
    }
  }
  sums[thread] = sum;
  workgroupBarrier();

  let row = first_row + thread / COLUMNS;
  if (thread >= ROWS * COLUMNS || row >= params.rows || column >= params.columns) {
    return;
  }
  var value = 0.0;
  for (var slice = 0u; slice < SLICES; slice++) {
    value += sums[slice * COLUMNS + thread % COLUMNS][thread / COLUMNS];
  }
  if (params.has_bias != 0) {
    value += f32(bias[column]);
  }
  if (params.has_shift != 0) {
    value += f32(shift[row / params.rows_per_image * params.columns + column]);
  }
  value = activate(ACTIVATION, value);
  let at = column / params.part_columns * params.part_pitch + row * params.part_columns + column % params.part_columns;
  if (params.has_residual != 0) {
    value += f32(residual[at]);
  }
  y[at] = to_y(value);
}
