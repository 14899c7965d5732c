// Averages of tiles, eight halves at a time: a part of average-tiles.wgsl and average-fours.wgsl, which say where they go.
//
//   x  the ingredients, each (rows, channels, TAPS) halves; where numbers begin is counted in vec4u of eight
//
// Uses places.wgsl
//
// A tile is ROWS rows of a column of the file: 64 channels, or all taps of 32. Either is read and averaged as it lies in the
// file, whole lines at a time, since a sum does not mind where its numbers belong. With one tap eight that are neighbours
// there are of eight channels, and stored at once; else they meet in workgroup memory, and each thread takes all taps of
// eight channels of a row from there.

// In vec4u.
const BLOCK = 4u;
const COLUMN = select(BLOCK * TAPS, 2 * BLOCK, TAPS == 1);
const MEETING = select(ROWS * COLUMN, 1, TAPS == 1);

@group(0) @binding(1) var<storage, read> x: array<vec4u>;

// Where a tile goes: rows from `first` on of (all_rows, channels, TAPS), in y from `base` on.
struct Piece {
  channels: u32,
  all_rows: u32,
  first: u32,
  base: u32,
}

var<workgroup> meeting: array<vec4u, MEETING>;

fn average_tile(run: vec2u, lane: u32) {
  let entry = run.x;
  if (table[entry].x == 0) {
    return;
  }
  let shape = table[entry + 1];
  let place = table[entry + 2];
  let piece = Piece(shape.y, shape.w, place.x, place.y);
  let length = shape.y * TAPS / 8; // of a row
  let columns = (length + COLUMN - 1) / COLUMN;
  let column = run.y % columns * COLUMN;
  let first = run.y / columns * ROWS;

  for (var i = lane; i < ROWS * COLUMN; i += WORKGROUP) {
    let row = first + i / COLUMN;
    let at = column + i % COLUMN;
    if (row < shape.x && at < length) {
      let eight = average_eight(entry, row * length + at);
      if (TAPS == 1) {
        store(piece, row, 0, at, eight);
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
    let row = first + i / BLOCK;
    let eight = column / TAPS + i % BLOCK; // of the channels
    if (row >= shape.x || eight >= shape.y / 8) {
      continue;
    }
    var words: array<vec4u, TAPS>;
    @unroll for (var v = 0u; v < TAPS; v++) {
      words[v] = meeting[i * TAPS + v];
    }
    @unroll for (var tap = 0u; tap < TAPS; tap++) {
      var pairs: vec4u;
      @unroll for (var k = 0u; k < 4u; k++) {
        pairs[k] = half_of(&words, 2 * k * TAPS + tap) | (half_of(&words, (2 * k + 1) * TAPS + tap) << 16);
      }
      store(piece, row, tap, eight, pairs);
    }
  }
}

fn half_of(words: ptr<function, array<vec4u, TAPS>>, i: u32) -> u32 {
  return ((*words)[i / 8][i / 2 % 4] >> (i % 2 * 16)) & 0xffff;
}

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
