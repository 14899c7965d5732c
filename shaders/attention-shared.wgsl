// y = softmax(q · kᵀ * scale) · v per head, as attention.wgsl, on processors whose lanes share what they read.
//
//   q, y   (images, queries, channels)
//   k, v   (images, keys, channels)      channels = heads * HEAD_VECS * WIDTH
//
// A workgroup is a subgroup, and a lane has QUERIES queries of a head, SUBGROUP apart. KEYS keys at a time are read by all lanes
// together, PER_READ vectors of each at once, and handed round. All is read before anything is computed: the driver would put
// sums off until the next read, and keep their terms in memory. And few keys at a time, since all of it is written out and a
// processor has 32 KB for what it runs. Scores, maximum and sums are f32. With CAUSAL a query sees the keys up to its own position.

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  head_vecs: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> q: array<QVec>;
@group(0) @binding(2) var<storage, read> k: array<KVec>;
@group(0) @binding(3) var<storage, read> v: array<VVec>;
@group(0) @binding(4) var<storage, read_write> y: array<YVec>;

const LOWEST = -3.4e38;

@compute @workgroup_size(SUBGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first_query = group.x * SUBGROUP * QUERIES + lane;
  let row = params.heads * HEAD_VECS;
  let q_start = group.z * params.queries * row + group.y * HEAD_VECS;
  let k_start = group.z * params.keys * row + group.y * HEAD_VECS;

  // Filled and emptied by loops that end at a parameter, which the driver does not write out: they are done once.
  var query_vec: array<Vec, QUERIES * HEAD_VECS>;
  for (var d = 0u; d < params.head_vecs; d++) {
    @unroll for (var n = 0u; n < QUERIES; n++) {
      let at = q_start + min(first_query + n * SUBGROUP, params.queries - 1) * row;
      query_vec[d * QUERIES + n] = Vec(q[at + d]) * params.scale;
    }
  }
  var sum: array<Vec, QUERIES * HEAD_VECS>;
  var highest: array<f32, QUERIES>;
  var total: array<f32, QUERIES>;
  @unroll for (var n = 0u; n < QUERIES; n++) {
    highest[n] = LOWEST;
  }
  for (var first = 0u; first < params.keys; first += KEYS) {
    // Keys past the end read the last one and weigh nothing.
    let at = k_start + min(first + lane % KEYS, params.keys - 1) * row;
    @unroll for (var read = 0u; read < READS; read++) {
      let my_key#read = Vec(k[at + min(read * PER_READ + lane / KEYS, HEAD_VECS - 1)]);
    }
    @unroll for (var read = 0u; read < READS; read++) {
      let my_value#read = Vec(v[at + min(read * PER_READ + lane / KEYS, HEAD_VECS - 1)]);
    }
    // The zeros are written out: without them the variable keeps its values from one turn of the loop to the next.
    var score = array<f32, QUERIES * KEYS>();
    @unroll for (var read = 0u; read < READS; read++) {
      @unroll for (var e = 0u; e < PER_READ; e++) {
        if (read * PER_READ + e < HEAD_VECS) {
          @unroll for (var i = 0u; i < KEYS; i++) {
            let key = from_lane(my_key#read, e * KEYS + i);
            @unroll for (var n = 0u; n < QUERIES; n++) {
              score[n * KEYS + i] += inner(query_vec[min(read * PER_READ + e, HEAD_VECS - 1) * QUERIES + n], key);
            }
          }
        }
      }
    }
    @unroll for (var n = 0u; n < QUERIES; n++) {
      var tile_highest = highest[n];
      @unroll for (var i = 0u; i < KEYS; i++) {
        let is_out = first + i >= params.keys || (CAUSAL && first + i > first_query + n * SUBGROUP);
        score[n * KEYS + i] = select(score[n * KEYS + i], LOWEST, is_out);
        tile_highest = max(tile_highest, score[n * KEYS + i]);
      }
      let fade = exp(highest[n] - tile_highest);
      highest[n] = tile_highest;
      total[n] *= fade;
      @unroll for (var i = 0u; i < KEYS; i++) {
        score[n * KEYS + i] = exp(score[n * KEYS + i] - tile_highest);
        total[n] += score[n * KEYS + i];
      }
      @unroll for (var d = 0u; d < HEAD_VECS; d++) {
        sum[n * HEAD_VECS + d] *= fade;
      }
    }
    @unroll for (var read = 0u; read < READS; read++) {
      @unroll for (var e = 0u; e < PER_READ; e++) {
        if (read * PER_READ + e < HEAD_VECS) {
          @unroll for (var i = 0u; i < KEYS; i++) {
            let value = from_lane(my_value#read, e * KEYS + i);
            @unroll for (var n = 0u; n < QUERIES; n++) {
              sum[n * HEAD_VECS + min(read * PER_READ + e, HEAD_VECS - 1)] += score[n * KEYS + i] * value;
            }
          }
        }
      }
    }
  }
  @unroll for (var n = 0u; n < QUERIES; n++) {
    @unroll for (var d = 0u; d < HEAD_VECS; d++) {
      query_vec[d * QUERIES + n] = sum[n * HEAD_VECS + d] / total[n];
    }
  }
  for (var d = 0u; d < params.head_vecs; d++) {
    @unroll for (var n = 0u; n < QUERIES; n++) {
      let query = first_query + n * SUBGROUP;
      if (query < params.queries) {
        y[q_start + query * row + d] = to_y_vec(query_vec[d * QUERIES + n]);
      }
    }
  }
}
