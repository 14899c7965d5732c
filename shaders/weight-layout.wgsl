// Where averages go: a part of average.wgsl and average-bounded.wgsl, which say what average_pair and average_word are.
//
//   y  PACKED: two 16-bit numbers in a word. Else an f32 each. From word `base` on,
//      LAYOUT 1, 4: (taps, channels / LAYOUT, all_rows, LAYOUT), as matmul.wgsl and conv2d.wgsl read weights
//      LAYOUT 32: (channels / 32, taps, all_rows, 32), for the matrix units (tensor-tile.wgsl)
//      LAYOUT = 0: the file's order, from element `first` on
//
// One thread makes one word of y; with a LAYOUT, one of each tap: the second number of a place is the vector of channels, so
// that no thread divides for its place, and the taps, which are neighbours in the file, are read by one thread.

// What is averaged: `rows` of a tensor (all_rows, channels, taps), from row or element `first` on.
struct Piece {
  threads: u32,
  rows: u32,
  channels: u32,
  taps: u32,
  first: u32,
  all_rows: u32,
  base: u32,
}

fn store_in_order(piece: Piece, thread: u32) {
  if (thread >= piece.threads) {
    return;
  }
  if (PACKED) {
    y[piece.base + piece.first / 2 + thread] = average_pair(thread * 2, thread * 2 + 1);
  } else {
    y[piece.base + piece.first + thread] = average_word(thread);
  }
}

// The word `thread` of a vector: all rows of LAYOUT channels, at every tap.
fn store_in_layout(piece: Piece, thread: u32, vector: u32) {
  if (thread >= piece.threads) {
    return;
  }
  let width = max(LAYOUT, 1); // where it is 0 nobody comes here, but the compiler does
  let i = select(thread, thread * 2, PACKED);
  let file_at = (i / width * piece.channels + vector * width + i % width) * piece.taps;
  for (var tap = 0u; tap < piece.taps; tap++) {
    let block = select(tap * piece.channels / width + vector, vector * piece.taps + tap, LAYOUT == 32);
    let at = (block * piece.all_rows + piece.first) * width + i;
    if (PACKED) {
      y[piece.base + at / 2] = average_pair(file_at + tap, file_at + piece.taps + tap);
    } else {
      y[piece.base + at] = average_word(file_at + tap);
    }
  }
}
