// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// The workgroup goes through the keys 16 * KEY_BLOCKS at a time, and the next ones are on their way into registers meanwhile. It
// takes little workgroup memory, so that a compute unit has several to turn to while one waits. Scores, their maximum and all sums
// are f32; shares are halves, but not their total.
//
// Sums in matrices cannot be scaled row by row, so shares are relative to the highest score of the first keys that are looked
// at; in self-attention those are the queries' own, which score high. Where a later one is higher by more than LAG, which is
// rare, shares are no halves any more, and all is done again relative to the highest of all.
// Uses attention-panels.wgsl.

const SHARE_PITCH = (KEYS + 8) / 8;
const V_START = PANEL;
const SCORES_START = 2 * PANEL;
const SHARES_START = SCORES_START + QUERIES * SCORE_PITCH;

// Keys, values, and each query's scores and shares.
var<workgroup> memory: array<vec4u, max(SHARES_START + QUERIES * SHARE_PITCH, QUERIES * max(PITCH, SUM_PITCH))>;

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

  @read_queries;
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

    @end_or_again;
  }
  workgroupBarrier();

  @store_results;
}
