// y = activation(conv(x, w) + bias + shift) + residual on the matrix units, x being f16, or f32 that is rounded to f16 as it is fetched.
// Uses phases.wgsl.
// Uses windows-of-x.wgsl.
// Uses product-tile.wgsl.
// Uses tensor-tile.wgsl.

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  tile(group, thread, subgroup, lane);
}
