// y = softmax(q · kᵀ * scale) · v per head on the matrix units, without storing the scores (FlashAttention-2, Dao 2023,
// arXiv 2307.08691).
//
//   q, y   (images, queries, heads * HEAD)   f16
//   k, v   (images, keys, heads * HEAD)      f16
//
// A workgroup has SUBGROUPS subgroups of 32 lanes; each has QUERY_BLOCKS * 16 queries of one head, so that a block of keys
// or values that was fetched serves all of those. The workgroup goes through the keys 16 * KEY_BLOCKS at a time, scores
// 16 * STRIP_BLOCKS of them at once, and the next ones are on their way into registers meanwhile. It takes little workgroup
// memory, so that a compute unit has several to turn to while one waits. HEAD is divisible by 8; up to 16 * BLOCKS there are
// zeros. Scores, their maximum and all sums are f32; shares are halves, but not their total. k and v are bound as read_write
// for the reason that tensor-tile.wgsl gives.
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
@group(0) @binding(2) var<storage, read_write> k: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> v: array<vec4u>;
@group(0) @binding(4) var<storage, read_write> y: array<vec4<f16>>;

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

const THREADS = SUBGROUPS * 32;
const GROUP_QUERIES = QUERY_BLOCKS * 16;
const QUERIES = SUBGROUPS * GROUP_QUERIES;
const KEYS = KEY_BLOCKS * 16;
const STRIP_KEYS = STRIP_BLOCKS * 16;
const PADDED = BLOCKS * 16;
const HEAD_CHUNKS = HEAD / 8;
const CHUNKS = PADDED / 8;
// Lanes that have a query's row between them, each half of it.
const SHARERS = 2 / QUERY_BLOCKS;
const LOWEST = -1e30;
// 2 to this is what the largest share can be, far below the largest half.
const LAG = 8.0;
const LOG2_E = 1.4426950408889634;
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows off each other's banks.
const PITCH = (PADDED + 8) / 8;
const STRIP_PITCH = (STRIP_KEYS + 4) / 4;
const V_START = KEYS * PITCH;
const STRIPS_START = 2 * KEYS * PITCH;
// Where in its row a query's shares begin: each lane writes them over scores of its own.
const SHARES = (SHARERS - 1) * EIGHTS;

