// y = softmax(q · kᵀ * scale) · v per head, without ever storing the scores (online softmax:
// Milakov & Gimelshein 2018, arXiv 1805.02867; FlashAttention, arXiv 2205.14135).
//
//   q, y   (images, queries, channels)
//   k, v   (images, keys, channels)      channels = heads * HEAD_VECS * WIDTH
//
// One thread for a query of a head; the threads of a workgroup want the same keys and values. Loops over arrays are written out,
// so that these are registers. Where lanes share what they read, there is attention-shared.wgsl.
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
  let query = group.x * WORKGROUP + lane;
  let head = group.y;
  let image = group.z;
  if (query >= params.queries) {
    return;
  }
  let row = params.heads * HEAD_VECS;
  let q_start = (image * params.queries + query) * row + head * HEAD_VECS;
  let k_start = image * params.keys * row + head * HEAD_VECS;

  var query_vec: array<Vec, HEAD_VECS>;
  var sum: array<Vec, HEAD_VECS>;
  @unroll for (var d = 0u; d < HEAD_VECS; d++) {
    query_vec[d] = Vec(q[q_start + d]) * params.scale;
  }
  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += KEYS) {
    // Scores of the next KEYS keys; those past the end weigh nothing. The zeros are written out: without them the
    // variable keeps its values from one turn of the loop to the next on lavapipe.
    var score = array<f32, KEYS>();
    for (var c = 0u; c < KEYS; c++) {
      let at = k_start + min(first + c, params.keys - 1) * row;
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        score[c] += inner(query_vec[d], Vec(k[at + d]));
      }
    }
    var tile_highest = highest;
    @unroll for (var j = 0u; j < KEYS; j++) {
      let is_out = first + j >= params.keys || (CAUSAL && first + j > query);
      score[j] = select(score[j], LOWEST, is_out);
      tile_highest = max(tile_highest, score[j]);
    }
    let fade = exp(highest - tile_highest);
    highest = tile_highest;
    total *= fade;
    @unroll for (var d = 0u; d < HEAD_VECS; d++) {
      sum[d] *= fade;
    }
    @unroll for (var j = 0u; j < KEYS; j++) {
      score[j] = exp(score[j] - tile_highest);
      total += score[j];
    }
    for (var c = 0u; c < KEYS; c++) {
      let at = k_start + min(first + c, params.keys - 1) * row;
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        sum[d] += score[c] * Vec(v[at + d]);
      }
    }
  }
  @unroll for (var d = 0u; d < HEAD_VECS; d++) {
    y[q_start + d] = to_y_vec(sum[d] / total);
  }
}
