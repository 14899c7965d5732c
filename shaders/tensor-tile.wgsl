// A tile of y = x · wᵀ on the matrix units: what matmul-tensor.wgsl and conv2d-tensor.wgsl share. See product-tile.wgsl for what
// is multiplied, and where it goes.
//
// x and w are staged in workgroup memory as halves, DEPTH of the inner dimension at once, while the next ones are on
// their way into registers. Each subgroup of 32 lanes has ROW_BLOCKS x COLUMN_BLOCKS matrices of 16 x 16 sums, as f32: sums in
// halves overflow. They are written out one by one (@unroll, @block: packages/core/src/gpu/unroll.ts). The shape is that of NVIDIA's
// shmem.comp (vk_cooperative_matrix_perf).
//
// HAS_OWN_END: the last panel is multiplied by code of its own, since nothing is fetched meanwhile. Large tiles of four subgroups gain
// (H200: 299 to 304 TFLOP/s at 4096 x 4096 x 4096), others have no use for more code, and fetch it once more.
//
// BESIDE: what is beside x has a loop of its own, since a branch within one waits for what it fetches (H200: a step 0.1 to 1.6 ms longer).
//
// GATED: a tile has eight columns of values and of gates in turn, so that every matrix has both.
//
// IN_TWO: x is f32 and must not lose what halves cannot hold: the inner dimension runs over the highest bits of x, then over
// the rest, which halves hold as well as they can, and over the weights twice. What is lost is below 2^-21 of x.

@group(0) @binding(7) var<storage, read_write> beside: array<BesideEight>;
@group(0) @binding(8) var<storage, read_write> beside_w: array<WEight>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

const THREADS = ROW_GROUPS * COLUMN_GROUPS * 32;
const GROUP_ROWS = ROW_BLOCKS * 16;
const GROUP_COLUMNS = COLUMN_BLOCKS * 16;
const TILE_ROWS = ROW_GROUPS * GROUP_ROWS;
const TILE_COLUMNS = COLUMN_GROUPS * GROUP_COLUMNS;
// Eight halves are fetched at once.
const CHUNKS = DEPTH / 8;
// The panel has rows of x, then of w: 32 of them one below the other, the next 32 beside them, and so on. One element of 16
// bytes more than they have keeps rows that are read together off each other's banks, and serves all that lie side by side.
const PITCH = (TILE_ROWS + TILE_COLUMNS + 31) / 32 * CHUNKS + 1;
// Columns of y that a matrix makes.
const RESULTS = select(16u, 8u, GATED);
// Matrices beside each other whose sums are stored at once, with the same to keep them off each other's banks.
const STRIP_BLOCKS = min(COLUMN_BLOCKS, select(5u, 3u, THREADS > 128));
const STRIP_PITCH = STRIP_BLOCKS * 4 + 1;
const STRIP = 16 * STRIP_PITCH;

// What of the inner dimension the loop leaves.
const LAST = select(0u, DEPTH, HAS_OWN_END && !BESIDE);

// Rows that all threads stage at once.
const STAGED = THREADS / CHUNKS;

// Halves of x and of w; when all are used, sums. Memory of its own for those would take it from the caches (159 against 267
// TFLOP/s). Elements have 16 bytes, to which matrices have to be aligned.
var<workgroup> panel: array<vec4u, max(32 * PITCH, ROW_GROUPS * COLUMN_GROUPS * STRIP)>;

// What has been fetched goes to the panel.
@block stage {
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    if ((i + 1) * STAGED <= TILE_ROWS || staged + i * STAGED < TILE_ROWS) {
      panel[x_at#i] = x_next#i;
    }
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    if ((i + 1) * STAGED <= TILE_COLUMNS || staged + i * STAGED < TILE_COLUMNS) {
      panel[w_at#i] = w_next#i;
    }
  }
}

// The panel's products are added to the sums.
@block multiply {
  @unroll for (var d = 0u; d < STEPS; d++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      let right_at#d#j = panel_at(TILE_ROWS + group_column + j * 16) + d * 2;
      let right#d#j = subgroupMatrixLoad<Right, col_major>(&panel, right_at#d#j, PITCH);
    }
    @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
      let left = subgroupMatrixLoad<Left, row_major>(&panel, panel_at(group_row + i * 16) + d * 2, PITCH);
      @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
        sum#i#j = subgroupMatrixMultiplyAccumulate(left, right#d#j, sum#i#j);
      }
    }
  }
}

// The next of `beside` are fetched.
@block fetch_beside {
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    x_next#i = beside_halves(beside[row#i.beside_at + next / 8]);
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    w_next#i = beside_w[w_chunk(next - w_inner(), column#i)];
  }
}

