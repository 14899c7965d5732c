// y = base + n / d * Σ p_i δ_i / W over the task vectors δ_i = ingredient_i - base that are kept at an element, in
// integers, rounded once (to nearest, ties to even) to the type of the result.
//
//   kept:  those that are not 0, not smaller than their threshold (TIES: Yadav et al. 2023, arXiv 2306.01708, "trim"),
//          and not dropped by chance (DARE: Yu et al. 2023, arXiv 2311.03099);
//   ELECT: then only those whose p_i δ_i has the sign of Σ p_i δ_i (TIES, "elect"), and W = Σ |p_i| over them, so that the
//          sum is their mean ("disjoint merge"). Where that sum is 0 no sign wins and the base stays. Else W = q.
//
//   x   staging memory. At word `table`, for each ingredient: first word of its numbers, format, p (i32), threshold (the
//       bits of an f32), key of its random numbers (2 words); then the same for the base
//   y   the type RESULT; two numbers in a word if it has 16 bits
//
// The sum is one of integers: all terms are brought to the exponent of the largest, 64 bits below which are kept. So it
// is exact for halves, and for others unless an element's numbers differ by a factor of 2^64 and cancel. It is the same on
// every adapter and in every order. Where nothing is kept the base stays as it is, -0 too; where anything is not finite: NaN.
//
// Uses stored-number.wgsl.
//
// One thread makes one word of y.

struct Params {
  elements: u32,
  table: u32,
  ingredients: u32,
  numerator: i32,
  denominator: u32,
  q: u32,
  drop: u32,
  first_low: u32,
  first_high: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;

// The result: bits of its mantissa with the hidden one, the exponents of its smallest step and largest number, infinity.
const MANTISSA = select(select(24, 8, RESULT == STORED_BF16), 11, RESULT == STORED_F16);
const STEP = select(select(-149, -133, RESULT == STORED_BF16), -24, RESULT == STORED_F16);
const LARGEST = select(127, 15, RESULT == STORED_F16);
const INFINITE = select(select(0x7f800000u, 0x7f80u, RESULT == STORED_BF16), 0x7c00u, RESULT == STORED_F16);
const SIGN = select(0x8000u, 0x80000000u, RESULT == STORED_F32);
const QUIET_NAN = INFINITE | (1u << u32(MANTISSA - 2));

// The sum, least significant word first, two's complement, in units of 2^(exponent - 214).
var<private> limbs: vec4u;
var<private> exponent: u32;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let word = id.y * groups.x * WORKGROUP + id.x;
  if (RESULT == STORED_F32) {
    if (word < params.elements) {
      y[word] = merged(word);
    }
  } else if (word * 2 < params.elements) {
    // The second one of an odd count's last word is nobody's.
    y[word] = merged(word * 2) | (merged(min(word * 2 + 1, params.elements - 1)) << 16);
  }
}

fn merged(element: u32) -> u32 {
  let base = number(params.ingredients, element);
  var kept = array<u32, 2>(0, 0);
  var finite = (base & INFINITE_F32) < INFINITE_F32;
  var total = 0; // Σ p_i
  exponent = 1;
  for (var i = 0u; i < params.ingredients; i++) {
    let bits = number(i, element);
    let distance = distance_bits(bits, base);
    finite &= (bits & INFINITE_F32) < INFINITE_F32;
    if (distance > 0 && distance >= entry(i, 3) && !is_dropped(i, element)) {
      kept[i / 32] |= 1u << (i % 32);
      total += weight(i);
      exponent = max(exponent, exponent_of(bits));
    }
  }
  if (!finite) {
    return QUIET_NAN;
  }
  var divisor = params.q;
  if (ELECT) {
    exponent = max(exponent, exponent_of(base));
    add_all(kept, 1, base, -total, element);
    let elected = i32(any(limbs > vec4u())) - 2 * i32(limbs.w >> 31);
    divisor = 0;
    total = 0;
    exponent = 1;
    for (var i = 0u; i < params.ingredients; i++) {
      let bits = number(i, element);
      let is_up = ordered(bits) > ordered(base);
      let vote = select(-1, 1, is_up == (weight(i) > 0));
      if (vote != elected) {
        kept[i / 32] &= ~(1u << (i % 32));
      } else if (is_kept(kept, i)) {
        divisor += params.denominator * u32(abs(weight(i)));
        total += weight(i);
        exponent = max(exponent, exponent_of(bits));
      }
    }
  }
  if ((kept[0] | kept[1]) == 0) {
    limbs = vec4u();
    exponent = exponent_of(base);
    add_term(base, 1);
    return rounded(1, base >> 31 == 1);
  }
  let base_part = i32(divisor) - params.numerator * total;
  exponent = max(exponent, select(1, exponent_of(base), base_part != 0));
  add_all(kept, params.numerator, base, base_part, element);
  return rounded(divisor, false);
}

fn entry(ingredient: u32, word: u32) -> u32 {
  return x[params.table + 6 * ingredient + word];
}

fn number(ingredient: u32, element: u32) -> u32 {
  return stored_bits(entry(ingredient, 0), entry(ingredient, 1), element);
}

fn weight(ingredient: u32) -> i32 {
  return bitcast<i32>(entry(ingredient, 2));
}

fn is_kept(kept: array<u32, 2>, i: u32) -> bool {
  return ((select(kept[0], kept[1], i >= 32) >> (i % 32)) & 1) == 1;
}

// Finite numbers as integers in the same order; -0 is 0.
fn ordered(bits: u32) -> i32 {
  let size = i32(bits & 0x7fffffff);
  return select(size, -size, bits >> 31 == 1);
}

