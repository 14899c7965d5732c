// y = Σ p_i * ingredient_i / q, of halves whose sums are known to be small, for the matrix units: what average-bounded.wgsl
// makes, eight halves at a time.
//
//   x            the ingredients, each (rows, channels, TAPS) halves, channels being a multiple of 32
//   table, runs  as places.wgsl says; where numbers begin is counted in vec4u
//   y            (channels / 32, TAPS, all_rows, 32) halves
//
// Uses half-sum.wgsl
// Uses places.wgsl
// Uses eights.wgsl
//
// A workgroup makes ROWS rows of a COLUMN of the file: 64 channels, or all taps of 32. Either is read and averaged as it lies
// in the file, whole lines at a time, since a sum does not mind where its numbers belong. With one tap that is also how y
// has them, but for blocks of channels; else they meet in workgroup memory, and each thread takes all taps of eight channels
// of a row from there.

// In vec4u of eight halves.
const BLOCK = 4u;
const COLUMN = select(BLOCK * TAPS, 2 * BLOCK, TAPS == 1);
const MEETING = select(ROWS * COLUMN, 1, TAPS == 1);

@group(0) @binding(4) var<storage, read_write> y: array<vec4u>;

var<workgroup> meeting: array<vec4u, MEETING>;

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
  let length = shape.y * TAPS / 8; // of a row
  let columns = (length + COLUMN - 1) / COLUMN;
  let column = run.y % columns * COLUMN;
  let first = run.y / columns * ROWS;

  for (var i = lane; i < ROWS * COLUMN; i += WORKGROUP) {
    let row = first + i / COLUMN;
    let at = column + i % COLUMN;
    if (row < shape.x && at < length) {
      let eight = average_eight(run.x, row * length + at);
      if (TAPS == 1) {
        y[place.y + (at / BLOCK * shape.w + place.x + row) * BLOCK + at % BLOCK] = eight;
      } else {
        meeting[i] = eight;
      }
    }
  }
  if (TAPS == 1) {
    return;
  }
  workgroupBarrier();
  for (var i = lane; i < ROWS * BLOCK; i += WORKGROUP) {
    if (first + i / BLOCK >= shape.x) {
      break;
    }
    var words: array<vec4u, TAPS>;
    @unroll for (var v = 0u; v < TAPS; v++) {
      words[v] = meeting[i * TAPS + v];
    }
    let at = place.y + (column / BLOCK * shape.w + place.x + first) * BLOCK + i;
    @unroll for (var tap = 0u; tap < TAPS; tap++) {
      let to = at + tap * shape.w * BLOCK;
      @unroll for (var k = 0u; k < 4u; k++) {
        let pair#k = half_of(&words, 2 * k * TAPS + tap) | (half_of(&words, (2 * k + 1) * TAPS + tap) << 16);
      }
      y[to] = vec4u(pair_0, pair_1, pair_2, pair_3);
    }
  }
}

fn half_of(words: ptr<function, array<vec4u, TAPS>>, i: u32) -> u32 {
  return ((*words)[i / 8][i / 2 % 4] >> (i % 2 * 16)) & 0xffff;
}