// Keys, values, and of each query a strip of scores, which become shares. Queries come through it at first, and sums when
// they are scaled or done.
var<workgroup> memory: array<vec4u, max(STRIPS_START + QUERIES * STRIP_PITCH, QUERIES * PITCH)>;
// The last strip in which a maximum has grown, counted from one.
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
    memory[i / CHUNKS * PITCH + chunk] = select(vec4u(0), eight, is_there);
  }
  workgroupBarrier();
  @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
    @unroll for (var d = 0u; d < BLOCKS; d++) {
      let query#i#d = subgroupMatrixLoad<Left, row_major>(&memory, (group_row + i * 16) * PITCH + d * 2, PITCH);
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

  let sharer = lane / (32 / SHARERS);
  let row = group_row + lane % (32 / SHARERS);
  let row_at = STRIPS_START + row * STRIP_PITCH;
  let strip_at = STRIPS_START + group_row * STRIP_PITCH;
  var highest = LOWEST;
  var total = 0.0;
  var strip = 0u;
  for (var first = 0u; first < params.keys; first += KEYS) {
    @unroll for (var i = 0u; i < SLOTS; i++) {
      if (key#i < KEYS) {
        memory[key#i * PITCH + chunk#i] = k_next#i;
        memory[V_START + key#i * PITCH + chunk#i] = v_next#i;
      }
    }
    workgroupBarrier();
    @unroll for (var i = 0u; i < SLOTS; i++) {
      k_next#i = chunk_of(&k, first + KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
      v_next#i = chunk_of(&v, first + KEYS + key#i, k_start, row_chunks, head_at, chunk#i);
    }

    for (var strip_key = 0u; strip_key < KEYS; strip_key += STRIP_KEYS) {
      @unroll for (var j = 0u; j < STRIP_BLOCKS; j++) {
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          var score#i#j = Sums();
        }
        @unroll for (var d = 0u; d < BLOCKS; d++) {
          let right = subgroupMatrixLoad<Right, col_major>(&memory, (strip_key + j * 16) * PITCH + d * 2, PITCH);
          @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
            score#i#j = subgroupMatrixMultiplyAccumulate(query#i#d, right, score#i#j);
          }
        }
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          subgroupMatrixStore<row_major>(&memory, strip_at + i * 16 * STRIP_PITCH + j * 4, score#i#j, STRIP_PITCH);
        }
      }
      strip++;
      workgroupBarrier();

      var strip_highest = LOWEST;
      @unroll for (var i = 0u; i < EIGHTS; i++) {
        let eight#i = sharer * EIGHTS + i;
        var low#i = bitcast<vec4f>(memory[row_at + eight#i * 2]);
        var high#i = bitcast<vec4f>(memory[row_at + eight#i * 2 + 1]);
        if (first + strip_key + STRIP_KEYS > params.keys) {
          let key_at#i = vec4u(first + strip_key + eight#i * 8) + vec4u(0, 1, 2, 3);
          low#i = select(vec4f(LOWEST), low#i, key_at#i < vec4u(params.keys));
          high#i = select(vec4f(LOWEST), high#i, key_at#i + 4 < vec4u(params.keys));
        }
        let highest#i = max(low#i, high#i);
        strip_highest = max(strip_highest, max(max(highest#i.x, highest#i.y), max(highest#i.z, highest#i.w)));
      }
      if (SHARERS == 2) {
        strip_highest = max(strip_highest, subgroupShuffleXor(strip_highest, 16));
      }
      strip_highest *= scale;
      var fade = 1.0;
      if (strip_highest > highest + LAG) {
        fade = exp2(highest - strip_highest);
        total *= fade;
        highest = strip_highest;
        atomicStore(&has_grown, strip);
      }
      @unroll for (var i = 0u; i < EIGHTS; i++) {
        let share_low#i = exp2(low#i * scale - highest);
        let share_high#i = exp2(high#i * scale - highest);
        total += dot(share_low#i + share_high#i, vec4f(1));
        memory[row_at + SHARES + eight#i] =
          vec4u(bitcast<vec2u>(vec4<f16>(share_low#i)), bitcast<vec2u>(vec4<f16>(share_high#i)));
      }
      let is_scaled = workgroupUniformLoad(&has_grown) == strip && strip > 1;

      @unroll for (var j = 0u; j < STRIP_BLOCKS; j++) {
        @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
          let left_at#i#j = strip_at + i * 16 * STRIP_PITCH + SHARES + j * 2;
          let left#i#j = subgroupMatrixLoad<Left, row_major>(&memory, left_at#i#j, STRIP_PITCH);
        }
      }
      if (is_scaled) {
        workgroupBarrier();
        @unroll for (var d = 0u; d < BLOCKS; d++) {
          @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
            subgroupMatrixStore<row_major>(&memory, strip_at + i * 16 * STRIP_PITCH, sum#i#d, STRIP_PITCH);
          }
          workgroupBarrier();
          for (var i = sharer; i < 4; i += SHARERS) {
            memory[row_at + i] = bitcast<vec4u>(bitcast<vec4f>(memory[row_at + i]) * fade);
          }
          workgroupBarrier();
          @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
            sum#i#d = subgroupMatrixLoad<Sums, row_major>(&memory, strip_at + i * 16 * STRIP_PITCH, STRIP_PITCH);
          }
          workgroupBarrier();
        }
      }
      let value_at = V_START + strip_key * PITCH;
      @unroll for (var j = 0u; j < STRIP_BLOCKS; j++) {
        @unroll for (var d = 0u; d < BLOCKS; d++) {
          let right = subgroupMatrixLoad<Right, row_major>(&memory, value_at + j * 16 * PITCH + d * 2, PITCH);
          @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
            sum#i#d = subgroupMatrixMultiplyAccumulate(left#i#j, right, sum#i#d);
          }
        }
      }
      workgroupBarrier();
    }
  }

  if (SHARERS == 2) {
    total += subgroupShuffleXor(total, 16);
  }
  let query = first_query + row;
  @unroll for (var d = 0u; d < BLOCKS; d++) {
    @unroll for (var i = 0u; i < QUERY_BLOCKS; i++) {
      subgroupMatrixStore<row_major>(&memory, strip_at + i * 16 * STRIP_PITCH, sum#i#d, STRIP_PITCH);
    }
    workgroupBarrier();
    for (var i = sharer; i < 4; i += SHARERS) {
      let column = d * 16 + i * 4;
      if (query < params.queries && column < HEAD) {
        let value = bitcast<vec4f>(memory[row_at + i]) / total;
        let y_at = ((q_start + query) * row_chunks + head_at) * 2 + column / 4;
        y[y_at] = vec4<f16>(clamp(value, vec4f(-LARGEST_F16), vec4f(LARGEST_F16)));
      }
    }
    workgroupBarrier();
  }
}

// Eight halves of a key's or a value's row; zeros past the last key and past the head.
fn chunk_of(rows: ptr<storage, array<vec4u>, read_write>, key: u32, start: u32, pitch: u32, head_at: u32, chunk: u32) -> vec4u {
  let is_there = key < params.keys && chunk < HEAD_CHUNKS;
  return select(vec4u(0), rows[select(0, (start + key) * pitch + head_at + chunk, is_there)], is_there);
}
