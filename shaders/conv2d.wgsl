// y = activation(conv(x, w) + bias + shift) + residual: a 2-D convolution as a matrix product whose rows are
// output pixels and whose inner dimension runs over (kernel y, kernel x, input channel).
//
//   x             (images, in_height, in_width, in_channels)
//   w             (kernel * kernel * in_channels / WIDTH, columns, WIDTH)
//   bias          (columns)
//   shift         (images, columns)          the time embedding: one row per image
//   residual, y   (images, out_height, out_width, columns)
//
// One thread computes 4 output channels of ROWS consecutive pixels. The threads of a workgroup lie along the
// channels, so that all of them want the same pixels and neighbouring weights; lanes of a subgroup share what they
// read, as in matmul.wgsl. With UPSAMPLE the input is first scaled to (up_height, up_width) by nearest neighbour, as it is read; where
// that is by two the kernel may come in phases. Sums are f32.
// Uses phases.wgsl.

struct Params {
  has_bias: u32,
  has_shift: u32,
  has_residual: u32,
  rows: u32,
  columns: u32,
  channels: u32,
  kernel: u32,
  stride: u32,
  pad_top: u32,
  pad_left: u32,
  in_height: u32,
  in_width: u32,
  up_height: u32,
  up_width: u32,
  out_height: u32,
  out_width: u32,
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
  let row_group = group.z * 65535 + group.y;
  let row_groups = (params.rows + ROWS - 1) / ROWS;
  let phase = select(0, row_group / row_groups, PHASES > 1);
  let first_row = (row_group - phase * row_groups) * ROWS;
  // Subgroups leave whole: a lane without a column of its own still reads for the others.
  if (first_column - lane % SUBGROUP * 4 >= params.columns || first_row >= params.rows || phase >= PHASES) {
    return;
  }
  let pixels = params.out_height * params.out_width;
  let last = params.columns - 1;
  let w_first = phase * params.kernel * params.kernel * params.channels * params.columns;
  var w_at = w_first + min(vec4u(first_column) + vec4u(0, 1, 2, 3), vec4u(last));

  // Where each row's window begins, in the (scaled) input.
  let odd = odd_of(phase);
  var top: array<i32, ROWS>;
  var left: array<i32, ROWS>;
  var image: array<u32, ROWS>;
  for (var r = 0u; r < ROWS; r++) {
    let row = min(first_row + r, params.rows - 1);
    let pixel = row % pixels;
    image[r] = row / pixels * params.in_height;
    top[r] = i32(pixel / params.out_width * params.stride + odd.x) - i32(params.pad_top);
    left[r] = i32(pixel % params.out_width * params.stride + odd.y) - i32(params.pad_left);
  }

  var sum: array<vec4f, ROWS>;
  for (var ky = 0u; ky < params.kernel; ky++) {
    for (var kx = 0u; kx < params.kernel; kx++) {
      var x_at: array<u32, ROWS>;
      var inside: array<f32, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        let at_y = top[r] + i32(ky);
        let at_x = left[r] + i32(kx);
        let is_in = at_y >= 0 && at_x >= 0 && at_y < i32(params.up_height) && at_x < i32(params.up_width);
        let at = source_of(vec2u(max(vec2i(at_y, at_x), vec2i())));
        x_at[r] = select(0u, ((image[r] + at.x) * params.in_width + at.y) * params.channels, is_in);
        inside[r] = select(0.0, 1.0, is_in);
      }
      for (var first = 0u; first < params.channels; first += SUBGROUP) {
        let mine = min(first + lane % SUBGROUP, params.channels - 1);
        var rows: array<Vec, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
          rows[r] = inside[r] * Vec(x[x_at[r] + mine]);
        }
        for (var i = 0u; i < min(SUBGROUP, params.channels - first); i++) {
          let columns = Columns(weight_vec(w[w_at.x]), weight_vec(w[w_at.y]), weight_vec(w[w_at.z]), weight_vec(w[w_at.w]));
          w_at += params.columns;
          for (var r = 0u; r < ROWS; r++) {
            sum[r] += from_lane(rows[r], i) * columns;
          }
        }
      }
    }
  }

  for (var r = 0u; r < ROWS; r++) {
    let row = first_row + r;
    if (row < params.rows && first_column < params.columns) {
      let y_start = output_pixel(row, phase, params.out_width) * params.columns + first_column;
      for (var c = 0u; c < min(4u, params.columns - first_column); c++) {
        y[y_start + c] = to_y(finish(sum[r][c], first_column + c, row, y_start + c));
      }
    }
  }
}

// The pixel of the input that a pixel of the scaled input is.
fn source_of(at: vec2u) -> vec2u {
  if (!UPSAMPLE) {
    return at;
  }
  return at * vec2u(params.in_height, params.in_width) / vec2u(params.up_height, params.up_width);
}

fn finish(sum: f32, column: u32, row: u32, at: u32) -> f32 {
  var value = sum;
  if (params.has_bias != 0) {
    value += bias[column];
  }
  if (params.has_shift != 0) {
    value += f32(shift[row / (params.out_height * params.out_width) * params.columns + column]);
  }
  value = activate(ACTIVATION, value);
  if (params.has_residual != 0) {
    value += f32(residual[at]);
  }
  return value;
}
