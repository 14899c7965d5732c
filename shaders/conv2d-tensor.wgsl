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

// A row's window: the image's first line, and the top left corner in the (scaled) input.
struct Window {
  image_at: u32,
  top: i32,
  left: i32,
}

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  tile(group, thread, subgroup, lane);
}

fn begin_row(row: u32) -> Window {
  let pixel = row % params.rows_per_image;
  let corner = vec2i(vec2u(pixel / params.out_width, pixel % params.out_width) * params.stride);
  let image_at = row / params.rows_per_image * params.in_height;
  return Window(image_at, corner.x - i32(params.pad_top), corner.y - i32(params.pad_left));
}

fn x_chunk(window: Window, k: u32) -> vec4u {
  let tap = k / params.channels;
  let channel = k - tap * params.channels;
  let tap_y = tap / params.kernel;
  let at_y = window.top + i32(tap_y);
  let at_x = window.left + i32(tap - tap_y * params.kernel);
  let is_in = at_y >= 0 && at_x >= 0 && at_y < i32(params.up_height) && at_x < i32(params.up_width);
  var pixel = vec2u(u32(at_y), u32(at_x));
  if (UPSAMPLE) {
    pixel = pixel * vec2u(params.in_height, params.in_width) / vec2u(params.up_height, params.up_width);
  }
  let at = ((window.image_at + pixel.x) * params.in_width + pixel.y) * params.channels + channel;
  return select(vec4u(0), x_halves(x[select(0, at / 8, is_in)]), is_in);
}
