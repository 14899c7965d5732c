// y = Σ share_i * ingredient_i, rounded once to the checkpoint's own storage type, and laid out as the kernels
// read it. A single checkpoint is the soup of one, so every weight comes to the GPU through here.
//
//   x   staging memory. At word `table`, for each ingredient: first word of its bytes, format, share (f32 bits).
//       The bytes are a tensor (rows, channels, taps) as the file has it, `rows` being the rows in this batch.
//   y   PACKED: pairs of f16 (or bf16, if that is the storage type), else f32.
//       width > 0: (taps * channels / width, all_rows, width), as matmul.wgsl and conv2d.wgsl read weights
//       width = 0: the file's order, from element `first` on
//
// Rounding is to nearest, ties to even, done in integers, since hardware may flush subnormal halves to zero.
// One thread makes one 32-bit word of y.

struct Params {
  words: u32,
  table: u32,
  ingredients: u32,
  storage: u32,
  rows: u32,
  channels: u32,
  taps: u32,
  width: u32,
  first: u32,
  all_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

const F16 = 1u;
const BF16 = 2u;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let word = id.y * groups.x * 64 + id.x;
  if (word >= params.words) {
    return;
  }
  if (PACKED) {
    let low = place(word * 2);
    let high = place(word * 2 + 1);
    y[low.y / 2] = half_bits(average(low.x)) | (half_bits(average(high.x)) << 16);
  } else {
    let at = place(word);
    y[at.y] = bitcast<u32>(rounded(average(at.x)));
  }
}

// Of the i-th element of this batch in the order of y: where it is in the file's rows, and where it goes in y.
fn place(i: u32) -> vec2u {
  if (params.width == 0) {
    return vec2u(i, params.first + i);
  }
  let lane = i % params.width;
  let row = i / params.width % params.rows;
  let vector = i / params.width / params.rows;
  let inner = vector * params.width + lane;
  let tap = inner / params.channels;
  let channel = inner % params.channels;
  return vec2u(
    (row * params.channels + channel) * params.taps + tap,
    (vector * params.all_rows + params.first + row) * params.width + lane,
  );
}

fn average(element: u32) -> f32 {
  if (element >= params.rows * params.channels * params.taps) {
    return 0.0; // the second half of the last word of an odd count
  }
  var sum = ingredient(0, element);
  for (var i = 1u; i < params.ingredients; i++) {
    sum += ingredient(i, element);
  }
  return sum;
}

fn ingredient(i: u32, element: u32) -> f32 {
  let entry = params.table + 3 * i;
  let start = x[entry];
  let format = x[entry + 1];
  let share = bitcast<f32>(x[entry + 2]);
  if (format == F16) {
    return share * f16_value((x[start + element / 2] >> (element % 2 * 16)) & 0xffff);
  }
  if (format == BF16) {
    return share * bitcast<f32>((x[start + element / 2] >> (element % 2 * 16)) << 16);
  }
  return share * bitcast<f32>(x[start + element]);
}

fn half_bits(value: f32) -> u32 {
  return select(f16_bits(value), bf16_bits(value), params.storage == BF16);
}

fn rounded(value: f32) -> f32 {
  if (params.storage == F16) {
    return f16_value(f16_bits(value));
  }
  if (params.storage == BF16) {
    return bitcast<f32>(bf16_bits(value) << 16);
  }
  return value;
}

fn bf16_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  if ((bits & 0x7fffffff) > 0x7f800000) {
    return (bits >> 16) | 0x40; // not a number
  }
  return (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
}

fn f16_value(bits: u32) -> f32 {
  let sign = (bits & 0x8000) << 16;
  let exponent = (bits >> 10) & 31;
  let mantissa = bits & 0x3ff;
  if (exponent == 0) {
    return bitcast<f32>(sign | bitcast<u32>(f32(mantissa) * 5.960464477539063e-8)); // 2^-24, exact
  }
  return bitcast<f32>(sign | (select(exponent + 112, 255, exponent == 31) << 23) | (mantissa << 13));
}

fn f16_bits(value: f32) -> u32 {
  let bits = bitcast<u32>(value);
  let sign = (bits >> 16) & 0x8000;
  let size = bits & 0x7fffffff;
  if (size > 0x7f800000) {
    return sign | 0x7e00; // not a number
  }
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
