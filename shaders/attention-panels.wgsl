// What attention-tensor.wgsl and attention-tensor-long.wgsl have in common: what is bound, where keys and values lie, how a
// workgroup begins and ends. A workgroup has SUBGROUPS subgroups of 32 lanes; each has 16 queries of one head, and two lanes have
// a query's row of scores between them. HEAD is divisible by 8; up to 16 * BLOCKS there are zeros.
//
// k and v are bound as read_write for the reason that tensor-tile.wgsl gives, and q since all three may be parts of one buffer.

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
// Lanes that have a query's row between them.
const SHARERS = 2;
const LOWEST = -1e30;
// 2 to this is what the largest share can be; the largest half is twice that.
const LAG = 15.0;
const LOG2_E = 1.4426950408889634;
// In elements of 16 bytes, to which matrices have to be aligned: eight halves, or four f32. One more than a row has keeps
// rows off each other's banks. A panel is the rows of as many keys or values as are looked at together.
const PITCH = (PADDED + 8) / 8;
const PANEL = KEYS * PITCH;
const SCORE_PITCH = (KEYS + 4) / 4;
const SUM_PITCH = 5;

// Whether a score is too far above those that its row's shares are relative to.
var<workgroup> has_grown: atomic<u32>;

// Queries come through the memory at first.
@block read_queries {
  for (var i = thread; i < QUERIES * CHUNKS; i += THREADS) {
    let query = first_query + i / CHUNKS;
    let chunk = i % CHUNKS;
    let is_there = query < params.queries && chunk < HEAD_CHUNKS;
    let eight = q[select(0, (q_start + query) * row_chunks + head_at + chunk, is_there)];
    memory[i / CHUNKS * PITCH + chunk] = select(vec4u(0), eight, is_there);
  }
  workgroupBarrier();
}

// All is done once more, relative to the highest of all, where a score was too high for its share to be a half.
@block end_or_again {
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

// Sums go through the memory at last.
@block store_results {
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
