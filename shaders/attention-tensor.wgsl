// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// A workgroup has 64 queries of one head, 16 in each subgroup of 32 lanes, and goes through the keys 16 * KEY_BLOCKS at a
// time. HEAD is divisible by 8; up to 16 * BLOCKS there are zeros. Values are turned as they are staged, since both
// operands are then read along what is summed over. Scores, their maximum and all sums are f32; shares are halves, and
// the total that they are divided by is that of the halves.
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

const THREADS = 128u;
const QUERIES = 64u;
const KEYS = KEY_BLOCKS * 16;
const PADDED = BLOCKS * 16;
const HEAD_CHUNKS = HEAD / 8;
const CHUNKS = PADDED / 8;
const LOWEST = -3.4e38;
// exp of this is what the largest share can be, far below the largest half.
const LAG = 5.5;
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows off each other's banks.
const K_PITCH = (PADDED + 8) / 8;
const V_PITCH = (KEYS + 8) / 8;
const SCORE_PITCH = (KEYS + 4) / 4;
const SHARE_PITCH = (KEYS + 8) / 8;

// At first the queries, then keys.
var<workgroup> k_panel: array<vec4u, max(KEYS, QUERIES) * K_PITCH>;
var<workgroup> v_panel: array<vec4u, PADDED * V_PITCH>;
var<workgroup> scores: array<vec4f, QUERIES * SCORE_PITCH>;
var<workgroup> shares: array<vec4u, QUERIES * SHARE_PITCH>;
var<workgroup> factor: array<f32, QUERIES>;
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

  for (var i = thread; i < QUERIES * CHUNKS; i += THREADS) {
    let query = first_query + i / CHUNKS;
    let chunk = i % CHUNKS;
    let is_there = query < params.queries && chunk < HEAD_CHUNKS;
    let eight = q[select(0, (q_start + query) * row_chunks + head_at + chunk, is_there)];
    k_panel[i / CHUNKS * K_PITCH + chunk] = select(vec4u(0), eight, is_there);
  }
  workgroupBarrier();
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    let query#d = subgroupMatrixLoad<Left, row_major>(&k_panel, subgroup * 16 * K_PITCH + d * 2, K_PITCH);
    var sum#d: Sums;
  }
  workgroupBarrier();

  // Two lanes have a row between them, every other eight of its keys each.
  let row = subgroup * 16 + lane / 2;
  let odd = lane % 2;
  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += KEYS) {
    for (var i = thread; i < KEYS * CHUNKS; i += THREADS) {
      let chunk = i % CHUNKS;
      k_panel[i / CHUNKS * K_PITCH + chunk] = chunk_of(&k, first + i / CHUNKS, k_start, row_chunks, head_at, chunk);
    }
    for (var i = thread; i < KEYS / 8 * CHUNKS; i += THREADS) {
      let chunk = i % CHUNKS;
      @unroll for (var e = 0u; e < 8u; e++) {
        let value#e = chunk_of(&v, first + i / CHUNKS * 8 + e, k_start, row_chunks, head_at, chunk);
      }
      let at = chunk * 8 * V_PITCH + i / CHUNKS;
      @unroll for (var c = 0u; c < 4u; c++) {
        let even = vec4u(value_0[c], value_2[c], value_4[c], value_6[c]);
        let odd = vec4u(value_1[c], value_3[c], value_5[c], value_7[c]);
        v_panel[at + c * 2 * V_PITCH] = (even & vec4u(0xffff)) | (odd << vec4u(16));
        v_panel[at + (c * 2 + 1) * V_PITCH] = (even >> vec4u(16)) | (odd & vec4u(0xffff0000));
      }
    }
    if (thread == 0) {
      atomicStore(&has_grown, 0);
    }
    workgroupBarrier();

    @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
      var score = Sums();
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, col_major>(&k_panel, j * 16 * K_PITCH + d * 2, K_PITCH);
        score = subgroupMatrixMultiplyAccumulate(query#d, right, score);
      }
      subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH + j * 4, score, SCORE_PITCH);
    }
    workgroupBarrier();

    var tile_highest = LOWEST;
    @unroll for (var i = 0u; i < KEY_BLOCKS; i++) {
      let at#i = row * SCORE_PITCH + (i * 2 + odd) * 2;
      let key#i = vec4u(first + (i * 2 + odd) * 8) + vec4u(0, 1, 2, 3);
      let low#i = select(vec4f(LOWEST), scores[at#i] * params.scale, key#i < vec4u(params.keys));
      let high#i = select(vec4f(LOWEST), scores[at#i + 1] * params.scale, key#i + 4 < vec4u(params.keys));
      let highest#i = max(low#i, high#i);
      tile_highest = max(tile_highest, max(max(highest#i.x, highest#i.y), max(highest#i.z, highest#i.w)));
    }
    tile_highest = max(tile_highest, subgroupShuffleXor(tile_highest, 1));
    if (tile_highest > highest + LAG) {
      let fade = exp(highest - tile_highest);
      factor[row] = fade;
      total *= fade;
      highest = tile_highest;
      atomicStore(&has_grown, 1);
    } else {
      factor[row] = 1;
    }
    @unroll for (var i = 0u; i < KEY_BLOCKS; i++) {
      let share_low = vec4<f16>(select(vec4f(0), exp(low#i - highest), key#i < vec4u(params.keys)));
      let share_high = vec4<f16>(select(vec4f(0), exp(high#i - highest), key#i + 4 < vec4u(params.keys)));
      shares[row * SHARE_PITCH + i * 2 + odd] = vec4u(bitcast<vec2u>(share_low), bitcast<vec2u>(share_high));
      total += dot(vec4f(share_low) + vec4f(share_high), vec4f(1));
    }
    if (workgroupUniformLoad(&has_grown) != 0 && first > 0) {
      // The scores have been used by now, and lend their memory.
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        workgroupBarrier();
        subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH, sum#d, SCORE_PITCH);
        workgroupBarrier();
        scores[row * SCORE_PITCH + odd] *= factor[row];
        scores[row * SCORE_PITCH + odd + 2] *= factor[row];
        workgroupBarrier();
        sum#d = subgroupMatrixLoad<Sums, row_major>(&scores, subgroup * 16 * SCORE_PITCH, SCORE_PITCH);
      }
    }

    @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
      let left = subgroupMatrixLoad<Left, row_major>(&shares, subgroup * 16 * SHARE_PITCH + j * 2, SHARE_PITCH);
      @unroll for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, col_major>(&v_panel, d * 16 * V_PITCH + j * 2, V_PITCH);
        sum#d = subgroupMatrixMultiplyAccumulate(left, right, sum#d);
      }
    }
    workgroupBarrier();
  }

  total += subgroupShuffleXor(total, 1);
  let query = first_query + row;
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH, sum#d, SCORE_PITCH);
    workgroupBarrier();
    for (var i = odd; i < 4; i += 2) {
      let column = d * 16 + i * 4;
      if (query < params.queries && column < HEAD) {
        let value = scores[row * SCORE_PITCH + i] / total;
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
