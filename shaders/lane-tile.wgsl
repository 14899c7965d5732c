// A tile of y = x · wᵀ on the lanes of a graphics card, matrix units or not: what matmul-lanes.wgsl and conv2d-lanes.wgsl share.
// See product-tile.wgsl for what is multiplied, and where it goes.
//
// x and w are staged in workgroup memory as f32, DEPTH of the inner dimension at once, while the next ones are on their way into
// registers. A thread has 8 x 8 sums: of rows ROW_THREADS apart, and of four columns side by side and four others half a tile
// further. So it reads 16 vectors, each of four numbers along the inner dimension, and multiplies 256 times. Threads that read at
// once lie 4 x 8 in the tile and meet every bank once. All sums are f32.
//
// GATED: the first half of a tile's columns are values, the second half their gates.

const THREADS = ROW_THREADS * COLUMN_THREADS;
const TILE_ROWS = ROW_THREADS * 8;
const TILE_COLUMNS = COLUMN_THREADS * 8;
const HALF = TILE_COLUMNS / 2;
// Eight numbers are fetched at once.
const CHUNKS = DEPTH / 8;
const VECTORS = DEPTH / 4;
// Rows that all threads stage at once.
const STAGED = THREADS / CHUNKS;

// Vectors of x, row beside row, then those of w.
var<workgroup> panel: array<vec4f, VECTORS * (TILE_ROWS + TILE_COLUMNS)>;
const W_PANEL = VECTORS * TILE_ROWS;

fn tile(group: vec3u, thread: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * select(TILE_COLUMNS, HALF, GATED);
  let begin = group.z * params.split;
  let end = min(begin + params.split, params.inner);
  // Eight threads in a row stage the same chunk of as many rows.
  let chunk = thread / 8 % CHUNKS;
  let staged = thread / (8 * CHUNKS) * 8 + thread % 8;
  let block = thread / 32;
  let my_row = block / (COLUMN_THREADS / 8) * 4 + thread / 8 % 4;
  let my_column = block % (COLUMN_THREADS / 8) * 8 + thread % 8;

  let first_step = begin_step(begin + chunk * 8);
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    let row#i = begin_row(min(first_row + staged + i * STAGED, params.rows - 1), group.z);
    let x_at#i = chunk * 2 * TILE_ROWS + staged + i * STAGED;
    var x_next#i = x_chunk(row#i, first_step);
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    let column#i = column_of(first_column, staged + i * STAGED);
    let w_at#i = W_PANEL + chunk * 2 * TILE_COLUMNS + place_of(staged + i * STAGED);
    var w_next#i = w[w_chunk(begin + chunk * 8, column#i)];
  }
  @unroll for (var j = 0u; j < 4; j++) {
    let at#j = W_PANEL + place_of(my_column * 4 + j);
  }
  @unroll for (var i = 0u; i < 8; i++) {
    var near#i = vec4f(0);
    var far#i = vec4f(0);
  }

  for (var k = begin; k < end; k += DEPTH) {
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      panel[x_at#i] = x_low(x_next#i);
      panel[x_at#i + TILE_ROWS] = x_high(x_next#i);
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      panel[w_at#i] = w_low(w_next#i);
      panel[w_at#i + TILE_COLUMNS] = w_high(w_next#i);
    }
    workgroupBarrier();
    let next = min(k + DEPTH, end - DEPTH) + chunk * 8;
    let step = begin_step(next);
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      x_next#i = x_chunk(row#i, step);
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      w_next#i = w[w_chunk(next, column#i)];
    }
    for (var v = 0u; v < VECTORS; v++) {
      @unroll for (var i = 0u; i < 8; i++) {
        let x#i = panel[v * TILE_ROWS + my_row + i * ROW_THREADS];
      }
      let near = quad_of(at_0, at_1, at_2, at_3, v * TILE_COLUMNS);
      let far = quad_of(at_0, at_1, at_2, at_3, v * TILE_COLUMNS + HALF / 4);
      @unroll for (var i = 0u; i < 8; i++) {
        @unroll for (var d = 0u; d < 4; d++) {
          near#i = fma(vec4f(x#i[d]), near[d], near#i);
          far#i = fma(vec4f(x#i[d]), far[d], far#i);
        }
      }
    }
    workgroupBarrier();
  }

  let results_at = begin_results(group.z);
  @unroll for (var i = 0u; i < 8; i++) {
    let row = first_row + my_row + i * ROW_THREADS;
    let column = first_column + my_column * 4;
    if (row < params.rows) {
      if (GATED) {
        store_gates(near#i, far#i, row, column);
      } else {
        store_sums(near#i, row, column, results_at);
        store_sums(far#i, row, column + HALF, results_at);
      }
    }
  }
}

// Four columns of w at four inner indices, by the latter, which costs nothing in registers.
fn quad_of(a: u32, b: u32, c: u32, d: u32, first: u32) -> mat4x4f {
  return transpose(mat4x4f(panel[a + first], panel[b + first], panel[c + first], panel[d + first]));
}

fn store_sums(sums: vec4f, row: u32, column: u32, results_at: u32) {
  for (var c = 0u; c < 4; c += WIDTH) {
    if (column + c < results()) {
      store(take(sums, c), row, column + c, results_at);
    }
  }
}

fn store_gates(values: vec4f, gates: vec4f, row: u32, column: u32) {
  for (var c = 0u; c < 4; c += WIDTH) {
    if (column + c < results()) {
      store_gated(take(values, c), take(gates, c), row, column + c);
    }
  }
}

// The column of x · wᵀ that is a tile's column i.
fn column_of(first_column: u32, i: u32) -> u32 {
  return first_column + select(i, i % HALF + i / HALF * results(), GATED);
}

// Where a tile's column lies among the vectors of w: every fourth one in a row, so that threads side by side, each of which wants
// four, read neighbours; and shifted so that eight columns that are stored at once meet every bank.
fn place_of(column: u32) -> u32 {
  let quarter = column % 4;
  return quarter * (TILE_COLUMNS / 4) + ((column / 4) ^ (quarter * 2));
}
