// y = Σ p_i * ingredient_i / q, in integers, rounded once (to nearest, ties to even) to the type of the result, and
// laid out as the kernels read it. A single checkpoint is the soup of one, so every weight comes through here.
//
// Every finite number of a file is an integer times a power of two, so the sum is exact: the same on every adapter and
// in every order. HALVES: ingredients and result are f16, integers times 2^-24; most sums fit an i32, and those that
// do not are made again in two limbs. Else numbers are integers times 2^-149 in ten limbs, as in a superaccumulator
// (Kulisch & Miranker, "The arithmetic of the digital computer", SIAM Review 28, 1986).
//
//   x        staging memory. At word `table`, for each ingredient: first word of its bytes, format, p (i32).
//            The bytes are a tensor (rows, channels, taps) as the file has it, `rows` being the rows in this batch.
//   trouble  the first piece with an infinity or a NaN, and the first whose result is too large for its type
//   y        PACKED: two 16-bit numbers in a word. SUMS: the sum itself, Σ p_i * ingredient_i / 2^-24, in SUMS words.
//            Else an f32 each.
//            LAYOUT > 0: (taps * channels / LAYOUT, all_rows, LAYOUT), as matmul.wgsl and conv2d.wgsl read weights
//            LAYOUT = 0: the file's order, from element `first` on
//
// Uses exact-sum.wgsl.
//
// One thread makes one word of y, or one sum; with a LAYOUT, y of the grid is the vector of channels, so that no thread has
// to divide for its place. What is not finite: infinity, or NaN where
// signs differ or a NaN is among the terms. Zero is +0, but in a soup of one (`keep_zero_sign`), which is a copy: a sum
// from which an ingredient is taken away again could not know the signs of zeros.

struct Params {
  threads: u32,
  table: u32,
  ingredients: u32,
  q: u32,
  piece: u32,
  largest_exponent: i32,
  rows: u32,
  channels: u32,
  taps: u32,
  first: u32,
  all_rows: u32,
  keep_zero_sign: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> trouble: array<atomic<u32>, 2>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (LAYOUT > 0) {
    if (id.x < params.threads) {
      store_in_layout(id.x, id.y);
    }
    return;
  }
  let thread = id.y * groups.x * 64 + id.x;
  if (thread >= params.threads) {
    return;
  }
  if (SUMS > 0) {
    store_sum(thread);
  } else if (PACKED) {
    y[params.first / 2 + thread] = average_pair(thread * 2, thread * 2 + 1);
  } else {
    y[params.first + thread] = average_word(thread);
  }
}

// The word `thread` of a vector: all rows of LAYOUT channels at one tap.
fn store_in_layout(thread: u32, vector: u32) {
  let width = max(LAYOUT, 1); // where it is 0 nobody comes here, but the compiler does
  let i = select(thread, thread * 2, PACKED);
  let row = i / width;
  let tap = vector * width / params.channels;
  let channel = vector * width - tap * params.channels + i % width;
  let file_at = (row * params.channels + channel) * params.taps + tap;
  let at = (vector * params.all_rows + params.first) * width + i;
  if (PACKED) {
    y[at / 2] = average_pair(file_at, file_at + params.taps);
  } else {
    y[at] = average_word(file_at);
  }
}

fn average_word(element: u32) -> u32 {
  if (HALVES) {
    return widened(average_pair(element, element) & 0xffff);
  }
  return widened(average(element));
}

// Two averages in a word. The second one of an odd count's last word is whatever lies there, and nobody's.
fn average_pair(low: u32, high: u32) -> u32 {
  let has_high = high < params.rows * params.channels * params.taps;
  if (HALVES) {
    var sums = vec2i(0);
    var reach = vec2u(0);
    var signs = 0u;
    for (var i = 0u; i < params.ingredients; i++) {
      let entry = params.table + 3 * i;
      let start = x[entry];
      let p = bitcast<i32>(x[entry + 2]);
      var pair = x[start + low / 2];
      if (low % 2 == 1 || high != low + 1) {
        pair = ((pair >> (low % 2 * 16)) & 0xffff) | ((x[start + high / 2] >> (high % 2 * 16)) << 16);
      }
      let bits = vec2u(pair & 0xffff, pair >> 16);
      let exponent = (bits >> vec2u(10)) & vec2u(31);
      reach = max(reach, exponent);
      signs = pair ^ select(0u, 0x80008000u, p < 0);
      let mantissa = (bits & vec2u(0x3ff)) | select(vec2u(0), vec2u(0x400), exponent > vec2u(0));
      let steps = vec2i(mantissa << (max(exponent, vec2u(1)) - 1)) * p;
      sums += select(steps, -steps, (bits & vec2u(0x8000)) > vec2u(0));
    }
    let zeros = vec2u(signs, signs >> 16) & vec2u(select(0u, 0x8000u, params.keep_zero_sign > 0));
    let first = half_of(sums.x, reach.x, zeros.x, low);
    return first | (half_of(sums.y, reach.y, zeros.y, select(low, high, has_high)) << 16);
  }
  return average(low) | (average(select(low, high, has_high)) << 16);
}

// sum / q as a half; `reach` is the largest exponent, which tells whether the sum has overflowed.
fn half_of(sum: i32, reach: u32, zero: u32, element: u32) -> u32 {
  if (i32(reach) > params.largest_exponent) {
    return average(element);
  }
  if (sum == 0) {
    return zero;
  }
  let size = u32(abs(sum));
  let quotient = size / params.q;
  let remainder = size - quotient * params.q;
  let shift = u32(max(i32(firstLeadingBit(quotient)) - 10, 0));
  let kept = quotient >> shift;
  // Doubled, so that a half is a whole number also where nothing is shifted out.
  let rest = 2 * (quotient & ((1u << shift) - 1)) + select(0u, 1u, remainder > 0);
  let tie = 1u << shift;
  let exact_half = select(rest == tie, 2 * remainder == params.q, shift == 0);
  let above_half = select(rest > tie, 2 * remainder > params.q, shift == 0);
  let up = select(0u, 1u, above_half || (exact_half && (kept & 1) == 1));
  let bits = (shift << 10) + kept + up;
  if (bits >= INFINITE) {
    atomicMin(&trouble[1], params.piece);
  }
  return min(bits, INFINITE) | select(0u, 0x8000u, sum < 0);
}

fn store_sum(element: u32) {
  accumulate(element);
  if (classes > 0) {
    atomicMin(&trouble[0], params.piece);
  }
  y[(params.first + element) * SUMS] = limbs[0];
  if (SUMS == 2) {
    y[(params.first + element) * SUMS + 1] = limbs[1];
  } else if (limbs[1] != select(0u, 0xffffffffu, limbs[0] >> 31 == 1)) {
    atomicMin(&trouble[1], params.piece);
  }
}

// The f32 that a result's bits stand for: loading keeps what merging would have written.
fn widened(bits: u32) -> u32 {
  if (RESULT == F32) {
    return bits;
  }
  if (RESULT == BF16) {
    return bits << 16;
  }
  let sign = (bits & 0x8000) << 16;
  let exponent = (bits >> 10) & 31;
  let mantissa = bits & 0x3ff;
  if (exponent == 0) {
    return sign | bitcast<u32>(f32(mantissa) * 5.960464477539063e-8); // 2^-24, exact
  }
  return sign | (select(exponent + 112, 255, exponent == 31) << 23) | (mantissa << 13);
}