// Chance, from a counter (Philox4x32-10: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): the
// draw depends on the key and on the element's place in its tensor alone.
fn is_dropped(ingredient: u32, element: u32) -> bool {
  if (params.drop == 0) {
    return false;
  }
  let low = params.first_low + element;
  let high = params.first_high + select(0u, 1u, low < element);
  var counter = vec4u((low >> 2) | (high << 30), high >> 2, 0, 0);
  var key = vec2u(entry(ingredient, 4), entry(ingredient, 5));
  for (var turn = 0u; turn < 10; turn++) {
    let a = product(0xd2511f53, counter.x);
    let b = product(0xcd9e8d57, counter.z);
    counter = vec4u(b.y ^ counter.y ^ key.x, b.x, a.y ^ counter.w ^ key.y, a.x);
    key += vec2u(0x9e3779b9, 0xbb67ae85);
  }
  return counter[low & 3] < params.drop;
}

// Low and high word of a * b.
fn product(a: u32, b: u32) -> vec2u {
  let lowest = (a & 0xffff) * (b & 0xffff);
  let middle = (a >> 16) * (b & 0xffff) + (lowest >> 16);
  let other = (a & 0xffff) * (b >> 16) + (middle & 0xffff);
  return vec2u((other << 16) | (lowest & 0xffff), (a >> 16) * (b >> 16) + (middle >> 16) + (other >> 16));
}

// limbs = Σ p_i * scale * ingredient_i over those kept, + base_part * base
fn add_all(kept: array<u32, 2>, scale: i32, base: u32, base_part: i32, element: u32) {
  limbs = vec4u();
  add_term(base, base_part);
  for (var i = 0u; i < params.ingredients; i++) {
    if (is_kept(kept, i)) {
      add_term(number(i, element), weight(i) * scale);
    }
  }
}

fn add_term(bits: u32, factor: i32) {
  let term = product(mantissa_of(bits), u32(abs(factor)));
  let gap = max(exponent, exponent_of(bits)) - exponent_of(bits);
  let shift = gap % 32;
  // The term in the upper half of four words, moved down: by bits, then by whole words.
  let high = term.y >> shift;
  let middle = (term.x >> shift) | ((term.y << 1) << (31 - shift));
  let low = (term.x << 1) << (31 - shift);
  var words = vec4u();
  switch (gap / 32) {
    case 0: { words = vec4u(0, low, middle, high); }
    case 1: { words = vec4u(low, middle, high, 0); }
    case 2: { words = vec4u(middle, high, 0, 0); }
    case 3: { words = vec4u(high, 0, 0, 0); }
    default: { words = vec4u(); }
  }
  let negative = (bits >> 31 == 1) != (factor < 0);
  limbs = sum_of(limbs, select(words, ~words, negative), select(0u, 1u, negative));
}

fn sum_of(a: vec4u, b: vec4u, carry: u32) -> vec4u {
  let x0 = with_carry(a.x, b.x, carry);
  let x1 = with_carry(a.y, b.y, x0.y);
  let x2 = with_carry(a.z, b.z, x1.y);
  let x3 = with_carry(a.w, b.w, x2.y);
  return vec4u(x0.x, x1.x, x2.x, x3.x);
}

fn with_carry(a: u32, b: u32, carry: u32) -> vec2u {
  let sum = a + b;
  let total = sum + carry;
  return vec2u(total, select(0u, 1u, sum < a || total < sum));
}

// limbs / divisor as a number of type RESULT. A zero's sign is given.
fn rounded(divisor: u32, zero_sign: bool) -> u32 {
  let negative = limbs.w >> 31 == 1;
  var size = limbs;
  if (negative) {
    size = sum_of(~limbs, vec4u(), 1);
  }
  if (all(size == vec4u())) {
    return select(0u, SIGN, zero_sign);
  }
  // The highest bit to the very left.
  var moved = 0u;
  for (var i = 0u; i < 3; i++) {
    if (size.w == 0) {
      size = vec4u(0, size.xyz);
      moved += 32;
    }
  }
  let zeros = countLeadingZeros(size.w);
  if (zeros > 0) {
    size = (size << vec4u(zeros)) | vec4u(0, size.xyz >> vec3u(32 - zeros));
    moved += zeros;
  }
  // Long division, a bit at a time: the first bits are fewer than the divisor has, then come 26 bits of quotient, the
  // first of which may be 0.
  let skipped = 31 - countLeadingZeros(divisor);
  var rest = select(0u, size.w >> ((32 - skipped) & 31), skipped > 0);
  var next = (size.w << skipped) | select(0u, size.z >> ((32 - skipped) & 31), skipped > 0);
  var quotient = 0u;
  for (var i = 0u; i < 26; i++) {
    rest = (rest << 1) | (next >> 31);
    next <<= 1;
    quotient <<= 1;
    if (rest >= divisor) {
      rest -= divisor;
      quotient |= 1;
    }
  }
  let more = (rest | next | (size.z << skipped) | size.y | size.x) > 0;
  // It counts in units of 2^unit; the result's step there is 2^step.
  let unit = i32(exponent) - i32(moved + skipped) - 112;
  let top = unit + i32(firstLeadingBit(quotient));
  let step = max(top - MANTISSA + 1, STEP);
  let drop = u32(min(step - unit, 30));
  let whole = quotient >> drop;
  let left = quotient & ((1u << drop) - 1);
  let tie = 1u << (drop - 1);
  let up = select(0u, 1u, left > tie || (left == tie && (more || (whole & 1) == 1)));
  let bits = (u32(step - STEP) << u32(MANTISSA - 1)) + whole + up;
  let result = select(min(bits, INFINITE), INFINITE, top > LARGEST);
  return result | select(0u, SIGN, negative);
}
