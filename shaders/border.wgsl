// Where a norm's results go: a part of group-norm.wgsl and group-norm-whole.wgsl, which have params with pixels and width.
//
// With a BORDER of 1 a convolution reads them, and need not ask where the picture ends: there is a column of zeros to the right of every
// row, which is to the left of the next one as well, a row of zeros above every image and below the last one, and one pixel before
// all of that. So y is (1 + (images * (height + 1) + 1) * (width + 1), channels). Who stores a pixel stores the zeros beside it.

// The place of an image's pixel, in pixels.
fn place_of(image: u32, pixel: u32) -> u32 {
  if (BORDER == 0) {
    return image * params.pixels + pixel;
  }
  let rows = params.pixels / params.width + 1;
  return 1 + (image * rows + 1 + pixel / params.width) * (params.width + 1) + pixel % params.width;
}

fn store_pixel(image: u32, images: u32, pixel: u32, vector: u32, value: Vec) {
  let row = params.channels / WIDTH;
  let at = place_of(image, pixel) * row + vector;
  y[at] = to_y_vec(value);
  if (BORDER == 1) {
    let below = (params.width + 1) * row;
    let is_first = pixel < params.width;
    let is_last = image == images - 1 && pixel >= params.pixels - params.width;
    store_zero(at - below, is_first);
    store_zero(at + below, is_last);
    if (pixel % params.width == params.width - 1) {
      store_zero(at + row, true);
      store_zero(at + row - below, is_first);
      store_zero(at + row + below, is_last);
    }
    store_zero(vector, image == 0 && pixel == 0);
  }
}

fn store_zero(at: u32, is_wanted: bool) {
  if (is_wanted) {
    y[at] = to_y_vec(Vec(0));
  }
}
