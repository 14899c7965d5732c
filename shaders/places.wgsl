// Where the averages of residents come from and go to: a part of average-bounded.wgsl, and of average-tiles.wgsl and
// average-fours.wgsl. Many of them are made in one dispatch: each workgroup looks up which tile of which place is its own.
//
//   table  of each place, from its entry on:
//            how many ingredients (none: it stays as it is), q, a little more than 2^-10 / q (f32), where sums begin (i32)
//            rows, channels, taps, all_rows
//            first row (or element) of all_rows, where y begins, workgroups of a vector of channels, 0
//            of each ingredient: where its numbers begin, 2p, 2p * 2^12 (i32), 0. AT_ONCE of them are read at once, and the
//            last ones repeat the first, times 0.
//   runs   of each workgroup, from `first_run` on: its place's entry, its tile

const TERMS = 3u; // before these, in an entry

struct Params {
  first_run: u32,
  runs: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(2) var<storage, read> table: array<vec4u>;
@group(0) @binding(3) var<storage, read> runs: array<vec2u>;

// The entry and the tile of a workgroup. Those beyond the last repeat that one.
fn run_of(group: vec3u, groups: vec3u) -> vec2u {
  return runs[params.first_run + min(group.y * groups.x + group.x, params.runs - 1)];
}
