// y = activation(conv(x, w) + bias + shift) + residual on the matrix units: rows are output pixels, the inner dimension
// runs over (block of 32 input channels, kernel y, kernel x, channel of the block): what one tap has fetched the next ones
// find in the cache.
// Uses tensor-tile.wgsl.
//
//   x             (images, in_height, in_width, channels)   f16, or f32 that is rounded to f16 as it is fetched
//   bias          (columns)
//   shift         (images, columns)                         the time embedding: one row per image
//   residual, y   (images, out_height, out_width, columns)
//
// With UPSAMPLE the input is first scaled to (up_height, up_width) by nearest neighbour, as it is read.

struct Params {
  rows: u32,
  columns: u32,
  inner: u32,
  split: u32,
  rows_per_image: u32,
  part_columns: u32,
  part_pitch: u32,
  channels: u32,
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

// Of an output pixel: the input pixel at the corner of its window, and where that would lie in x.
struct Window {
  at: u32,
  image_at: u32,
  top: i32,
  left: i32,
}

// Of an inner index: its tap, its channel, and how far into x from the window's corner they are.
struct Step {
  by: u32,
  tap: vec2i,
  channel: u32,
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
  let top = corner.x - i32(params.pad_top);
  let left = corner.y - i32(params.pad_left);
  let at = ((i32(image_at) + top) * i32(params.in_width) + left) * i32(params.channels / 8);
  return Window(u32(at), image_at, top, left);
}

fn begin_step(k: u32) -> Step {
  let taps = KERNEL * KERNEL;
  let tap = k / 32 % taps;
  let at = vec2u(tap / KERNEL, tap % KERNEL);
  let channel = k / 32 / taps * 32 + k % 32;
  return Step(((at.x * params.in_width + at.y) * params.channels + channel) / 8, vec2i(at), channel);
}

fn x_chunk(window: Window, step: Step) -> vec4u {
  let pixel = vec2u(vec2i(window.top, window.left) + step.tap); // before the edge is far past it, too
  let is_in = pixel.x < params.up_height && pixel.y < params.up_width;
  var at = window.at + step.by;
  if (UPSAMPLE) {
    let source = pixel * vec2u(params.in_height, params.in_width) / vec2u(params.up_height, params.up_width);
    at = (((window.image_at + source.x) * params.in_width + source.y) * params.channels + step.channel) / 8;
  }
  return select(vec4u(0), x_halves(x[select(0, at, is_in)]), is_in);
}
