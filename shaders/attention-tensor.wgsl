// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// A workgroup has SUBGROUPS subgroups of 32 lanes; each has 16 queries of one head. The workgroup goes through the keys
// 16 * KEY_BLOCKS at a time, and the next ones are on their way into registers meanwhile. It takes little workgroup memory, so
// that a compute unit has several to turn to while one waits. HEAD is divisible by 8; up to 16 * BLOCKS there are zeros.
// Scores, their maximum and all sums are f32; shares are halves, but not their total. k and v are bound as read_write for the
// reason that tensor-tile.wgsl gives, and q since all three may be parts of one buffer.
//
// Sums in matrices cannot be scaled row by row, so shares are relative to the highest score of the first keys that are looked
// at; in self-attention those are the queries' own, which score high. Where a later one is higher by more than LAG, which is
// rare, shares are no halves any more, and all is done again relative to the highest of all.

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> q: array<vec4u>;
@group(0) @binding(2) var<storage, read_write> k: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f16>>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

const THREADS = SUBGROUPS * 32;
const QUERIES = SUBGROUPS * 16;
const KEYS = KEY_BLOCKS * 16;
const PADDED = BLOCKS * 16;
const HEAD_CHUNKS = HEAD / 8;
const CHUNKS = PADDED / 8;
// Lanes that have a query's row between them, each half of it: KEY_BLOCKS eights.
const SHARERS = 2;
const LOWEST = -1e30;
// 2 to this is what the largest share can be; the largest half is twice that.
const LAG = 15.0;
const LOG2_E = 1.4426950408889634;
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows off each other's banks.
const PITCH = (PADDED + 8) / 8;
const SCORE_PITCH = (KEYS + 4) / 4;
const SHARE_PITCH = (KEYS + 8) / 8;
const SUM_PITCH = 5;
const V_START = KEYS * PITCH;
const SCORES_START = 2 * KEYS * PITCH;
const SHARES_START = SCORES_START + QUERIES * SCORE_PITCH;

