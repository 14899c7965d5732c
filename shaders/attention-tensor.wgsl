// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// A workgroup has SUBGROUPS subgroups of 32 lanes; each has QUERY_BLOCKS * 16 queries of one head, so that a block of keys
// or values that was fetched serves all of those. The workgroup goes through the keys 16 * KEY_BLOCKS at a time, and the
// next ones are on their way into registers meanwhile. HEAD is divisible by 8; up to 16 * BLOCKS there are zeros. Scores,
// their maximum and all sums are f32; shares are halves, and the total that they are divided by is that of the halves.
//
// Sums in matrices cannot be scaled row by row, so the maximum that shares are relative to follows the true one only
// when that has grown by more than LAG (as in FlashAttention-4), and then sums go through workgroup memory once.

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<vec4u>;
@group(0) @binding(2) var<storage, read> k: array<vec4u>;
@group(0) @binding(3) var<storage, read> v: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f16>>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

const THREADS = SUBGROUPS * 32;
const GROUP_QUERIES = QUERY_BLOCKS * 16;
const QUERIES = SUBGROUPS * GROUP_QUERIES;
const KEYS = KEY_BLOCKS * 16;
const PADDED = BLOCKS * 16;
const HEAD_CHUNKS = HEAD / 8;
const CHUNKS = PADDED / 8;
// Lanes that have a row between them; each takes every so many of its eights of keys.
const SHARERS = 2 / QUERY_BLOCKS;
const LOWEST = -1e30;
// 2 to this is what the largest share can be, far below the largest half.
const LAG = 8.0;
const LOG2_E = 1.4426950408889634;
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows off each other's banks.
const PITCH = (PADDED + 8) / 8;
const ROW_PITCH = max(PITCH, (KEYS + 4) / 4);

