// y = 1 where with_pair makes another integer of any half than integers do, up to the exponent field LARGEST_FIELD: then a
// device's floats are not what half-sum.wgsl, in the form UNPACK, takes them for. soup/halves.ts asks.
//
// Uses half-sum.wgsl
//
// Thread i looks at the half with bits i, low in a word beside its opposite, and high.

struct Params {
  offset: i32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> y: array<atomic<u32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let half = id.x;
  let field = (half >> 10) & 31;
  let others = (half ^ 0x83ff) & 0xffff;
  let is_wrong =
    any(made_of(half | (others << 16)) != 2 * steps_of(half | (others << 16)))
    || any(made_of((half << 16) | others) != 2 * steps_of((half << 16) | others));
  if (is_wrong && field <= LARGEST_FIELD) {
    atomicOr(&y[0], 1u);
  }
}

// With a weight of 1.
fn made_of(pair: u32) -> vec2i {
  return with_pair(vec2i(params.offset), pair, vec2i(2, 2 << 12));
}
