// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small: the same bytes as average.wgsl makes. No number
// here is infinite, or NaN, or makes a result that is; so nothing is told but y, and averages need not wait for one another.
//
//   x  the ingredients. At word `table`, for each: first word of its bytes, format, p (i32).
//   y  as weight-layout.wgsl says
//
// Uses half-sum.wgsl
// Uses weight-layout.wgsl

struct Params {
  threads: u32,
  table: u32,
  ingredients: u32,
  q: u32,
  rows: u32,
  channels: u32,
  taps: u32,
  first: u32,
  all_rows: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (LAYOUT > 0) {
    store_in_layout(id.x, id.y);
  } else {
    store_in_order(id.y * groups.x * 64 + id.x);
  }
}

fn average_word(element: u32) -> u32 {
  return widened_half(average_pair(element, element) & 0xffff);
}

fn average_pair(low: u32, high: u32) -> u32 {
  var sums = vec2i(0);
  for (var i = 0u; i < params.ingredients; i++) {
    let entry = params.table + 3 * i;
    let pair = pair_at(x[entry], low, high);
    sums += steps_of(pair) * bitcast<i32>(x[entry + 2]);
  }
  return rounded_halves(sums, vec2u(0));
}