var<workgroup> k_panel: array<vec4u, KEYS * PITCH>;
var<workgroup> v_panel: array<vec4u, KEYS * PITCH>;
// A row for each query: at first itself, then its scores, then its shares, and its sums when those are scaled or done.
var<workgroup> rows: array<vec4u, QUERIES * ROW_PITCH>;
var<workgroup> has_grown: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let row_chunks = params.heads * HEAD_CHUNKS;
  let head_at = group.y * HEAD_CHUNKS;
  let q_start = group.z * params.queries;
  let k_start = group.z * params.keys;
  let first_query = group.x * QUERIES;
  let group_row = subgroup * GROUP_QUERIES;
  let scale = params.scale * LOG2_E;

  for (var i = thread; i < QUERIES * CHUNKS; i += THREADS) {
    let query = first_query + i / CHUNKS;
    let chunk = i % CHUNKS;
    let is_there = query < params.queries && chunk < HEAD_CHUNKS;
    let eight = q[select(0, (q_start + query) * row_chunks + head_at + chunk, is_there)];
    rows[i / CHUNKS * ROW_PITCH + chunk] = select(vec4u(0), eight, is_there);
  }
  workgroupBarrier();
  @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
    @unroll for (var d = 0u; d < BLOCKS; d++) {
      let query#i#d = subgroupMatrixLoad<Left, row_major>(&rows, (group_row + i * 16) * ROW_PITCH + d * 2, ROW_PITCH);
      var sum#i#d: Sums;
    }
  }
  @unroll for (var i = 0u; i < SLOTS; i++) {
    let key#i = (thread + i * THREADS) / CHUNKS;
    let chunk#i = (thread + i * THREADS) % CHUNKS;
    var k_next#i = chunk_of(&k, key#i, k_start, row_chunks, head_at, chunk#i);
    var v_next#i = chunk_of(&v, key#i, k_start, row_chunks, head_at, chunk#i);
  }
  workgroupBarrier();

  let row = group_row + lane / SHARERS;
  let sharer = lane % SHARERS;
  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += KEYS) {
    @unroll for (var i = 0u; i < SLOTS; i++) {
      if (key#i < KEYS) {
        k_panel[key#i * PITCH + chunk#i] = k_next#i;
        v_panel[key#i * PITCH + chunk#i] = v_next#i;
      }
    }
    if (thread == 0) {
      atomicStore(&has_grown, 0);
    }
    workgroupBarrier();
    @unroll for (var i = 0u; i < SLOTS; i++) {
      k_next#i = chunk_of(&k, first + KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
      v_next#i = chunk_of(&v, first + KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
    }

    @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
      @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
        var score#i#j = Sums();
      }
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, col_major>(&k_panel, j * 16 * PITCH + d * 2, PITCH);
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          score#i#j = subgroupMatrixMultiplyAccumulate(query#i#d, right, score#i#j);
        }
      }
      @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
        subgroupMatrixStore<row_major>(&rows, (group_row + i * 16) * ROW_PITCH + j * 4, score#i#j, ROW_PITCH);
      }
    }
    workgroupBarrier();

    var tile_highest = LOWEST;
    @unroll for (var i = 0u; i < EIGHTS; i++) {
      let at#i = row * ROW_PITCH + (i * SHARERS + sharer) * 2;
      let key_at#i = vec4u(first + (i * SHARERS + sharer) * 8) + vec4u(0, 1, 2, 3);
      let low#i = select(vec4f(LOWEST), bitcast<vec4f>(rows[at#i]) * scale, key_at#i < vec4u(params.keys));
      let high#i = select(vec4f(LOWEST), bitcast<vec4f>(rows[at#i + 1]) * scale, key_at#i + 4 < vec4u(params.keys));
      let highest#i = max(low#i, high#i);
      tile_highest = max(tile_highest, max(max(highest#i.x, highest#i.y), max(highest#i.z, highest#i.w)));
    }
    if (SHARERS == 2) {
      tile_highest = max(tile_highest, subgroupShuffleXor(tile_highest, 1));
    }
    var fade = 1.0;
    if (tile_highest > highest + LAG) {
      fade = exp2(highest - tile_highest);
      total *= fade;
      highest = tile_highest;
      atomicStore(&has_grown, 1);
    }
    if (workgroupUniformLoad(&has_grown) != 0 && first > 0) {
      // Every score has been read by now, and its memory is free.
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          subgroupMatrixStore<row_major>(&rows, (group_row + i * 16) * ROW_PITCH, sum#i#d, ROW_PITCH);
        }
        workgroupBarrier();
        for (var i = sharer; i < 4; i += SHARERS) {
          let at = row * ROW_PITCH + i;
          rows[at] = bitcast<vec4u>(bitcast<vec4f>(rows[at]) * fade);
        }
        workgroupBarrier();
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          sum#i#d = subgroupMatrixLoad<Sums, row_major>(&rows, (group_row + i * 16) * ROW_PITCH, ROW_PITCH);
        }
        workgroupBarrier();
      }
    }
    @unroll for (var i = 0u; i < EIGHTS; i++) {
      let share_low = vec4<f16>(exp2(low#i - highest));
      let share_high = vec4<f16>(exp2(high#i - highest));
      rows[row * ROW_PITCH + i * SHARERS + sharer] = vec4u(bitcast<vec2u>(share_low), bitcast<vec2u>(share_high));
      total += dot(vec4f(share_low) + vec4f(share_high), vec4f(1));
    }
    workgroupBarrier();

    @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
      @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
        let left#i#j = subgroupMatrixLoad<Left, row_major>(&rows, (group_row + i * 16) * ROW_PITCH + j * 2, ROW_PITCH);
      }
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, row_major>(&v_panel, j * 16 * PITCH + d * 2, PITCH);
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          sum#i#d = subgroupMatrixMultiplyAccumulate(left#i#j, right, sum#i#d);
        }
      }
    }
    workgroupBarrier();
  }

  if (SHARERS == 2) {
    total += subgroupShuffleXor(total, 1);
  }
  let query = first_query + row;
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
      subgroupMatrixStore<row_major>(&rows, (group_row + i * 16) * ROW_PITCH, sum#i#d, ROW_PITCH);
    }
    workgroupBarrier();
    for (var i = sharer; i < 4; i += SHARERS) {
      let column = d * 16 + i * 4;
      if (query < params.queries && column < HEAD) {
        let value = bitcast<vec4f>(rows[row * ROW_PITCH + i]) / total;
        let y_at = ((q_start + query) * row_chunks + head_at) * 2 + column / 4;
        y[y_at] = vec4<f16>(clamp(value, vec4f(-LARGEST_F16), vec4f(LARGEST_F16)));
      }
    }
    workgroupBarrier();
  }
}

// Eight halves of a key's or a value's row; zeros past the last key and past the head.
fn chunk_of(rows: ptr<storage, array<vec4u>, read>, key: u32, start: u32, pitch: u32, head_at: u32, chunk: u32) -> vec4u {
  let is_there = key < params.keys && chunk < HEAD_CHUNKS;
  return select(vec4u(0), rows[select(0, (start + key) * pitch + head_at + chunk, is_there)], is_there);
}
