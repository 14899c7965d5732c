// y = activation(x · wᵀ + bias + shift) + residual, for a batch of matrices.
//
//   x             (batch, rows, inner)      activations
//   w             (columns, inner)          weights as (inner/WIDTH, columns, WIDTH), or activations with strides
//   bias          (columns)
//   shift         (images, columns)         one row per image, the image being row / rows_per_image
//   residual, y   (batch, rows, columns)
//
// One thread computes 4 columns of ROWS rows. The threads of a workgroup lie along the columns, so that all of
// them want the same x and neighbouring w. Where SUBGROUP is above 1, each lane of a subgroup reads one vector of x
// and hands it to the others (from_lane): on processors that fetch for every lane apart, loads cost the most. Batch z is head z % heads of image z / heads.
// Strides count vectors for x and w, elements for y. Sums are f32.

struct Params {
  has_bias: u32,
  has_shift: u32,
  has_residual: u32,
  rows: u32,
  columns: u32,
  inner: u32,
  x_row: u32,
  x_image: u32,
  x_head: u32,
  w_column: u32,
  w_inner: u32,
  w_image: u32,
  w_head: u32,
  y_row: u32,
  y_image: u32,
  y_head: u32,
  heads: u32,
  rows_per_image: u32,
  row_groups: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> w: array<WeightVec>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftElem>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualElem>;
@group(0) @binding(6) var<storage, read_write> y: array<YElem>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_column = (group.x * WORKGROUP + lane) * 4;
  // More than 65535 groups of rows go on in z; only an unbatched product has so many.
  let is_folded = params.row_groups > 65535;
  let batch = select(group.z, 0, is_folded);
  let first_row = (group.y + select(0, group.z * 65535, is_folded)) * ROWS;
  // Subgroups leave whole: a lane without a column of its own still reads for the others.
  if (first_column - lane % SUBGROUP * 4 >= params.columns || first_row >= params.rows) {
    return;
  }
  let image = batch / params.heads;
  let head = batch % params.heads;
  let x_start = image * params.x_image + head * params.x_head;
  let w_start = image * params.w_image + head * params.w_head;

  // Rows and columns past the end read the last one and are not stored.
  var x_at: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    x_at[r] = x_start + min(first_row + r, params.rows - 1) * params.x_row;
  }
  let last = params.columns - 1;
  var w_at = vec4u(w_start) + min(vec4u(first_column) + vec4u(0, 1, 2, 3), vec4u(last)) * params.w_column;

  var sum: array<vec4f, ROWS>;
  for (var first = 0u; first < params.inner; first += SUBGROUP) {
    let mine = min(first + lane % SUBGROUP, params.inner - 1);
    var rows: array<Vec, ROWS>;
    for (var r = 0u; r < ROWS; r++) {
      rows[r] = Vec(x[x_at[r] + mine]);
    }
    for (var i = 0u; i < min(SUBGROUP, params.inner - first); i++) {
      let columns = Columns(weight_vec(w[w_at.x]), weight_vec(w[w_at.y]), weight_vec(w[w_at.z]), weight_vec(w[w_at.w]));
      w_at += params.w_inner;
      for (var r = 0u; r < ROWS; r++) {
        sum[r] += from_lane(rows[r], i) * columns;
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    let row = first_row + r;
    if (row < params.rows && first_column < params.columns) {
      let y_start = image * params.y_image + head * params.y_head + row * params.y_row + first_column;
      for (var c = 0u; c < min(4u, params.columns - first_column); c++) {
        y[y_start + c] = to_y(finish(sum[r][c] * params.scale, first_column + c, row, y_start + c));
      }
    }
  }
}

fn finish(sum: f32, column: u32, row: u32, at: u32) -> f32 {
  var value = sum;
  if (params.has_bias != 0) {
    value += bias[column];
  }
  if (params.has_shift != 0) {
    value += f32(shift[row / params.rows_per_image * params.columns + column]);
  }
  value = activate(ACTIVATION, value);
  if (params.has_residual != 0) {
    value += f32(residual[at]);
  }
  return value;
}
