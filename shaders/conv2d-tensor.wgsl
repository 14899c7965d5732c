// y = activation(conv(x, w) + bias + shift) + residual on the matrix units: rows are output pixels, the inner dimension
// runs over (kernel y, kernel x, input channel), and channels are divisible by 32, so that a chunk has one tap.
// Uses tensor-tile.wgsl.
//
//   x             (images, in_height, in_width, channels)   f16, or f32 that is rounded to f16 as it is fetched
//   bias          (columns)
//   shift         (images, columns)                         the time embedding: one row per image
//   residual, y   (images, out_height, out_width, columns)
//
// With UPSAMPLE the input is first scaled to (up_height, up_width) by nearest neighbour, as it is read.

struct Params {
  has_bias: u32,
  has_shift: u32,
  has_residual: u32,
  rows: u32,
  columns: u32,
  inner: u32,
  split: u32,
  rows_per_image: u32,
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
@group(0) @binding(1) var<storage, read_write> x: array<XEight>;
@group(0) @binding(2) var<storage, read_write> w: array<vec4u>;
@group(0) @binding(3) var<storage, read> bias: array<BiasVec>;
@group(0) @binding(4) var<storage, read> shift: array<ShiftVec>;
@group(0) @binding(5) var<storage, read> residual: array<ResidualVec>;
@group(0) @binding(6) var<storage, read_write> y: array<YVec>;

// Of each row's window: the image's first line, and the top left corner in the (scaled) input.
var<private> image_at: array<u32, X_SLOTS>;
var<private> top: array<i32, X_SLOTS>;
var<private> left_edge: array<i32, X_SLOTS>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  tile(group, thread);
}

fn begin_row(slot: u32, row: u32) {
  let pixel = row % params.rows_per_image;
  image_at[slot] = row / params.rows_per_image * params.in_height;
  top[slot] = i32(pixel / params.out_width * params.stride) - i32(params.pad_top);
  left_edge[slot] = i32(pixel % params.out_width * params.stride) - i32(params.pad_left);
}

fn x_chunk(slot: u32, k: u32) -> vec4u {
  let tap = k / params.channels;
  let channel = k - tap * params.channels;
  let tap_y = tap / params.kernel;
  let at_y = top[slot] + i32(tap_y);
  let at_x = left_edge[slot] + i32(tap - tap_y * params.kernel);
  let is_in = at_y >= 0 && at_x >= 0 && at_y < i32(params.up_height) && at_x < i32(params.up_width);
  var pixel = vec2u(u32(at_y), u32(at_x));
  if (UPSAMPLE) {
    pixel = pixel * vec2u(params.in_height, params.in_width) / vec2u(params.up_height, params.up_width);
  }
  let at = ((image_at[slot] + pixel.x) * params.in_width + pixel.y) * params.channels + channel;
  return select(vec4u(0), x_halves(x[select(0, at / 8, is_in)]), is_in);
}
