// Averages of tiles, eight halves at a time: a part of average-tiles.wgsl and average-fours.wgsl, which say where they go.
//
//   x  the ingredients, each (rows, channels, TAPS) halves; where numbers begin is counted in vec4u of eight
//
// Uses places.wgsl
//
// A tile is ROWS rows of a column of the file: 64 channels, or all taps of 32. Either is read and averaged as it lies in the
// file, whole lines at a time, DEPTH times eight a thread, since a sum does not mind where its numbers belong. With one tap
// eight that are neighbours there are of eight channels, and stored at once; else they meet in workgroup memory, and each
// thread takes all taps of eight channels of a row from there.

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

  for (var i = lane; i < ROWS * COLUMN; i += WORKGROUP * DEPTH) {
    var offsets: array<u32, DEPTH>;
    @unroll for (var d = 0u; d < DEPTH; d++) {
      let i#d = i + d * WORKGROUP;
      let row#d = first + i#d / COLUMN;
      let at#d = column + i#d % COLUMN;
      let is_here#d = i#d < ROWS * COLUMN && row#d < shape.x && at#d < length;
      offsets[d] = select(0, row#d * length + at#d, is_here#d);
    }
    let eights = average_eights(entry, offsets);
    @unroll for (var d = 0u; d < DEPTH; d++) {
      if (is_here#d) {
        if (TAPS == 1) {
          store(piece, row#d, 0, at#d, eights[d]);
        } else {
          meeting[i#d] = eights[d];
        }
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

// Of those at each of `offsets` in every ingredient of an entry. All are fetched before the first is looked at.
fn average_eights(entry: u32, offsets: array<u32, DEPTH>) -> array<vec4u, DEPTH> {
  let head = table[entry];
  @unroll for (var d = 0u; d < DEPTH; d++) {
    @unroll for (var j = 0u; j < 4u; j++) {
      var sums#d#j = vec2i(bitcast<i32>(head.w));
    }
  }
  for (var i = entry + TERMS; i < entry + TERMS + head.x; i += AT_ONCE) {
    @unroll for (var k = 0u; k < AT_ONCE; k++) {
      let term#k = table[i + k];
      @unroll for (var d = 0u; d < DEPTH; d++) {
        let eight#k#d = x[term#k.x + offsets[d]];
      }
    }
    @unroll for (var d = 0u; d < DEPTH; d++) {
      @unroll for (var k = 0u; k < AT_ONCE; k++) {
        @unroll for (var j = 0u; j < 4u; j++) {
          sums#d#j = with_pair(sums#d#j, eight#k#d[j], vec2i(term#k.yz));
        }
      }
    }
  }
  var rounded: array<vec4u, DEPTH>;
  @unroll for (var d = 0u; d < DEPTH; d++) {
    @unroll for (var j = 0u; j < 4u; j++) {
      rounded[d][j] = rounded_pair(sums#d#j, head.y, bitcast<f32>(head.z));
    }
  }
  return rounded;
}
