// y = softmax(q · kᵀ * scale) · v per head, without ever storing the scores (online softmax:
// Milakov & Gimelshein 2018, arXiv 1805.02867; FlashAttention, arXiv 2205.14135).
//
//   q, y   (images, queries, channels)
//   k, v   (images, keys, channels)      channels = heads * HEAD_VECS * WIDTH
//
// One thread for QUERIES queries of a head; the threads of a workgroup want the same keys and values, and lanes of a
// subgroup share what they read, as in matmul.wgsl. KEYS is a multiple of SUBGROUP. Loops over arrays are written out, so
// that these are registers: with an index lavapipe gathers them from memory, at a third of the speed.
// Scores, maximum and sums are f32. With CAUSAL a query sees the keys up to its own position.

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<QVec>;
@group(0) @binding(2) var<storage, read> k: array<KVec>;
@group(0) @binding(3) var<storage, read> v: array<VVec>;
@group(0) @binding(4) var<storage, read_write> y: array<YVec>;

const LOWEST = -3.4e38;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  // A thread's queries lie WORKGROUP apart, so that threads side by side have neighbours.
  let first_query = group.x * WORKGROUP * QUERIES + lane;
  let head = group.y;
  let image = group.z;
  // Subgroups leave whole: a lane without a query of its own still reads for the others.
  if (first_query - lane % SUBGROUP >= params.queries) {
    return;
  }
  let row = params.heads * HEAD_VECS;
  let q_start = image * params.queries * row + head * HEAD_VECS;
  let k_start = image * params.keys * row + head * HEAD_VECS;

  var query_vec: array<Vec, QUERIES * HEAD_VECS>;
  var sum: array<Vec, QUERIES * HEAD_VECS>;
  var highest: array<f32, QUERIES>;
  var total: array<f32, QUERIES>;
  @unroll for (var n = 0u; n < QUERIES; n++) {
    let at = q_start + min(first_query + n * WORKGROUP, params.queries - 1) * row;
    @unroll for (var d = 0u; d < HEAD_VECS; d++) {
      query_vec[n * HEAD_VECS + d] = Vec(q[at + d]) * params.scale;
    }
    highest[n] = LOWEST;
  }
  for (var first = 0u; first < params.keys; first += KEYS) {
    // Scores of the next KEYS keys; those past the end weigh nothing. The zeros are written out: without them the
    // variable keeps its values from one turn of the loop to the next on lavapipe.
    var score = array<f32, QUERIES * KEYS>();
    for (var c = 0u; c < KEYS; c += SUBGROUP) {
      let at = k_start + min(first + c + lane % SUBGROUP, params.keys - 1) * row;
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        let mine = Vec(k[at + d]);
        @unroll for (var i = 0u; i < SUBGROUP; i++) {
          let key = from_lane(mine, i);
          @unroll for (var n = 0u; n < QUERIES; n++) {
            score[n * KEYS + c + i] += inner(query_vec[n * HEAD_VECS + d], key);
          }
        }
      }
    }
    @unroll for (var n = 0u; n < QUERIES; n++) {
      var tile_highest = highest[n];
      @unroll for (var j = 0u; j < KEYS; j++) {
        let key = first + j;
        let is_out = key >= params.keys || (CAUSAL && key > first_query + n * WORKGROUP);
        score[n * KEYS + j] = select(score[n * KEYS + j], LOWEST, is_out);
        tile_highest = max(tile_highest, score[n * KEYS + j]);
      }
      let fade = exp(highest[n] - tile_highest);
      highest[n] = tile_highest;
      total[n] *= fade;
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        sum[n * HEAD_VECS + d] *= fade;
      }
      @unroll for (var j = 0u; j < KEYS; j++) {
        score[n * KEYS + j] = exp(score[n * KEYS + j] - tile_highest);
        total[n] += score[n * KEYS + j];
      }
    }
    for (var c = 0u; c < KEYS; c += SUBGROUP) {
      let at = k_start + min(first + c + lane % SUBGROUP, params.keys - 1) * row;
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        let mine = Vec(v[at + d]);
        @unroll for (var i = 0u; i < SUBGROUP; i++) {
          let value = from_lane(mine, i);
          @unroll for (var n = 0u; n < QUERIES; n++) {
            sum[n * HEAD_VECS + d] += score[n * KEYS + c + i] * value;
          }
        }
      }
    }
  }
  @unroll for (var n = 0u; n < QUERIES; n++) {
    let query = first_query + n * WORKGROUP;
    if (query < params.queries) {
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        y[q_start + query * row + d] = to_y_vec(sum[n * HEAD_VECS + d] / total[n]);
      }
    }
  }
}
