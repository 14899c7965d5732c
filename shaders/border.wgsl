// Where a norm's results go: a part of group-norm.wgsl and group-norm-whole.wgsl, which have params with pixels, height, width.
//
// With a BORDER of 1 a convolution reads them, and need not ask where the picture ends: there is a column of zeros to the right of
// every row, which is to the left of the next one as well, a row of zeros above every image and below the last one, and one pixel
// before all of that. So y is (1 + (images * (height + 1) + 1) * (width + 1), channels). Who stores a pixel stores the zeros beside it.

// A pixel, or how far another is from it.
struct Spot {
  line: u32,
  column: u32,
}

fn spot_of(pixel: u32) -> Spot {
  return Spot(pixel / params.width, pixel % params.width);
}

// Without a division.
fn further(spot: Spot, by: Spot) -> Spot {
  let column = spot.column + by.column;
  let is_over = column >= params.width;
  return Spot(spot.line + by.line + select(0u, 1u, is_over), column - select(0u, params.width, is_over));
}

// `spot` is the pixel's; nobody looks at it where there is no border.
fn store_pixel(image: u32, images: u32, pixel: u32, spot: Spot, vector: u32, value: Vec) {
  let row = params.channels / WIDTH;
  if (BORDER == 0) {
    y[(image * params.pixels + pixel) * row + vector] = to_y_vec(value);
    return;
  }
  let at = (1 + (image * (params.height + 1) + 1 + spot.line) * (params.width + 1) + spot.column) * row + vector;
  let below = (params.width + 1) * row;
  let is_first = spot.line == 0;
  let is_last = image == images - 1 && spot.line == params.height - 1;
  y[at] = to_y_vec(value);
  store_zero(at - below, is_first);
  store_zero(at + below, is_last);
  if (spot.column == params.width - 1) {
    store_zero(at + row, true);
    store_zero(at + row - below, is_first);
    store_zero(at + row + below, is_last);
  }
  store_zero(vector, image == 0 && pixel == 0);
}

fn store_zero(at: u32, is_wanted: bool) {
  if (is_wanted) {
    y[at] = to_y_vec(Vec(0));
  }
}
