// Weights of the four convolutions by 2 x 2 that one by 3 x 3 is for an input that is first scaled by two (phases.wgsl): taps that meet
// the same input pixel are added up.
//
//   w   (blocks, 3, 3, size, 4)
//   y   (phases, blocks, 2, 2, size, 4), phases in the order even and even, even and odd, odd and even, odd and odd rows and
//       columns of the output
//
// Blocks are those of 32 channels for tiles, whose taps lie together; elsewhere there is one of all.
//
// Of an even row, the first tap sees the input pixel above, the other two the pixel itself; of an odd row the first two see the
// pixel itself, the last one that below. Sums are f32. One thread per vector of four channels, for all taps and phases.

struct Params {
  size: u32,
  blocks: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> w: array<WeightVec>;
@group(0) @binding(2) var<storage, read_write> y: array<YVec>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(global_invocation_id) id: vec3u) {
  if (id.x >= params.size) {
    return;
  }
  for (var i = 0u; i < 16; i++) {
    let phase = vec2u(i / 8, i / 4 % 2);
    let tap = vec2u(i / 2 % 2, i % 2);
    let first = tap * (1 + phase);
    let end = first + 1 + (phase ^ tap);
    var sum = Vec(0);
    for (var row = first.x; row < end.x; row++) {
      for (var column = first.y; column < end.y; column++) {
        sum += weight_vec(w[(group.y * 9 + row * 3 + column) * params.size + id.x]);
      }
    }
    y[((i / 4 * params.blocks + group.y) * 4 + i % 4) * params.size + id.x] = to_y_vec(sum);
  }
}
