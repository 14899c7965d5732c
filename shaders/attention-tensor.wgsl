// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// A workgroup has 64 queries of one head, 16 in each subgroup of 32 lanes, and goes through the keys KEYS at a time.
// HEAD is divisible by 8; up to the next 16 (PADDED) there are zeros. Scores, their maximum and all sums are f32; shares
// are halves, and the sum that they are divided by is that of the halves.
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
const HEAD_CHUNKS = HEAD / 8;
const CHUNKS = PADDED / 8;
const BLOCKS = PADDED / 16;
const KEY_BLOCKS = KEYS / 16;
const LOWEST = -3.4e38;
// exp of this is what the largest share can be, far below the largest half.
const LAG = 5.5;
// In vectors of four halves; eight halves more than a row has keep rows off each other's banks.
const PITCH = (PADDED + 8) / 4;
const SCORE_PITCH = KEYS + 4;
const SHARE_PITCH = KEYS + 8;

// Keys, then values; at first the queries.
var<workgroup> panel: array<vec4<f16>, 2 * KEYS * PITCH>;
var<workgroup> scores: array<f32, QUERIES * SCORE_PITCH>;
var<workgroup> shares: array<f16, QUERIES * SHARE_PITCH>;
var<workgroup> factor: array<f32, QUERIES>;
var<workgroup> has_grown: atomic<u32>;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let subgroup = thread / 32;
  let lane = thread % 32;
  let row_chunks = params.heads * HEAD_CHUNKS;
  let head_at = group.y * HEAD_CHUNKS;
  let q_start = group.z * params.queries;
  let k_start = group.z * params.keys;
  let first_query = group.x * QUERIES;

  for (var i = thread; i < QUERIES * CHUNKS; i += THREADS) {
    let row = i / CHUNKS;
    let chunk = i % CHUNKS;
    let is_there = first_query + row < params.queries && chunk < HEAD_CHUNKS;
    let at = (q_start + first_query + row) * row_chunks + head_at + chunk;
    put(row * PITCH + chunk * 2, select(vec4u(0), q[select(0, at, is_there)], is_there));
  }
  workgroupBarrier();
  var query: array<Left, BLOCKS>;
  for (var d = 0u; d < BLOCKS; d++) {
    query[d] = subgroupMatrixLoad<Left, row_major>(&panel, subgroup * 16 * PITCH + d * 4, PITCH);
  }
  workgroupBarrier();

  // Two lanes have a row between them, every other key each.
  let row = subgroup * 16 + lane / 2;
  let odd = lane % 2;
  var sums: array<Sums, BLOCKS>;
  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += KEYS) {
    for (var i = thread; i < KEYS * CHUNKS; i += THREADS) {
      let key = i / CHUNKS;
      let chunk = i % CHUNKS;
      let is_there = first + key < params.keys && chunk < HEAD_CHUNKS;
      let at = select(0, (k_start + first + key) * row_chunks + head_at + chunk, is_there);
      put(key * PITCH + chunk * 2, select(vec4u(0), k[at], is_there));
      put((KEYS + key) * PITCH + chunk * 2, select(vec4u(0), v[at], is_there));
    }
    workgroupBarrier();

    for (var j = 0u; j < KEY_BLOCKS; j++) {
      var score: Sums;
      for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, col_major>(&panel, j * 16 * PITCH + d * 4, PITCH);
        score = subgroupMatrixMultiplyAccumulate(query[d], right, score);
      }
      subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH + j * 16, score, SCORE_PITCH);
    }
    if (thread == 0) {
      atomicStore(&has_grown, 0);
    }
    workgroupBarrier();

    var tile_highest = LOWEST;
    for (var i = odd; i < KEYS; i += 2) {
      let score = select(LOWEST, scores[row * SCORE_PITCH + i] * params.scale, first + i < params.keys);
      tile_highest = max(tile_highest, score);
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
    for (var i = odd; i < KEYS; i += 2) {
      let score = scores[row * SCORE_PITCH + i] * params.scale;
      let share = f16(select(0.0, exp(score - highest), first + i < params.keys));
      shares[row * SHARE_PITCH + i] = share;
      total += f32(share);
    }
    if (workgroupUniformLoad(&has_grown) != 0 && first > 0) {
      scale_sums(&sums, subgroup, lane);
    }

    for (var j = 0u; j < KEY_BLOCKS; j++) {
      let left = subgroupMatrixLoad<Left, row_major>(&shares, subgroup * 16 * SHARE_PITCH + j * 16, SHARE_PITCH);
      for (var d = 0u; d < BLOCKS; d++) {
        let right = subgroupMatrixLoad<Right, row_major>(&panel, (KEYS + j * 16) * PITCH + d * 4, PITCH);
        sums[d] = subgroupMatrixMultiplyAccumulate(left, right, sums[d]);
      }
    }
    workgroupBarrier();
  }

  total += subgroupShuffleXor(total, 1);
  factor[row] = 1 / total;
  for (var d = 0u; d < BLOCKS; d++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH, sums[d], SCORE_PITCH);
    workgroupBarrier();
    for (var i = lane; i < 64; i += 32) {
      let query_row = subgroup * 16 + i / 4;
      let column = d * 16 + i % 4 * 4;
      if (first_query + query_row < params.queries && column < HEAD) {
        let at = query_row * SCORE_PITCH + i % 4 * 4;
        let value = vec4f(scores[at], scores[at + 1], scores[at + 2], scores[at + 3]) * factor[query_row];
        let y_at = ((q_start + first_query + query_row) * row_chunks + head_at) * 2 + column / 4;
        y[y_at] = vec4<f16>(clamp(value, vec4f(-LARGEST_F16), vec4f(LARGEST_F16)));
      }
    }
  }
}

// Every row of the sums times its factor. The scores have been used by now, and lend their memory.
fn scale_sums(sums: ptr<function, array<Sums, BLOCKS>>, subgroup: u32, lane: u32) {
  for (var d = 0u; d < BLOCKS; d++) {
    workgroupBarrier();
    subgroupMatrixStore<row_major>(&scores, subgroup * 16 * SCORE_PITCH, (*sums)[d], SCORE_PITCH);
    workgroupBarrier();
    for (var i = lane; i < 256; i += 32) {
      let row = subgroup * 16 + i / 16;
      scores[row * SCORE_PITCH + i % 16] *= factor[row];
    }
    workgroupBarrier();
    (*sums)[d] = subgroupMatrixLoad<Sums, row_major>(&scores, subgroup * 16 * SCORE_PITCH, SCORE_PITCH);
  }
  workgroupBarrier();
}

fn put(at: u32, eight: vec4u) {
  panel[at] = vec4<f16>(bitcast<vec2<f16>>(eight.x), bitcast<vec2<f16>>(eight.y));
  panel[at + 1] = vec4<f16>(bitcast<vec2<f16>>(eight.z), bitcast<vec2<f16>>(eight.w));
}
