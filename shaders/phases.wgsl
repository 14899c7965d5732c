// Where results of a convolution go whose input is scaled by two: a part of conv2d.wgsl, conv2d-rows.wgsl and windows-of-x.wgsl.
//
// PHASES is 4 where the kernel has 3 x 3. Output pixels of even and odd rows and columns, the four phases, then see 2 x 2 input pixels
// each, by weights that are sums of the kernel's (fold-taps.wgsl), phase after phase: the kernel has 2 x 2, and the rows of the product
// are input pixels. Else PHASES is 1, and rows are output pixels.

// Whether a phase's output pixels are those of odd rows, and of odd columns.
fn odd_of(phase: u32) -> vec2u {
  return vec2u(phase / 2, phase % 2);
}

// The output pixel of a phase that a row of the product is, of all images one below the other, `width` pixels to a line of the input.
fn output_pixel(row: u32, phase: u32, width: u32) -> u32 {
  if (PHASES == 1) {
    return row;
  }
  let odd = odd_of(phase);
  return 2 * (row + (row / width + odd.x) * width) + odd.y;
}
