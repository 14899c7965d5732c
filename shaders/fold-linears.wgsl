// y = v · w: the weights of the one linear layer that two are, w's first and then v's, on the matrix units.
//
//   w   (inner / 32, middle, 32)     the first: middle outputs by inner inputs
//   v   (middle / 32, rows, 32)      the second: rows by middle
//   y   (inner / 32, rows, 32)
//
// All in halves, eight to an element; sums are f32. Each subgroup has 32 x 32 of y, straight from what lies in memory: weights change
// seldom, and are folded once. Middle and rows are multiples of 32.

alias Left = subgroup_matrix_left<f16, 16, 16>;
alias Right = subgroup_matrix_right<f16, 16, 16>;
alias Sums = subgroup_matrix_result<f32, 16, 16>;

struct Params {
  rows: u32,
  middle: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<vec4u>;
@group(0) @binding(2) var<storage, read> v: array<vec4u>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4u>;

const SUBGROUPS = 4u;
// Of a row of 32 halves, and of as many sums, in elements of 16 bytes.
const HALVES = 4u;
const SUMS = 8u;

var<workgroup> strips: array<vec4u, SUBGROUPS * 16 * SUMS>;

@compute @workgroup_size(SUBGROUPS * 32)
fn main(
  @builtin(workgroup_id) group: vec3u,
  @builtin(local_invocation_index) thread: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  // Beyond the last rows, those again.
  let first_row = min((group.x * SUBGROUPS + subgroup) * 32, params.rows - 32);
  let block = group.y;
  @unroll for (var i = 0u; i < 2; i++) {
    @unroll for (var j = 0u; j < 2; j++) {
      var sum#i#j: Sums;
    }
  }
  for (var k = 0u; k < params.middle; k += 16) {
    @unroll for (var j = 0u; j < 2; j++) {
      let right#j = subgroupMatrixLoad<Right, row_major>(&w, (block * params.middle + k) * HALVES + j * 2, HALVES);
    }
    @unroll for (var i = 0u; i < 2; i++) {
      let row#i = k / 32 * params.rows + first_row + i * 16;
      let left#i = subgroupMatrixLoad<Left, row_major>(&v, row#i * HALVES + k % 32 / 8, HALVES);
      @unroll for (var j = 0u; j < 2; j++) {
        sum#i#j = subgroupMatrixMultiplyAccumulate(left#i, right#j, sum#i#j);
      }
    }
  }
  let at = subgroup * 16 * SUMS;
  @unroll for (var i = 0u; i < 2; i++) {
    @unroll for (var j = 0u; j < 2; j++) {
      subgroupMatrixStore<row_major>(&strips, at + j * 4, sum#i#j, SUMS);
    }
    workgroupBarrier();
    for (var eight = lane; eight < 16 * HALVES; eight += 32) {
      let low = bitcast<vec4f>(strips[at + eight * 2]);
      let high = bitcast<vec4f>(strips[at + eight * 2 + 1]);
      y[(block * params.rows + first_row + i * 16) * HALVES + eight] = eight_halves(low, high);
    }
    workgroupBarrier();
  }
}