// Keys, values, and each query's scores and shares. Queries come through it at first, and sums at last.
var<workgroup> memory: array<vec4u, max(SHARES_START + QUERIES * SHARE_PITCH, QUERIES * max(PITCH, SUM_PITCH))>;
// Whether a score is too far above those that its row's shares are relative to.
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
  let group_row = subgroup * 16;
  let scale = params.scale * LOG2_E;
  let units = (params.keys + KEYS - 1) / KEYS;
  let begin = select(0, first_query / KEYS, params.keys == params.queries);

  for (var i = thread; i < QUERIES * CHUNKS; i += THREADS) {
    let query = first_query + i / CHUNKS;
    let chunk = i % CHUNKS;
    let is_there = query < params.queries && chunk < HEAD_CHUNKS;
    let eight = q[select(0, (q_start + query) * row_chunks + head_at + chunk, is_there)];
    memory[i / CHUNKS * PITCH + chunk] = select(vec4u(0), eight, is_there);
  }
  workgroupBarrier();
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    let query#d = subgroupMatrixLoad<Left, row_major>(&memory, group_row * PITCH + d * 2, PITCH);
    var sum#d: Sums;
  }
  @unroll for (var i = 0u; i < SLOTS; i++) {
    let key#i = (thread + i * THREADS) / CHUNKS;
    let chunk#i = (thread + i * THREADS) % CHUNKS;
    var k_next#i: vec4u;
    var v_next#i: vec4u;
  }

  let sharer = lane / (32 / SHARERS);
  let row = group_row + lane % (32 / SHARERS);
  let scores_at = SCORES_START + row * SCORE_PITCH + sharer * KEY_BLOCKS * 2;
  let shares_at = SHARES_START + row * SHARE_PITCH + sharer * KEY_BLOCKS;
  var reference = LOWEST;
  var total = 0.0;
  loop {
    var highest = LOWEST;
    total = 0;
    @unroll for (var d = 0u; d < BLOCKS; d++) {
      sum#d = Sums();
    }
    workgroupBarrier();
    @unroll for (var i = 0u; i < SLOTS; i++) {
      if (key#i < KEYS) {
        memory[key#i * PITCH + chunk#i] = chunk_of(&k, begin * KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
      }
      v_next#i = chunk_of(&v, begin * KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
      k_next#i = chunk_of(&k, first_key(begin + 1, units) + key#i, k_start, row_chunks, head_at, chunk#i);
    }
    workgroupBarrier();

    for (var unit = begin; unit < begin + units; unit++) {
      // Never done, but faster with it, probably since what follows keeps its order (H200: 318 to 288 us for 4096 tokens of
      // 5 heads of 64).
      for (var never = unit; never > params.keys + units; never++) {
        memory[0] = vec4u(never);
      }
      let first = first_key(unit, units);
      @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
        var score#j = Sums();
        @unroll for (var d = 0u; d < BLOCKS; d++) {
          let right = subgroupMatrixLoad<Right, col_major>(&memory, j * 16 * PITCH + d * 2, PITCH);
          score#j = subgroupMatrixMultiplyAccumulate(query#d, right, score#j);
        }
        let score_at#j = SCORES_START + group_row * SCORE_PITCH + j * 4;
        subgroupMatrixStore<row_major>(&memory, score_at#j, score#j, SCORE_PITCH);
      }
      // Scores are there; these keys, and the values and shares of those before, are done with.
      workgroupBarrier();
      @unroll for (var i = 0u; i < SLOTS; i++) {
        if (key#i < KEYS) {
          memory[V_START + key#i * PITCH + chunk#i] = v_next#i;
          memory[key#i * PITCH + chunk#i] = k_next#i;
        }
      }
      @unroll for (var i = 0u; i < SLOTS; i++) {
        v_next#i = chunk_of(&v, first_key(unit + 1, units) + key#i, k_start, row_chunks, head_at, chunk#i);
        k_next#i = chunk_of(&k, first_key(unit + 2, units) + key#i, k_start, row_chunks, head_at, chunk#i);
      }
      if (first + KEYS > params.keys) {
        for (var i = 0u; i < KEY_BLOCKS * 2; i++) {
          let is_there = vec4u(first + (sharer * KEY_BLOCKS * 2 + i) * 4) + vec4u(0, 1, 2, 3) < vec4u(params.keys);
          let four = bitcast<vec4f>(memory[scores_at + i]);
          memory[scores_at + i] = bitcast<vec4u>(select(vec4f(LOWEST), four, is_there));
        }
      }
      @unroll for (var i = 0u; i < KEY_BLOCKS; i++) {
        let low#i = bitcast<vec4f>(memory[scores_at + i * 2]);
        let high#i = bitcast<vec4f>(memory[scores_at + i * 2 + 1]);
        let highest#i = max(low#i, high#i);
        highest = max(highest, max(max(highest#i.x, highest#i.y), max(highest#i.z, highest#i.w)));
      }
      if (unit == begin) {
        let first_highest = scale * highest_of_row(highest);
        reference = select(reference, first_highest, reference == LOWEST);
      }
      @unroll for (var i = 0u; i < KEY_BLOCKS; i++) {
        let share_low#i = exp2(low#i * scale - reference);
        let share_high#i = exp2(high#i * scale - reference);
        total += dot(share_low#i + share_high#i, vec4f(1));
        memory[shares_at + i] = vec4u(bitcast<vec2u>(vec4<f16>(share_low#i)), bitcast<vec2u>(vec4<f16>(share_high#i)));
      }
      workgroupBarrier();

      @unroll for (var j = 0u; j < KEY_BLOCKS; j++) {
        let left_at#j = SHARES_START + group_row * SHARE_PITCH + j * 2;
        let left#j = subgroupMatrixLoad<Left, row_major>(&memory, left_at#j, SHARE_PITCH);
        @unroll for (var d = 0u; d < BLOCKS; d++) {
          let right = subgroupMatrixLoad<Right, row_major>(&memory, V_START + j * 16 * PITCH + d * 2, PITCH);
          sum#d = subgroupMatrixMultiplyAccumulate(left#j, right, sum#d);
        }
      }
    }

    let true_highest = scale * highest_of_row(highest);
    if (true_highest > reference + LAG) {
      atomicStore(&has_grown, 1u);
    }
    reference = true_highest;
    if (workgroupUniformLoad(&has_grown) == 0) {
      break;
    }
    atomicStore(&has_grown, 0u);
  }
  workgroupBarrier();

  total += subgroupShuffleXor(total, 16);
  let query = first_query + row;
  let sums_at = row * SUM_PITCH;
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    subgroupMatrixStore<row_major>(&memory, group_row * SUM_PITCH, sum#d, SUM_PITCH);
    workgroupBarrier();
    for (var i = sharer; i < 4; i += SHARERS) {
      let column = d * 16 + i * 4;
      if (query < params.queries && column < HEAD) {
        let value = bitcast<vec4f>(memory[sums_at + i]) / total;
        let y_at = ((q_start + query) * row_chunks + head_at) * 2 + column / 4;
        y[y_at] = vec4<f16>(clamp(value, vec4f(-LARGEST_F16), vec4f(LARGEST_F16)));
      }
    }
    workgroupBarrier();
  }
}

// The first of a unit's keys; the units go round.
fn first_key(unit: u32, units: u32) -> u32 {
  return (unit - select(0, units, unit >= units)) * KEYS;
}

// The highest of what the lanes of a row have.
fn highest_of_row(highest: f32) -> f32 {
  return max(highest, subgroupShuffleXor(highest, 16));
}

// Eight halves of a key's or a value's row, zeros past the head; of the last row past the last key.
fn chunk_of(rows: ptr<storage, array<vec4u>, read_write>, key: u32, start: u32, pitch: u32, head_at: u32, chunk: u32) -> vec4u {
  let at = (start + min(key, params.keys - 1)) * pitch + head_at;
  if (HEAD_CHUNKS == CHUNKS) {
    return rows[at + chunk];
  }
  return select(vec4u(0), rows[at + min(chunk, HEAD_CHUNKS - 1)], chunk < HEAD_CHUNKS);
}
