// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small, for the matrix units: what average-bounded.wgsl
// makes, by tiles.
//
//   x            as tiles.wgsl says; channels are a multiple of 32
//   table, runs  as places.wgsl says; where y begins is counted in vec4u
//   y            (channels / 32, TAPS, all_rows, 32) halves
//
// Uses half-sum.wgsl
// Uses places.wgsl
// Uses tiles.wgsl

@group(0) @binding(4) var<storage, read_write> y: array<vec4u>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  average_tile(run_of(group, groups), lane);
}

// A tap of the eight channels from 8 * `eight` on.
fn store(piece: Piece, row: u32, tap: u32, eight: u32, halves: vec4u) {
  let block = eight / 4 * TAPS + tap;
  y[piece.base + (block * piece.all_rows + piece.first + row) * 4 + eight % 4] = halves;
}
