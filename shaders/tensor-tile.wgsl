// A tile of y = x · wᵀ on the matrix units: what matmul-tensor.wgsl and conv2d-tensor.wgsl share. The kernel that uses it
// has `params` with rows, columns, inner, split, rows_per_image and has_...; the bindings w, bias, shift, residual and
// y; and three functions:
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
// 2002.05202). A tile then has sixteen columns of either in turn, so that a subgroup has both; y is (rows, columns / 2).

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
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows that are read together off each other's banks.
const PITCH = (DEPTH + 8) / 8;
const W_START = TILE_ROWS * PITCH;
// Columns of y that a subgroup makes, and a tile.
const GROUP_RESULTS = select(GROUP_COLUMNS, GROUP_COLUMNS / 2, GATED);
const TILE_RESULTS = COLUMN_GROUPS * GROUP_RESULTS;
const STRIP_PITCH = (GROUP_COLUMNS + 4) / 4;
const STRIP = 16 * STRIP_PITCH;

// Rows that all threads stage at once.
const STAGED = THREADS / CHUNKS;

// Halves of x, then of w; when all are used, sums. Memory of its own for those would take it from the caches (159 against
// 267 TFLOP/s).
var<workgroup> panel: array<vec4u, max((TILE_ROWS + TILE_COLUMNS) * PITCH, ROW_GROUPS * COLUMN_GROUPS * STRIP)>;

fn tile(group: vec3u, thread: u32, subgroup: u32, lane: u32) {
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_RESULTS;
  let group_row = subgroup / COLUMN_GROUPS * GROUP_ROWS;
  let group_column = subgroup % COLUMN_GROUPS * GROUP_COLUMNS;
  let begin = group.z * params.split;
  let end = min(begin + params.split, params.inner);
  let chunk = thread % CHUNKS * 8;
  let staged = staged_row(thread);
  let panel_at = staged * PITCH + thread % CHUNKS;

  let first_step = begin_step(begin + chunk);
  @unroll for (var i = 0u; i < X_SLOTS; i++) {
    let row#i = begin_row(min(first_row + staged + i * STAGED, params.rows - 1));
    var x_next#i = x_chunk(row#i, first_step);
  }
  @unroll for (var i = 0u; i < W_SLOTS; i++) {
    var w_next#i = w[w_chunk(begin + chunk, column_of(first_column, staged + i * STAGED))];
  }
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      var sum#i#j: Sums;
    }
  }

  for (var k = begin; k < end; k += DEPTH) {
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      panel[panel_at + i * STAGED * PITCH] = x_next#i;
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      panel[W_START + panel_at + i * STAGED * PITCH] = w_next#i;
    }
    workgroupBarrier();
    let next = min(k + DEPTH, end - DEPTH) + chunk;
    let step = begin_step(next);
    @unroll for (var i = 0u; i < X_SLOTS; i++) {
      x_next#i = x_chunk(row#i, step);
    }
    @unroll for (var i = 0u; i < W_SLOTS; i++) {
      w_next#i = w[w_chunk(next, column_of(first_column, staged + i * STAGED))];
    }
    @unroll for (var d = 0u; d < STEPS; d++) {
      @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
        let right_at#d#j = W_START + (group_column + j * 16) * PITCH + d * 2;
        let right#d#j = subgroupMatrixLoad<Right, col_major>(&panel, right_at#d#j, PITCH);
      }
      @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
        let left = subgroupMatrixLoad<Left, row_major>(&panel, (group_row + i * 16) * PITCH + d * 2, PITCH);
        @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
          sum#i#j = subgroupMatrixMultiplyAccumulate(left, right#d#j, sum#i#j);
        }
      }
    }
    workgroupBarrier();
  }

  // Matrices have no elements that could be named: 16 rows at a time go through workgroup memory.
  @unroll for (var i = 0u; i < ROW_BLOCKS; i++) {
    @unroll for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      subgroupMatrixStore<row_major>(&panel, subgroup * STRIP + j * 4, sum#i#j, STRIP_PITCH);
    }
    workgroupBarrier();
    let strip = subgroup * STRIP;
    for (var at = lane; at < 16 * GROUP_RESULTS / WIDTH; at += 32) {
      let strip_row = at / (GROUP_RESULTS / WIDTH);
      let strip_column = at % (GROUP_RESULTS / WIDTH) * WIDTH;
      let row = first_row + group_row + i * 16 + strip_row;
      let column = first_column + subgroup % COLUMN_GROUPS * GROUP_RESULTS + strip_column;
      if (row < params.rows && column < results()) {
        let y_at = ((group.z * params.rows + row) * results() + column) / WIDTH;
        if (GATED) {
          let sum_at = strip_column / 16 * 32 + strip_column % 16;
          let value = with_bias(sum_of(strip, strip_row, sum_at), column);
          let gate = with_bias(sum_of(strip, strip_row, sum_at + 16), column + results());
          y[y_at] = to_y_vec(value * activate_vec(GELU, gate));
        } else {
          y[y_at] = to_y_vec(finish(sum_of(strip, strip_row, strip_column), column, row, y_at));
        }
      }
    }
    workgroupBarrier();
  }
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
  return (k / 32 * params.columns + column) * 4 + k % 32 / 8;
}

// The column of x · wᵀ that is a tile's column i.
fn column_of(first_column: u32, i: u32) -> u32 {
  if (GATED) {
    return first_column + i / 32 * 16 + i % 16 + i / 16 % 2 * results();
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
  if (params.has_bias != 0) {
    return sum + Vec(bias[column / WIDTH]);
  }
  return sum;
}

fn finish(sum: Vec, column: u32, row: u32, at: u32) -> Vec {
  var value = with_bias(sum, column);
  if (params.has_shift != 0) {
    value += Vec(shift[(row / params.rows_per_image * params.columns + column) / WIDTH]);
  }
  value = activate_vec(ACTIVATION, value);
  if (params.has_residual != 0) {
    value += Vec(residual[at]);
  }
  return value;
}
