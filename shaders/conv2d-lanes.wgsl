// y = activation(conv(x, w) + bias + shift) + residual on the lanes of graphics cards.
// Uses phases.wgsl.
// Uses windows-of-x.wgsl.
// Uses product-tile.wgsl.
// Uses lane-tile.wgsl.

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  tile(group, thread);
}
