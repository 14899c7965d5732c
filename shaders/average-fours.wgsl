// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small, by fours of channels: what average-bounded.wgsl
// makes, eight halves at a time.
//
//   x            the ingredients, each (rows, channels) halves, channels being a multiple of 8
//   table, runs  as places.wgsl says; where numbers begin is counted in vec4u of x, in vec2u of y
//   y            (channels / 4, all_rows, 4) halves
//
// Uses half-sum.wgsl
// Uses places.wgsl
// Uses eights.wgsl
//
// A workgroup makes ROWS rows of 64 channels: whole lines of x, and of y four rows of four channels or more.

const COLUMN = 8u; // in vec4u

@group(0) @binding(4) var<storage, read_write> y: array<vec2u>;

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let run = run_of(group, groups);
  if (table[run.x].x == 0) {
    return;
  }
  let shape = table[run.x + 1]; // rows, channels, taps, all_rows
  let place = table[run.x + 2];
  let length = shape.y / 8; // of a row
  let columns = (length + COLUMN - 1) / COLUMN;
  let column = run.y % columns * COLUMN;
  let first = run.y / columns * ROWS;
  for (var i = lane; i < ROWS * COLUMN; i += WORKGROUP) {
    let row = first + i / COLUMN;
    let at = column + i % COLUMN;
    if (row < shape.x && at < length) {
      let eight = average_eight(run.x, row * length + at);
      let to = place.y + 2 * at * shape.w + place.x + row;
      y[to] = eight.xy;
      y[to + shape.w] = eight.zw;
    }
  }
}
