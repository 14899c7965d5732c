// A tile of y = x · wᵀ on the matrix units: what matmul-tensor.wgsl and conv2d-tensor.wgsl share. The kernel that uses it
// has `params` with rows, columns, inner, split, rows_per_image and has_...; the bindings w, bias, shift, residual and
// y; and two functions:
//   begin_row(slot, row)         before all else, for each row of x that this thread fetches
//   x_chunk(slot, k) -> vec4u    eight halves of that row, from inner index k on
//
// x and w are staged in workgroup memory as halves, DEPTH of the inner dimension at once, while the next ones are on
// their way into registers. They are bound as read_write though nobody writes them: what cannot change is fetched as
// late as possible by NVIDIA's compiler, and then everybody waits (204 against 249 TFLOP/s at 4096 x 4096 x 4096).
// Each subgroup of 32 lanes has GROUP_ROWS x GROUP_COLUMNS sums in matrices of 16 x 16, as f32: sums in halves overflow.
// The shape is that of NVIDIA's shmem.comp (vk_cooperative_matrix_perf).
//
//   w   (inner / 32, columns, 32) halves; behind them memory for whole tiles, with anything in it
//   y   (splits, rows, columns): split z has the sum over its part of the inner dimension
//
// Tiles go over the edges of x and w; what lies there is not stored.

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

const SUBGROUPS = ROW_GROUPS * COLUMN_GROUPS;
const THREADS = SUBGROUPS * 32;
const GROUP_ROWS = TILE_ROWS / ROW_GROUPS;
const GROUP_COLUMNS = TILE_COLUMNS / COLUMN_GROUPS;
const ROW_BLOCKS = GROUP_ROWS / 16;
const COLUMN_BLOCKS = GROUP_COLUMNS / 16;
// Eight halves are fetched at once.
const CHUNKS = DEPTH / 8;
const X_SLOTS = TILE_ROWS * CHUNKS / THREADS;
const W_SLOTS = TILE_COLUMNS * CHUNKS / THREADS;
// In vectors of four halves. Eight halves more than a row has keep rows that are read together off each other's banks.
const PITCH = (DEPTH + 8) / 4;
const STRIP_PITCH = (GROUP_COLUMNS + 4) / WIDTH;

var<workgroup> x_panel: array<vec4<f16>, TILE_ROWS * PITCH>;
var<workgroup> w_panel: array<vec4<f16>, TILE_COLUMNS * PITCH>;
var<workgroup> strip: array<Vec, SUBGROUPS * 16 * STRIP_PITCH>;

