// y = activation(conv(x, w) + bias + shift) + residual on processors whose lanes share what they read: a 2-D convolution as a
// matrix product whose rows are output pixels and whose inner dimension runs over (kernel y, kernel x, input channel).
//
//   x             (images, in_height, in_width, channels, 4)
//   w             (kernel * kernel * channels, columns, 4)
//   residual, y   (images, out_height, out_width, columns)
//
// Where `up_height`, `up_width` are larger than the input, the input is first scaled to that size by nearest neighbour, as it
// is read. Where that is by two the kernel may come in phases; workgroups of one follow those of the other.
// Uses held-rows.wgsl.
// Uses phases.wgsl.

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  rows_per_image: u32,
  group_columns: u32,
  held: u32,
  channels: u32,
  kernel: u32,
  stride: u32,
  pad_top: u32,
  pad_left: u32,
  in_height: u32,
  in_width: u32,
  up_height: u32,
  up_width: u32,
  out_width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<XVec>;
@group(0) @binding(2) var<storage, read> w: array<WeightVec>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftElem>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualElem>;
@group(0) @binding(6) var<storage, read_write> y: array<YElem>;

// Where the window of each of the lane's pixels begins, in the (scaled) input.
var<private> top: vec4i;
var<private> left: vec4i;
var<private> phase: u32;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  var row_group = group.z * 65535 + group.y;
  if (PHASES > 1) {
    let row_groups = (params.rows + SUBGROUP * LANE_ROWS - 1) / (SUBGROUP * LANE_ROWS);
    phase = row_group / row_groups;
    row_group %= row_groups;
    w_first = phase * params.inner * params.columns;
    if (phase >= PHASES) {
      return;
    }
  }
  let first_row = row_group * SUBGROUP * LANE_ROWS;
  if (first_row < params.rows) {
    let row = min(first_row + lane + vec4u(0, 1, 2, 3) * SUBGROUP, vec4u(params.rows - 1));
    let pixel = row % params.rows_per_image;
    image = row / params.rows_per_image;
    let odd = odd_of(phase);
    top = vec4i(pixel / params.out_width * params.stride + odd.x) - i32(params.pad_top);
    left = vec4i(pixel % params.out_width * params.stride + odd.y) - i32(params.pad_left);
    multiply(first_row, group.x * params.group_columns, lane);
  }
}

// Tap by tap, since within one the addresses follow each other.
fn hold(first: u32, count: u32) {
  var done = 0u;
  while (done < count) {
    let tap = (first + done) / params.channels;
    let channel = (first + done) % params.channels;
    let together = min(params.channels - channel, count - done);
    let at_y = top + i32(tap / params.kernel);
    let at_x = left + i32(tap % params.kernel);
    let is_in = (at_y >= vec4i()) & (at_y < vec4i(i32(params.up_height))) & (at_x >= vec4i()) & (at_x < vec4i(i32(params.up_width)));
    let in_y = vec4u(max(at_y, vec4i())) * params.in_height / params.up_height;
    let in_x = vec4u(max(at_x, vec4i())) * params.in_width / params.up_width;
    let x_at = select(vec4u(), ((image * params.in_height + in_y) * params.in_width + in_x) * params.channels, is_in) + channel;
    let inside = select(vec4f(), vec4f(1), is_in);
    for (var j = 0u; j < together; j++) {
      @unroll for (var r = 0u; r < 4; r++) {
        held[(done + j) * LANE_ROWS + r] = inside[r] * vec4f(x[x_at[r] + j]);
      }
    }
    done += together;
  }
  hold_nothing(count);
}

fn y_row(row: u32) -> u32 {
  return output_pixel(row, phase, params.out_width);
}
