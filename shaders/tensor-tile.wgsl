// A tile of y = x · wᵀ on the matrix units: what matmul-tensor.wgsl and conv2d-tensor.wgsl share. The kernel that uses it
// has `params` with rows, columns, inner, split, rows_per_image and part_...; the bindings w, bias, shift, residual and y;
// and three functions:
//   begin_row(row) -> at          for each row of x that this thread fetches: all that x_chunk needs to know of it
//   begin_step(k) -> step         the same of an inner index
//   x_chunk(at, step) -> vec4u    eight halves of that row, from that inner index on
//
// x and w are staged in workgroup memory as halves, DEPTH of the inner dimension at once, while the next ones are on
// their way into registers. They are bound as read_write though nobody writes them: what cannot change is fetched as
// late as possible by NVIDIA's compiler, and then everybody waits (204 against 249 TFLOP/s at 4096 x 4096 x 4096).
// Each subgroup of 32 lanes has ROW_BLOCKS x COLUMN_BLOCKS matrices of 16 x 16 sums, as f32: sums in halves overflow.
// They are written out one by one (@unroll: packages/core/src/gpu/unroll.ts). The shape is that of NVIDIA's shmem.comp
// (vk_cooperative_matrix_perf).
//
//   w   (inner / 32, columns, 32) halves; behind them memory for whole tiles, with anything in it
//   y   (splits, rows, columns): split z has the sum over its part of the inner dimension
//
// Tiles go over the edges of x and w; what lies there is not stored.
//
// GATED: y = value * gelu(gate), value being the first half of the columns and gate the second (GEGLU: Shazeer 2020, arXiv
// 2002.05202). A tile then has eight columns of either in turn, so that every matrix has both; y is (rows, columns / 2).
//
// JOINT: columns belong to several results, part_columns each, of which y has one after the other, part_pitch apart.
//
// IN_TWO: x is f32 and must not lose what halves cannot hold: the inner dimension runs over the highest bits of x, then over
// the rest, which halves hold as well as they can, and over the weights twice. What is lost is below 2^-21 of x.

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
const PITCH = (TILE_ROWS + TILE_COLUMNS) / 32 * CHUNKS + 1;
// Columns of y that a matrix makes.
const RESULTS = select(16u, 8u, GATED);
// Matrices beside each other whose sums are stored at once, with the same to keep them off each other's banks.
const STRIP_BLOCKS = min(COLUMN_BLOCKS, select(4u, 2u, THREADS > 128));
const STRIP_PITCH = STRIP_BLOCKS * 4 + 1;
const STRIP = 16 * STRIP_PITCH;

// Rows that all threads stage at once.
const STAGED = THREADS / CHUNKS;

// Halves of x and of w; when all are used, sums. Memory of its own for those would take it from the caches (159 against 267
// TFLOP/s). Elements have 16 bytes, to which matrices have to be aligned.
var<workgroup> panel: array<vec4u, max(32 * PITCH, ROW_GROUPS * COLUMN_GROUPS * STRIP)>;

