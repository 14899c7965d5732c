// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small: the same bytes as average.wgsl makes. No number
// here is infinite, or NaN, or makes a result that is; so nothing is told but y, and averages need not wait for one another.
//
//   x            the ingredients
//   table, runs  as places.wgsl says; a tile is 64 threads
//   y            as weight-layout.wgsl says
//
// Uses half-sum.wgsl
// Uses pairs.wgsl
// Uses weight-layout.wgsl
// Uses places.wgsl

@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

var<private> entry: u32;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let run = run_of(group, groups);
  entry = run.x;
  let shape = table[entry + 1];
  let place = table[entry + 2];
  if (table[entry].x == 0) {
    return;
  }
  if (LAYOUT > 0) {
    let threads = select(shape.x * LAYOUT, shape.x * LAYOUT / 2, PACKED);
    let piece = Piece(threads, shape.x, shape.y, shape.z, place.x, shape.w, place.y);
    store_in_layout(piece, run.y % place.z * 64 + lane, run.y / place.z);
  } else {
    store_two(shape.x, place.x + place.y, (run.y * 64 + lane) * 2);
  }
}

// Of a vector, which is f32 always: those at `element`, to y from word `begin` on.
fn store_two(elements: u32, begin: u32, element: u32) {
  if (element >= elements) {
    return;
  }
  let pair = average_pair(element, element + 1);
  y[begin + element] = widened_half(pair & 0xffff);
  if (element + 1 < elements) {
    y[begin + element + 1] = widened_half(pair >> 16);
  }
}

fn average_word(element: u32) -> u32 {
  return widened_half(average_pair(element, element) & 0xffff);
}

fn average_pair(low: u32, high: u32) -> u32 {
  let head = table[entry];
  var sums = vec2i(bitcast<i32>(head.w));
  for (var i = entry + TERMS; i < entry + TERMS + head.x; i += AT_ONCE) {
    @unroll for (var k = 0u; k < AT_ONCE; k++) {
      let term#k = table[i + k];
      let pair#k = pair_at(term#k.x, low, high);
    }
    @unroll for (var k = 0u; k < AT_ONCE; k++) {
      sums = with_pair(sums, pair#k, vec2i(term#k.yz));
    }
  }
  return rounded_pair(sums, head.y, bitcast<f32>(head.z));
}
