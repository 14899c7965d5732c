// What a product left as SPLITS sums of parts of its inner dimension, as one: activation(Σ x + bias + shift) + residual. A part of
// sum-splits.wgsl, and of what uses summed-x.wgsl.
//
//   x          (SPLITS, rows, columns)
//   bias       (columns)
//   shift      (images, columns)
//   residual   (rows, columns)
//
// Everything is counted in vectors, `size` is that of a split.

struct Place {
  at: u32,
  column: u32,
  image: u32,
  columns: u32,
  size: u32,
}

fn summed(place: Place) -> Vec {
  // Read before anything waits for the sums.
  let added = residual_at(place.at);
  let shifted = shift_at(place);
  return activate_vec(SUM_ACTIVATION, sum_at(place.at, place.column, place.size) + shifted) + added;
}

fn sum_at(at: u32, column: u32, size: u32) -> Vec {
  @unroll for (var split = 0u; split < SPLITS; split++) {
    let part#split = Vec(x[split * size + at]);
  }
  let added = bias_at(column);
  var value = Vec(0);
  @unroll for (var split = 0u; split < SPLITS; split++) {
    value += part#split;
  }
  return value + added;
}

fn bias_at(column: u32) -> Vec {
  if (HAS_BIAS) {
    return Vec(bias[column]);
  }
  return Vec(0);
}

fn shift_at(place: Place) -> Vec {
  if (HAS_SHIFT) {
    return Vec(shift[place.image * place.columns + place.column]);
  }
  return Vec(0);
}

fn residual_at(at: u32) -> Vec {
  if (HAS_RESIDUAL) {
    return Vec(residual[at]);
  }
  return Vec(0);
}
