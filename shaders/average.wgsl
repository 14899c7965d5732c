// y = Σ p_i * ingredient_i / q, in integers, rounded once (to nearest, ties to even) to the type of the result, and
// laid out as the kernels read it. A single checkpoint is the soup of one, so every weight comes through here.
//
// Every finite number of a file is an integer times a power of two, so the sum is exact: the same on every adapter and
// in every order. HALVES: ingredients and result are f16, integers times 2^-24; most sums are below 2^30, and those that
// do not are made again in two limbs. Else numbers are integers times 2^-149 in ten limbs, as in a superaccumulator
// (Kulisch & Miranker, "The arithmetic of the digital computer", SIAM Review 28, 1986).
//
//   x        staging memory. At word `table`, for each ingredient: first word of its bytes, format, p (i32).
//            The bytes are a tensor (rows, channels, taps) as the file has it, `rows` being the rows in this batch.
//   trouble  the first piece with an infinity or a NaN, and the first whose result is too large for its type
//   y        as weight-layout.wgsl says. SUMS: the sum itself, Σ p_i * ingredient_i / 2^-24, in SUMS words.
//
// Uses exact-sum.wgsl
// Uses half-sum.wgsl
// Uses pairs.wgsl
// Uses weight-layout.wgsl
//
// One thread makes one word of y, or one sum. What is not finite: infinity, or NaN where signs differ or a NaN is among
// the terms. Zero is +0, but in a soup of one (`keep_zero_sign`), which is a copy: a sum from which an ingredient is taken
// away again could not know the signs of zeros.

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
  scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> trouble: array<atomic<u32>, 2>;
@group(0) @binding(3) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let piece =
    Piece(params.threads, params.rows, params.channels, params.taps, params.first, params.all_rows, 0);
  if (LAYOUT > 0) {
    store_in_layout(piece, id.x, id.y);
    return;
  }
  let thread = id.y * groups.x * 64 + id.x;
  if (SUMS == 0) {
    store_in_order(piece, thread);
  } else if (thread < params.threads) {
    store_sum(thread);
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
      let p = bitcast<i32>(x[entry + 2]);
      let pair = pair_at(x[entry], low, high);
      reach = max(reach, exponents_of(pair));
      signs = pair ^ select(0u, 0x80008000u, p < 0);
      sums = with_pair(sums, pair, vec2i(2 * p));
    }
    // The largest exponent tells whether a sum has overflowed.
    if (i32(max(reach.x, reach.y)) <= params.largest_exponent) {
      let zeros = vec2u(0x8000, 0x80000000) & select(vec2u(0), vec2u(signs), sums == vec2i(0));
      return rounded_pair(sums, params.q, params.scale) | select(0u, zeros.x | zeros.y, params.keep_zero_sign > 0);
    }
  }
  return average(low) | (average(select(low, high, has_high)) << 16);
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

// The exponent fields of two halves.
fn exponents_of(pair: u32) -> vec2u {
  return vec2u(pair >> 10, pair >> 26) & vec2u(31);
}

// The f32 that a result's bits stand for: loading keeps what merging would have written.
fn widened(bits: u32) -> u32 {
  if (RESULT == F32) {
    return bits;
  }
  if (RESULT == BF16) {
    return bits << 16;
  }
  return widened_half(bits);
}
