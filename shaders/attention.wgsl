// y = softmax(q · kᵀ * scale) · v per head, without ever storing the scores (online softmax:
// Milakov & Gimelshein 2018, arXiv 1805.02867; FlashAttention, arXiv 2205.14135).
//
//   q, y   (images, queries, channels)
//   k, v   (images, keys, channels)      channels = heads * HEAD_VECS * WIDTH
//
// One thread per query and head; the threads of a workgroup read the same keys and values (one broadcast).
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
  for (var d = 0u; d < HEAD_VECS; d++) {
    query_vec[d] = Vec(q[q_start + d]) * params.scale;
  }
  var highest = LOWEST;
  var total = 0.0;
  for (var first = 0u; first < params.keys; first += KEYS) {
    // Scores of the next KEYS keys; those past the end weigh nothing.
    var score: array<f32, KEYS>;
    var tile_highest = highest;
    for (var j = 0u; j < KEYS; j++) {
      let key = first + j;
      let at = k_start + min(key, params.keys - 1) * row;
      var s = 0.0;
      for (var d = 0u; d < HEAD_VECS; d++) {
        s += inner(query_vec[d], Vec(k[at + d]));
      }
      score[j] = select(s, LOWEST, key >= params.keys || (CAUSAL && key > query));
      tile_highest = max(tile_highest, score[j]);
    }
    let fade = exp(highest - tile_highest);
    highest = tile_highest;
    total *= fade;
    for (var d = 0u; d < HEAD_VECS; d++) {
      sum[d] *= fade;
    }
    for (var j = 0u; j < KEYS; j++) {
      let at = k_start + min(first + j, params.keys - 1) * row;
      let weight = exp(score[j] - highest);
      total += weight;
      for (var d = 0u; d < HEAD_VECS; d++) {
        sum[d] += weight * Vec(v[at + d]);
      }
    }
  }
  for (var d = 0u; d < HEAD_VECS; d++) {
    y[q_start + d] = to_y_vec(sum[d] / total);
  }
}