fn tile(group: vec3u, thread: u32, subgroup: u32, lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS / 16 * RESULTS;
  let group_row = subgroup / COLUMN_GROUPS * GROUP_ROWS;
  let group_column = subgroup % COLUMN_GROUPS * GROUP_COLUMNS;
  let begin = group.z * params.split;
  let end = min(begin + params.split, params.inner);
  let chunk = thread % CHUNKS * 8;
  let staged = staged_row(thread);

  let first_step = begin_step(begin + chunk);
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    let row#i = begin_row(min(first_row + staged + i * STAGED, params.rows - 1));
    let x_at#i = panel_at(staged + i * STAGED) + thread % CHUNKS;
    var x_next#i = x_chunk(row#i, first_step);
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    let column#i = column_of(first_column, min(staged + i * STAGED, TILE_COLUMNS - 1));
    let w_at#i = panel_at(TILE_ROWS + staged + i * STAGED) + thread % CHUNKS;
    var w_next#i = w[w_chunk(begin + chunk, column#i)];
  }
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      var sum#i#j: Sums;
    }
  }

  for (var k = begin; k < end; k += DEPTH) {
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
    workgroupBarrier();
    let next = min(k + DEPTH, end - DEPTH) + chunk;
    let step = begin_step(next);
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      x_next#i = x_chunk(row#i, step);
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      w_next#i = w[w_chunk(next, column#i)];
    }
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
    workgroupBarrier();
  }

  // Matrices have no elements that could be named: strips of 16 rows go through workgroup memory.
  let strip = subgroup * STRIP;
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      subgroupMatrixStore<row_major>(&panel, strip + j % STRIP_BLOCKS * 4, sum#i#j, STRIP_PITCH);
      if (j % STRIP_BLOCKS == STRIP_BLOCKS - 1 || j == COLUMN_BLOCKS - 1) {
        let row = first_row + group_row + i * 16;
        let column = first_column + (group_column / 16 + j - j % STRIP_BLOCKS) * RESULTS;
        workgroupBarrier();
        store_strip(strip, lane, (j % STRIP_BLOCKS + 1) * RESULTS / WIDTH, row, column, group.z);
        workgroupBarrier();
      }
    }
  }
}

// 16 rows of `vectors` of sums to y, from (first_row, first_column) on.
fn store_strip(strip: u32, lane: u32, vectors: u32, first_row: u32, first_column: u32, split: u32) {
  for (var at = lane; at < 16 * vectors; at += 32) {
    let strip_row = at / vectors;
    let strip_column = at % vectors * WIDTH;
    let row = first_row + strip_row;
    let column = first_column + strip_column;
    if (row < params.rows && column < results()) {
      let y_at = index_of(split, row, column) / WIDTH;
      if (GATED) {
        let sum_at = strip_column / 8 * 16 + strip_column % 8;
        let value = with_bias(sum_of(strip, strip_row, sum_at), column);
        let gate = with_bias(sum_of(strip, strip_row, sum_at + 8), column + results());
        y[y_at] = to_y_vec(value * activate_vec(GELU, gate));
      } else {
        y[y_at] = to_y_vec(finish(sum_of(strip, strip_row, strip_column), column, row, y_at));
      }
    }
  }
}

fn index_of(split: u32, row: u32, column: u32) -> u32 {
  if (JOINT) {
    return column / params.part_columns * params.part_pitch + row * params.part_columns + column % params.part_columns;
  }
  return (split * params.rows + row) * results() + column;
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

// Where eight weights are: block after block of 32 of the inner dimension, as they lie in memory.
fn w_chunk(k: u32, column: u32) -> u32 {
  let at = select(k, k % w_inner(), IN_TWO);
  return (at / 32 * params.columns + column) * 4 + at % 32 / 8;
}

// The weights' inner dimension.
fn w_inner() -> u32 {
  return select(params.inner, params.inner / 2, IN_TWO);
}

// The column of x · wᵀ that is a tile's column i.
fn column_of(first_column: u32, i: u32) -> u32 {
  if (GATED) {
    return first_column + i / 16 * 8 + i % 8 + i / 8 % 2 * results();
  }
  return first_column + i;
}

fn results() -> u32 {
  return select(params.columns, params.columns / 2, GATED);
}

fn sum_of(strip: u32, row: u32, column: u32) -> Vec {
  return take(bitcast<vec4f>(panel[strip + row * STRIP_PITCH + column / 4]), column % 4);
}

fn with_bias(sum: Vec, column: u32) -> Vec {
  if (HAS_BIAS) {
    return sum + Vec(bias[column / WIDTH]);
  }
  return sum;
}

fn finish(sum: Vec, column: u32, row: u32, at: u32) -> Vec {
  var value = with_bias(sum, column);
  if (HAS_SHIFT) {
    value += Vec(shift[(row / params.rows_per_image * params.columns + column) / WIDTH]);
  }
  value = activate_vec(ACTIVATION, value);
  if (HAS_RESIDUAL) {
    value += Vec(residual[at]);
  }
  return value;
}
