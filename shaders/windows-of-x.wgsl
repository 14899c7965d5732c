// x of a convolution, as tiles fetch it: a part of conv2d-tensor.wgsl and conv2d-lanes.wgsl. Rows are output pixels, and the
// inner dimension runs over (block of 32 input channels, kernel y, kernel x, channel of the block): what one tap has fetched
// the next ones find in the cache.
//
//   x   (images, in_height, in_width, channels), eight numbers at once
//
// With UPSAMPLE the input is first scaled to (up_height, up_width) by nearest neighbour, as it is read. With a BORDER of 1 it has zeros
// around it (border.wgsl), so that no window has to ask where the picture ends: a fifth of the time on the matrix units.
//
// Where there are phases (phases.wgsl), the inner dimension has one after the other. A part of it is of one phase.

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
  beside: u32,
}

// Of an output pixel: the input pixel at the corner of its window, and where that would lie in x.
struct XRow {
  at: u32,
  beside_at: u32,
  image_at: u32,
  top: i32,
  left: i32,
}

// Of an inner index: its tap, its channel, and how far into x from the window's corner they are.
struct XStep {
  by: u32,
  tap: vec2i,
  channel: u32,
}

fn begin_row(row: u32, part: u32) -> XRow {
  let pixel = row % params.rows_per_image;
  let corner = vec2i(vec2u(pixel / params.out_width, pixel % params.out_width) * params.stride + odd_of(phase_of(part)));
  let image_at = row / params.rows_per_image * (params.in_height + BORDER);
  let top = corner.x - i32(params.pad_top);
  let left = corner.y - i32(params.pad_left);
  let before = i32(BORDER);
  let at = (i32(image_at) + before + top) * i32(params.in_width + BORDER) + before + left;
  // What begin_step takes for more channels are the phases before.
  let phases_at = i32(phase_of(part) * params.channels / 8);
  return XRow(u32(at * i32(params.channels / 8) - phases_at), beside_row(row), image_at, top, left);
}

fn begin_step(k: u32) -> XStep {
  let taps = KERNEL * KERNEL;
  let tap = k / 32 % taps;
  let at = vec2u(tap / KERNEL, tap % KERNEL);
  let channel = k / 32 / taps * 32 + k % 32;
  let by = ((at.x * (params.in_width + BORDER) + at.y) * params.channels + channel) / 8;
  return XStep(by, vec2i(at), channel);
}

fn phase_of(part: u32) -> u32 {
  if (PHASES == 1) {
    return 0;
  }
  return part / splits();
}

// Parts of a phase.
fn splits() -> u32 {
  return params.inner / PHASES / params.split;
}

fn begin_results(part: u32) -> u32 {
  if (PHASES == 1) {
    return part * params.rows;
  }
  return part % splits() * PHASES * params.rows + output_pixel(0, phase_of(part), params.out_width);
}

fn y_row(row: u32, results_at: u32) -> u32 {
  return results_at + output_pixel(row, 0, params.out_width);
}

fn x_chunk(window: XRow, step: XStep) -> XEight {
  if (BORDER == 1) {
    return x[window.at + step.by];
  }
  let pixel = vec2u(vec2i(window.top, window.left) + step.tap); // before the edge is far past it, too
  let is_in = pixel.x < params.up_height && pixel.y < params.up_width;
  var at = window.at + step.by;
  if (UPSAMPLE) {
    let source = pixel * vec2u(params.in_height, params.in_width) / vec2u(params.up_height, params.up_width);
    at = (((window.image_at + source.x) * params.in_width + source.y) * params.channels + step.channel) / 8;
  }
  return x_if(x[select(0, at, is_in)], is_in);
}
