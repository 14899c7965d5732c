// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small: the same bytes as average.wgsl makes. No number
// here is infinite, or NaN, or makes a result that is; so nothing is told but y, and averages need not wait for one another.
//
//   x      the ingredients
//   table  at word `table`: how many they are, q, 2^-24 / q; then for each where its bytes begin, in words, and p (i32)
//   y      as weight-layout.wgsl says
//
// Uses half-sum.wgsl
// Uses weight-layout.wgsl
//
// Parameters are the same whatever the ingredients weigh.

struct Params {
  threads: u32,
  table: u32,
  rows: u32,
  channels: u32,
  taps: u32,
  first: u32,
  all_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> table: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

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
  let ingredients = table[params.table];
  for (var i = 0u; i < ingredients; i++) {
    let entry = params.table + 3 + 2 * i;
    sums += steps_of(pair_at(table[entry], low, high)) * bitcast<i32>(table[entry + 1]);
  }
  return rounded_halves(sums, vec2u(0), table[params.table + 1], bitcast<f32>(table[params.table + 2]));
}
