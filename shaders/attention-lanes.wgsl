// y = softmax(q · kᵀ * scale) · v per head, as attention.wgsl, on graphics cards.
//
//   q, y   (images, queries, channels)
//   k, v   (images, keys, channels)      channels = heads * HEAD_VECS * WIDTH
//
// LANES lanes side by side have QUERIES queries of a head together, each of them every LANES-th vector of the head, SLOTS of them:
// that fits their registers, and scores are added up across lanes. TILE keys and their values are staged in workgroup memory, as f32,
// while the next ones are on their way into registers (FETCHES vectors of either by each thread), and KEYS of them are looked at
// together. Scores, maximum and sums are f32. With CAUSAL a query sees the keys up to its own position. q, k and v are bound as
// read_write for the reason that product-tile.wgsl gives.

struct Params {
  queries: u32,
  keys: u32,
  heads: u32,
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> q: array<QVec>;
@group(0) @binding(2) var<storage, read_write> k: array<KVec>;
@group(0) @binding(3) var<storage, read_write> v: array<VVec>;
@group(0) @binding(4) var<storage, read_write> y: array<YVec>;

const LOWEST = -3.4e38;
const LOG2_E = 1.4426950408889634;

var<workgroup> staged_keys: array<Vec, TILE * HEAD_VECS>;
var<workgroup> staged_values: array<Vec, TILE * HEAD_VECS>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let part = thread % LANES;
  let first_query = (group.x * WORKGROUP + thread) / LANES * QUERIES;
  let row = params.heads * HEAD_VECS;
  let q_start = group.z * params.queries * row + group.y * HEAD_VECS;
  let k_start = group.z * params.keys * row + group.y * HEAD_VECS;

  // Vectors past the head's end are read again: with queries of zero, and not stored.
  @unroll for (var j = 0u; j < SLOTS; j++) {
    let vec_at#j = min(j * LANES + part, HEAD_VECS - 1);
    let is_in#j = j * LANES + part < HEAD_VECS;
  }
  // Shares are powers of two.
  @unroll for (var n = 0u; n < QUERIES; n++) {
    var highest#n = LOWEST;
    var total#n = 0.0;
    let q_at#n = q_start + min(first_query + n, params.queries - 1) * row;
    @unroll for (var j = 0u; j < SLOTS; j++) {
      let query#n#j = select(Vec(0), Vec(q[q_at#n + vec_at#j]) * (params.scale * LOG2_E), is_in#j);
      var sum#n#j = Vec(0);
    }
  }
  @unroll for (var i = 0u; i < FETCHES; i++) {
    let place#i = thread + i * WORKGROUP;
    let fetched_key#i = place#i / HEAD_VECS;
    let fetched_vec#i = k_start + place#i % HEAD_VECS;
    var key_next#i = k[fetched_vec#i + min(fetched_key#i, params.keys - 1) * row];
    var value_next#i = v[fetched_vec#i + min(fetched_key#i, params.keys - 1) * row];
  }

  for (var first = 0u; first < params.keys; first += TILE) {
    @unroll for (var i = 0u; i < FETCHES; i++) {
      if (place#i < TILE * HEAD_VECS) {
        staged_keys[place#i] = Vec(key_next#i);
        staged_values[place#i] = Vec(value_next#i);
      }
    }
    workgroupBarrier();
    // Keys past the end are the last one, and weigh nothing.
    @unroll for (var i = 0u; i < FETCHES; i++) {
      {
        let at = fetched_vec#i + min(first + TILE + fetched_key#i, params.keys - 1) * row;
        key_next#i = k[at];
        value_next#i = v[at];
      }
    }
    for (var some = 0u; some < TILE; some += KEYS) {
      @unroll for (var c = 0u; c < KEYS; c++) {
        @unroll for (var n = 0u; n < QUERIES; n++) {
          var score#n#c = 0.0;
        }
        @unroll for (var j = 0u; j < SLOTS; j++) {
          let key#c#j = staged_keys[(some + c) * HEAD_VECS + vec_at#j];
          @unroll for (var n = 0u; n < QUERIES; n++) {
            score#n#c = add_inner(score#n#c, query#n#j, key#c#j);
          }
        }
      }
      @unroll for (var n = 0u; n < QUERIES; n++) {
        let before#n = highest#n;
        @unroll for (var c = 0u; c < KEYS; c++) {
          let is_out#n#c = first + some + c >= params.keys || (CAUSAL && first + some + c > first_query + n);
          score#n#c = select(over_lanes(score#n#c), LOWEST, is_out#n#c);
          highest#n = max(highest#n, score#n#c);
        }
        let fade#n = exp2(before#n - highest#n);
        total#n *= fade#n;
        @unroll for (var j = 0u; j < SLOTS; j++) {
          sum#n#j *= fade#n;
        }
        @unroll for (var c = 0u; c < KEYS; c++) {
          score#n#c = exp2(score#n#c - highest#n);
          total#n += score#n#c;
        }
      }
      @unroll for (var c = 0u; c < KEYS; c++) {
        @unroll for (var j = 0u; j < SLOTS; j++) {
          let value#c#j = staged_values[(some + c) * HEAD_VECS + vec_at#j];
          @unroll for (var n = 0u; n < QUERIES; n++) {
            sum#n#j = fma(Vec(score#n#c), value#c#j, sum#n#j);
          }
        }
      }
    }
    workgroupBarrier();
  }

  @unroll for (var n = 0u; n < QUERIES; n++) {
    @unroll for (var j = 0u; j < SLOTS; j++) {
      if (first_query + n < params.queries && is_in#j) {
        y[q_at#n + vec_at#j] = to_y_vec(sum#n#j / total#n);
      }
    }
  }
}

// The sum of what LANES neighbours have; all get the same.
fn over_lanes(part: f32) -> f32 {
  var sum = part;
  for (var mask = 1u; mask < LANES; mask *= 2) {
    sum += from_neighbour(sum, mask);
  }
  return sum;
}