fn tile(group: vec3u, thread: u32) {
  let subgroup = thread / 32;
  let lane = thread % 32;
  let first_row = group.y * TILE_ROWS;
  let first_column = group.x * TILE_COLUMNS;
  let group_row = subgroup / COLUMN_GROUPS * GROUP_ROWS;
  let group_column = subgroup % COLUMN_GROUPS * GROUP_COLUMNS;
  let begin = group.z * params.split;
  let end = min(begin + params.split, params.inner);

  for (var i = 0u; i < X_SLOTS; i++) {
    begin_row(i, min(first_row + (thread + i * THREADS) / CHUNKS, params.rows - 1));
  }
  var x_next: array<vec4u, X_SLOTS>;
  var w_next: array<vec4u, W_SLOTS>;
  for (var i = 0u; i < X_SLOTS; i++) {
    x_next[i] = x_chunk(i, begin + thread % CHUNKS * 8);
  }
  for (var i = 0u; i < W_SLOTS; i++) {
    w_next[i] = w[w_chunk(thread + i * THREADS, begin, first_column)];
  }

  var sums: array<array<Sums, COLUMN_BLOCKS>, ROW_BLOCKS>;
  for (var k = begin; k < end; k += DEPTH) {
    for (var i = 0u; i < X_SLOTS; i++) {
      let slot = thread + i * THREADS;
      put_x(slot / CHUNKS * PITCH + slot % CHUNKS * 2, x_next[i]);
    }
    for (var i = 0u; i < W_SLOTS; i++) {
      let slot = thread + i * THREADS;
      put_w(slot / 4 % TILE_COLUMNS * PITCH + (slot / (TILE_COLUMNS * 4) * 4 + slot % 4) * 2, w_next[i]);
    }
    storageBarrier();
    workgroupBarrier();
    let next = min(k + DEPTH, end - DEPTH);
    for (var i = 0u; i < X_SLOTS; i++) {
      x_next[i] = x_chunk(i, next + thread % CHUNKS * 8);
    }
    for (var i = 0u; i < W_SLOTS; i++) {
      w_next[i] = w[w_chunk(thread + i * THREADS, next, first_column)];
    }
    for (var d = 0u; d < DEPTH / 16; d++) {
      var right: array<Right, COLUMN_BLOCKS>;
      for (var j = 0u; j < COLUMN_BLOCKS; j++) {
        right[j] = subgroupMatrixLoad<Right, col_major>(&w_panel, (group_column + j * 16) * PITCH + d * 4, PITCH);
      }
      for (var i = 0u; i < ROW_BLOCKS; i++) {
        let left = subgroupMatrixLoad<Left, row_major>(&x_panel, (group_row + i * 16) * PITCH + d * 4, PITCH);
        for (var j = 0u; j < COLUMN_BLOCKS; j++) {
          sums[i][j] = subgroupMatrixMultiplyAccumulate(left, right[j], sums[i][j]);
        }
      }
    }
    workgroupBarrier();
  }

  // Matrices have no elements that could be named: 16 rows at a time go through workgroup memory.
  let strip_start = subgroup * 16 * STRIP_PITCH;
  for (var i = 0u; i < ROW_BLOCKS; i++) {
    for (var j = 0u; j < COLUMN_BLOCKS; j++) {
      subgroupMatrixStore<row_major>(&strip, strip_start + j * 16 / WIDTH, sums[i][j], STRIP_PITCH);
    }
    workgroupBarrier();
    for (var at = lane; at < 16 * GROUP_COLUMNS / WIDTH; at += 32) {
      let strip_row = at / (GROUP_COLUMNS / WIDTH);
      let strip_column = at % (GROUP_COLUMNS / WIDTH);
      let row = first_row + group_row + i * 16 + strip_row;
      let column = first_column + group_column + strip_column * WIDTH;
      if (row < params.rows && column < params.columns) {
        let sum = strip[strip_start + strip_row * STRIP_PITCH + strip_column];
        let y_at = ((group.z * params.rows + row) * params.columns + column) / WIDTH;
        y[y_at] = to_y_vec(finish(sum, column, row, y_at));
      }
    }
    workgroupBarrier();
  }
}

// Where the eight weights of a slot are: block after block of 32, as they lie in memory.
fn w_chunk(slot: u32, k: u32, first_column: u32) -> u32 {
  let block = k / 32 + slot / (TILE_COLUMNS * 4);
  return (block * params.columns + first_column) * 4 + slot % (TILE_COLUMNS * 4);
}

fn put_x(at: u32, v: vec4u) {
  x_panel[at] = vec4<f16>(bitcast<vec2<f16>>(v.x), bitcast<vec2<f16>>(v.y));
  x_panel[at + 1] = vec4<f16>(bitcast<vec2<f16>>(v.z), bitcast<vec2<f16>>(v.w));
}

fn put_w(at: u32, v: vec4u) {
  w_panel[at] = vec4<f16>(bitcast<vec2<f16>>(v.x), bitcast<vec2<f16>>(v.y));
  w_panel[at + 1] = vec4<f16>(bitcast<vec2<f16>>(v.z), bitcast<vec2<f16>>(v.w));
}

fn finish(sum: Vec, column: u32, row: u32, at: u32) -> Vec {
  var value = sum;
  if (params.has_bias != 0) {
    value += Vec(bias[column / WIDTH]);
  }
  if (params.has_shift != 0) {
    value += Vec(shift[(row / params.rows_per_image * params.columns + column) / WIDTH]);
  }
  value = activate_vec(ACTIVATION, value);
  if (params.has_residual != 0) {
    value += Vec(residual[at]);
  }
  return value;
}
