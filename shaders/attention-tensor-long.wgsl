// y = softmax(q · kᵀ * scale) · v per head on the matrix units, as attention-tensor.wgsl, for long rows of keys.
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// Keys are looked at 16 at a time, and there are no others: their number is divisible by 16. While the shares of some are computed,
// the units multiply the next keys and the values of those before, which need nothing of each other: so there is one barrier for
// each sixteen, and a lane's exponentials are not waited for. What lies between in workgroup memory are three sets of scores, which
// change places: one is read, and shares are written where it was, one is written, and of one the shares are read. It takes nearly
// all there is, so a compute unit has one workgroup, of many subgroups.
//
// A lane has every other four of its row's scores and puts its shares where its first four were, so that nobody waits for another
// to have read: keys 0 to 3 and 8 to 11 come first, and values lie in that order.
// Uses attention-panels.wgsl.

const V_START = 2 * PANEL;
const SCORES_START = 4 * PANEL;
const SCORES = QUERIES * SCORE_PITCH;

// Two panels of keys, two of values, and three sets of scores.
var<workgroup> memory: array<vec4u, max(SCORES_START + 3 * SCORES, QUERIES * max(PITCH, SUM_PITCH))>;

// Of the keys in a panel.
@block score {
  var score = Sums();
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    let right = subgroupMatrixLoad<Right, col_major>(&memory, panel_at + d * 2, PITCH);
    score = subgroupMatrixMultiplyAccumulate(query#d, right, score);
  }
  subgroupMatrixStore<row_major>(&memory, ahead + SCORES_START + group_row * SCORE_PITCH, score, SCORE_PITCH);
}

// Of those in a panel, by the shares behind.
@block add_values {
  let left = subgroupMatrixLoad<Left, row_major>(&memory, behind + SCORES_START + group_row * SCORE_PITCH, SCORE_PITCH);
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    let right = subgroupMatrixLoad<Right, row_major>(&memory, V_START + panel_at + d * 2, PITCH);
    sum#d = subgroupMatrixMultiplyAccumulate(left, right, sum#d);
  }
}

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
  let units = params.keys / KEYS;
  let begin = select(0, first_query / KEYS, params.keys == params.queries);
  // One, but no compiler knows, and so it writes the loop out in turns that stay apart (H200: 136 registers instead of 235).
  let stride = select(1u, 2u, params.heads == 0);

  @read_queries;
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    let query#d = subgroupMatrixLoad<Left, row_major>(&memory, group_row * PITCH + d * 2, PITCH);
    var sum#d: Sums;
  }
  @unroll for (var i = 0u; i < SLOTS; i++) {
    let key#i = (thread + i * THREADS) / CHUNKS;
    let chunk#i = (thread + i * THREADS) % CHUNKS;
    let key_at#i = key#i * PITCH + chunk#i;
    let value_at#i = V_START + (key#i % 4 + key#i / 4 % 2 * 8 + key#i / 8 * 4) * PITCH + chunk#i;
    var k_next#i: vec4u;
    var v_next#i: vec4u;
  }

  let sharer = lane / 16;
  let row = group_row + lane % 16;
  let own = SCORES_START + row * SCORE_PITCH + sharer;
  var reference = LOWEST;
  var total = 0.0;
  loop {
    var highest = LOWEST;
    total = 0;
    @unroll for (var d = 0u; d < BLOCKS; d++) {
      sum#d = Sums();
    }
    var here = 0u;
    var ahead = 0u;
    var behind = 2 * SCORES;
    workgroupBarrier();
    @unroll for (var i = 0u; i < SLOTS; i++) {
      if (key#i < KEYS) {
        memory[key_at#i] = chunk_of(&k, begin * KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
        memory[PANEL + key_at#i] = chunk_of(&k, first_key(begin + 1, units) + key#i, k_start, row_chunks, head_at, chunk#i);
        // What meets the shares of before the first, which are zeros as well.
        memory[PANEL + value_at#i] = vec4u(0);
      }
      v_next#i = chunk_of(&v, begin * KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
      k_next#i = chunk_of(&k, first_key(begin + 2, units) + key#i, k_start, row_chunks, head_at, chunk#i);
    }
    memory[behind + own] = vec4u(0);
    workgroupBarrier();
    {
      let panel_at = 0u;
      @score;
    }
    workgroupBarrier();
    ahead = SCORES;
    let first_four = max(bitcast<vec4f>(memory[own]), bitcast<vec4f>(memory[own + 2]));
    let first_highest = scale * highest_of_row(max(max(first_four.x, first_four.y), max(first_four.z, first_four.w)));
    reference = select(reference, first_highest, reference == LOWEST);

    for (var i = 0u; i < units; i += stride) {
      let unit = begin + i;
      let panel = i % 2 * PANEL;
      let low = bitcast<vec4f>(memory[here + own]);
      let high = bitcast<vec4f>(memory[here + own + 2]);
      {
        let panel_at = PANEL - panel;
        @add_values;
        @score;
      }
      let four = max(low, high);
      highest = max(highest, max(max(four.x, four.y), max(four.z, four.w)));
      let share_low = exp2(low * scale - reference);
      let share_high = exp2(high * scale - reference);
      total += dot(share_low + share_high, vec4f(1));
      memory[here + own] = vec4u(bitcast<vec2u>(vec4<f16>(share_low)), bitcast<vec2u>(vec4<f16>(share_high)));
      // These keys are done with, and the values of those before the last.
      @unroll for (var m = 0u; m < SLOTS; m++) {
        if (key#m < KEYS) {
          memory[panel + value_at#m] = v_next#m;
          memory[panel + key_at#m] = k_next#m;
        }
        v_next#m = chunk_of(&v, first_key(unit + 1, units) + key#m, k_start, row_chunks, head_at, chunk#m);
        k_next#m = chunk_of(&k, first_key(unit + 3, units) + key#m, k_start, row_chunks, head_at, chunk#m);
      }
      let free = behind;
      behind = here;
      here = ahead;
      ahead = free;
      workgroupBarrier();
    }
    {
      let panel_at = (units - 1) % 2 * PANEL;
      @add_values;
    }
    @end_or_again;
  }
  workgroupBarrier();
  @store_results;
}
