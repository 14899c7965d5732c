// y = x + up · down, rounded once (to nearest, ties to even) to the type of x: low-rank changes, baked into a weight.
//
//   x      elements `first` .. of a matrix (rows, columns), as the file has them: FORMAT says how
//   up     (rows, rank) f32, scaled; from row `first_row` on
//   down   (rank, columns) f32; several LoRAs lie one after the other along the rank
//   y      as x
//
// Sums are f32. What is no finite number in x stays what it is. One thread makes one 32-bit word of y: two numbers of
// 16 bits, or one f32. Rounding is done in integers, since hardware may flush subnormal halves to zero.
// Uses stored-number.wgsl.
//
// (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models", arXiv 2106.09685.)

struct Params {
  words: u32,
  elements: u32,
  first: u32,
  first_row: u32,
  columns: u32,
  rank: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read> up: array<f32>;
@group(0) @binding(3) var<storage, read> down: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let word = id.y * groups.x * 64 + id.x;
  if (word >= params.words) {
    return;
  }
  let bits = x[word];
  if (FORMAT == STORED_F32) {
    y[word] = changed(bits, word);
  } else {
    y[word] = changed(bits & 0xffff, word * 2) | (changed(bits >> 16, word * 2 + 1) << 16);
  }
}

fn changed(bits: u32, i: u32) -> u32 {
  let special = select(select(0x7f800000u, 0x7f80u, FORMAT == STORED_BF16), 0x7c00u, FORMAT == STORED_F16);
  if (i >= params.elements || (bits & special) == special) {
    return bits;
  }
  let element = params.first + i;
  let row = element / params.columns - params.first_row;
  let column = element % params.columns;
  var sum = 0.0;
  for (var r = 0u; r < params.rank; r++) {
    sum += up[row * params.rank + r] * down[r * params.columns + column];
  }
  return rounded(bitcast<f32>(stored_bits(0, FORMAT, i)) + sum);
}

fn rounded(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if (FORMAT == STORED_F32) {
    return bits;
  }
  if (FORMAT == STORED_BF16) {
    return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  }
  let sign = (bits >> 16) & 0x8000;
  let size = bits & 0x7fffffff;
  if (size >= 0x477ff000) {
    return sign | 0x7c00; // 65520 and more round to infinity
  }
  if (size >= 0x38800000) {
    return sign | ((size - 0x38000000 + 0xfff + ((size >> 13) & 1)) >> 13);
  }
  // A subnormal half: a whole number of 2^-24.
  let shift = 126 - (size >> 23);
  if (shift > 24) {
    return sign;
  }
  let mantissa = (size & 0x7fffff) | 0x800000;
  let whole = mantissa >> shift;
  let rest = mantissa & ((1u << shift) - 1);
  let tie = 1u << (shift - 1);
  return sign | (whole + select(0u, 1u, rest > tie || (rest == tie && (whole & 1) == 1)));
}
