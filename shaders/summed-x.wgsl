// What a kernel reads: x, or, where it is the first to read what a product left as SPLITS (take-sums.ts), what those add up to
// (sum-of-splits.wgsl), which it stores for others then. A part of norms and of concat.wgsl.

fn x_at(place: Place) -> Vec {
  if (SPLITS == 0) {
    return Vec(x[place.at]);
  }
  return summed(place);
}

fn store_sum(at: u32, value: Vec) {
  if (HAS_SUM) {
    sum[at] = to_sum_vec(value);
  }
}