fn tile(group: vec3u, thread: u32, subgroup: u32, lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS / 16 * RESULTS;
  let group_row = subgroup / COLUMN_GROUPS * GROUP_ROWS;
  let group_column = subgroup % COLUMN_GROUPS * GROUP_COLUMNS;
  let begin = group.z * params.split;
  let end = min(begin + params.split, params.inner);
  let chunk = thread % CHUNKS * 8;
  let staged = staged_row(thread);

  // Of x, whether or not this part has any.
  let first = select(begin, min(begin, w_inner() - DEPTH), BESIDE) + chunk;
  let first_step = begin_step(first);
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    let row#i = begin_row(min(first_row + staged + i * STAGED, params.rows - 1), group.z);
    let x_at#i = panel_at(staged + i * STAGED) + thread % CHUNKS;
    var x_next#i = halves_of(x_chunk(row#i, first_step), first);
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    let column#i = column_of(first_column, min(staged + i * STAGED, TILE_COLUMNS - 1));
    let w_at#i = panel_at(TILE_ROWS + staged + i * STAGED) + thread % CHUNKS;
    var w_next#i = w[w_chunk(first, column#i)];
  }
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      var sum#i#j: Sums;
    }
  }

  let x_end = select(end, min(end, w_inner()), BESIDE);
  for (var k = begin; k + LAST < x_end; k += DEPTH) {
    @stage;
    workgroupBarrier();
    let next = min(k + DEPTH, x_end - DEPTH) + chunk;
    let step = begin_step(next);
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      x_next#i = halves_of(x_chunk(row#i, step), next);
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      w_next#i = w[w_chunk(next, column#i)];
    }
    @multiply;
    workgroupBarrier();
  }
  if (BESIDE) {
    let beside_begin = max(begin, w_inner());
    {
      let next = beside_begin + chunk;
      @fetch_beside;
    }
    for (var k = beside_begin; k < end; k += DEPTH) {
      @stage;
      workgroupBarrier();
      let next = min(k + DEPTH, end - DEPTH) + chunk;
      @fetch_beside;
      @multiply;
      workgroupBarrier();
    }
  } else if (HAS_OWN_END) {
    @stage;
    workgroupBarrier();
    @multiply;
    workgroupBarrier();
  }

  // Matrices have no elements that could be named: strips of 16 rows go through workgroup memory.
  let strip = subgroup * STRIP;
  let results_at = begin_results(group.z);
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      subgroupMatrixStore<row_major>(&panel, strip + j % STRIP_BLOCKS * 4, sum#i#j, STRIP_PITCH);
      if (j % STRIP_BLOCKS == STRIP_BLOCKS - 1 || j == COLUMN_BLOCKS - 1) {
        let row = first_row + group_row + i * 16;
        let column = first_column + (group_column / 16 + j - j % STRIP_BLOCKS) * RESULTS;
        workgroupBarrier();
        store_strip(strip, lane, (j % STRIP_BLOCKS + 1) * RESULTS / WIDTH, row, column, results_at);
        workgroupBarrier();
      }
    }
  }
}

// 16 rows of `vectors` of sums to y, from (first_row, first_column) on.
fn store_strip(strip: u32, lane: u32, vectors: u32, first_row: u32, first_column: u32, results_at: u32) {
  for (var at = lane; at < 16 * vectors; at += 32) {
    let strip_row = at / vectors;
    let strip_column = at % vectors * WIDTH;
    let row = first_row + strip_row;
    let column = first_column + strip_column;
    if (row < params.rows && column < results()) {
      if (GATED) {
        let sum_at = strip_column / 8 * 16 + strip_column % 8;
        store_gated(sum_of(strip, strip_row, sum_at), sum_of(strip, strip_row, sum_at + 8), row, column);
      } else {
        store(sum_of(strip, strip_row, strip_column), row, column, results_at);
      }
    }
  }
}

// Of x, at an inner index, what is multiplied.
fn halves_of(eight: XEight, k: u32) -> vec4u {
  if (IN_TWO) {
    return x_part(eight, k >= w_inner());
  }
  return x_halves(eight);
}

// Where the panel's row begins.
fn panel_at(row: u32) -> u32 {
  return row % 32 * PITCH + row / 32 * CHUNKS;
}

// The row of a panel that a thread stages first: neighbours in the order in which eight stores at once meet every bank of
// workgroup memory. In the order of the rows they meet half of them, twice (70 against 131 bytes a cycle; DEPTH 64 does not).
fn staged_row(thread: u32) -> u32 {
  if (CHUNKS == 4) {
    return thread / 32 * 8 + thread / 8 % 4 + thread / 4 % 2 * 4;
  }
  return thread / CHUNKS;
}

// The column of x · wᵀ that is a tile's column i.
fn column_of(first_column: u32, i: u32) -> u32 {
  if (GATED) {
    return first_column + i / 16 * 8 + i % 8 + i / 8 % 2 * results();
  }
  return first_column + i;
}

fn sum_of(strip: u32, row: u32, column: u32) -> Vec {
  return take(bitcast<vec4f>(panel[strip + row * STRIP_PITCH + column / 4]), column % 4);
}
