// Averages of eight halves that are neighbours in the file: a part of average-tiles.wgsl and average-fours.wgsl.
//
//   x  the ingredients; where numbers begin is counted in vec4u of eight halves

@group(0) @binding(1) var<storage, read> x: array<vec4u>;

// Of those at `at` of each ingredient of an entry.
fn average_eight(entry: u32, at: u32) -> vec4u {
  let head = table[entry];
  @unroll for (var j = 0u; j < 4u; j++) {
    var sums#j = vec2i(bitcast<i32>(head.w));
  }
  for (var i = entry + TERMS; i < entry + TERMS + head.x; i += AT_ONCE) {
    @unroll for (var k = 0u; k < AT_ONCE; k++) {
      let term#k = table[i + k];
      let eight#k = x[term#k.x + at];
    }
    @unroll for (var k = 0u; k < AT_ONCE; k++) {
      @unroll for (var j = 0u; j < 4u; j++) {
        sums#j = with_pair(sums#j, eight#k[j], vec2i(term#k.yz));
      }
    }
  }
  let scale = bitcast<f32>(head.z);
  @unroll for (var j = 0u; j < 4u; j++) {
    let rounded#j = rounded_pair(sums#j, head.y, scale);
  }
  return vec4u(rounded_0, rounded_1, rounded_2, rounded_3);
}
