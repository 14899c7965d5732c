// Part of matmul-rows.wgsl and conv2d-rows.wgsl: y = activation(x · wᵀ + bias + shift) + residual for processors, where some
// rows of x stay and the weights pass by.
//
//   w             (inner, columns, 4)       weights, from `w_first` on; `inner` counts vectors of four
//   bias          (columns)
//   shift         (images, columns)         one row per image, the image being row / rows_per_image
//   residual, y   (rows, columns)
//
// llvmpipe runs a subgroup as the lanes of vectors. A number that each lane reads for itself costs ten instructions, whatever its
// address; one that is in a lane's register reaches all lanes by one. So a workgroup is one subgroup, a lane has LANE_ROWS
// rows, SUBGROUP apart, of which HELD vectors along the inner dimension are held; then column after column passes, whose
// vectors each lane reads one of and hands to the others. Only what is written out has registers: loops over what is held
// are, and others end at a parameter, since the driver writes out those that end at a constant. Sums of columns wait in workgroup
// memory for the next HELD vectors; where those are all (WHOLE), there are none. Nobody waits for anybody: no barriers.
// y_row(row) is the row of y that a row's sums are.

const LANE_ROWS = 4u;

var<private> held: array<vec4f, HELD * LANE_ROWS>;
// The image of each of the lane's rows.
var<private> image: vec4u;
var<private> w_first: u32;
var<workgroup> partial: array<vec4f, WAITING>;

fn multiply(first_row: u32, first_column: u32, lane: u32) {
  let columns = min(params.group_columns, params.columns - first_column);
  for (var first = 0u; first < params.inner; first += params.held) {
    hold(first, min(params.held, params.inner - first));
    for (var n = 0u; n < columns; n++) {
      @unroll for (var read = 0u; read < READS; read++) {
        let mine#read = weight_vec(w[w_first + min(first + read * SUBGROUP + lane, params.inner - 1) * params.columns + first_column + n]);
      }
      // What is to be added is read first: the driver would put off the sums until it is there, and keep their terms.
      let at = n * SUBGROUP + lane;
      var sum = vec4f();
      var after = vec4f();
      if (WHOLE) {
        sum = added_before(first_column + n);
        after = added_after(first_row + lane, first_column + n);
      } else {
        sum = select(partial[at], sum, first == 0);
      }
      @unroll for (var read = 0u; read < READS; read++) {
        @unroll for (var i = 0u; i < SUBGROUP; i++) {
          let weights = from_lane(mine#read, i);
          sum += vec4f(dot(held[(read * SUBGROUP + i) * 4], weights), dot(held[(read * SUBGROUP + i) * 4 + 1], weights),
            dot(held[(read * SUBGROUP + i) * 4 + 2], weights), dot(held[(read * SUBGROUP + i) * 4 + 3], weights));
        }
      }
      if (WHOLE) {
        store(sum, after, first_row + lane, first_column + n);
      } else {
        partial[at] = sum;
      }
    }
  }
  if (!WHOLE) {
    for (var n = 0u; n < columns; n++) {
      let column = first_column + n;
      let sum = partial[n * SUBGROUP + lane] + added_before(column);
      store(sum, added_after(first_row + lane, column), first_row + lane, column);
    }
  }
}

// What is behind the end of the inner dimension counts for nothing.
fn hold_nothing(count: u32) {
  for (var j = count; j < params.held; j++) {
    @unroll for (var r = 0u; r < 4; r++) {
      held[j * LANE_ROWS + r] = vec4f();
    }
  }
}

fn added_before(column: u32) -> vec4f {
  var sums = vec4f();
  if (HAS_BIAS) {
    sums = vec4f(bias[column]);
  }
  if (HAS_SHIFT) {
    @unroll for (var r = 0u; r < 4; r++) {
      sums[r] += f32(shift[image[r] * params.columns + column]);
    }
  }
  return sums;
}

fn added_after(first_row: u32, column: u32) -> vec4f {
  var sums = vec4f();
  if (HAS_RESIDUAL) {
    @unroll for (var r = 0u; r < 4; r++) {
      sums[r] = f32(residual[y_row(min(first_row + r * SUBGROUP, params.rows - 1)) * params.columns + column]);
    }
  }
  return sums;
}

fn store(sums: vec4f, after: vec4f, first_row: u32, column: u32) {
  @unroll for (var r = 0u; r < 4; r++) {
    let row = first_row + r * SUBGROUP;
    if (row < params.rows) {
      y[y_row(row) * params.columns + column] = to_y(activate(ACTIVATION, sums[r]) + after[r]);
    }
  }
}
