// The exact sum of one element over all ingredients, divided by q and rounded once: a part of average.wgsl, whose
// bindings it reads. The sum is an integer of LIMBS words in units of 2^(UNIT - 149); a product of a mantissa with p is
// added where its exponent says, with carries; nothing is ever rounded before the end.

// Formats of x and of the result. SUM_32 and SUM_64 are what SUMS of 1 and of 2 words have written.
const F32 = 0u;
const F16 = 1u;
const BF16 = 2u;
const SUM_32 = 3u;
const SUM_64 = 4u;

// The result: bits of its mantissa with the hidden one, where its smallest step lies, its infinity.
const MANTISSA = select(select(24u, 8u, RESULT == BF16), 11u, RESULT == F16);
const STEP = select(select(0u, 16u, RESULT == BF16), 125u, RESULT == F16) - UNIT;
const INFINITE = select(select(0x7f800000u, 0x7f80u, RESULT == BF16), 0x7c00u, RESULT == F16);
const SIGN = select(0x8000u, 0x80000000u, RESULT == F32);
const QUIET_NAN = INFINITE | (1u << (MANTISSA - 2));

// Sums count in units of 2^(UNIT - 149).
const UNIT = select(0u, 125u, HALVES);
const LIMBS = select(10u, 2u, HALVES);

const PLUS_INFINITY = 1u;
const MINUS_INFINITY = 2u;
const NOT_A_NUMBER = 4u;

// The limbs of a sum, least significant first; two's complement.
var<private> limbs: array<u32, LIMBS>;
// What was not finite, and whether the last term was negative.
var<private> classes: u32;
var<private> last_negative: bool;

fn accumulate(element: u32) {
  for (var i = 0u; i < LIMBS; i++) {
    limbs[i] = 0;
  }
  classes = 0;
  last_negative = false;
  for (var i = 0u; i < params.ingredients; i++) {
    let entry = params.table + 3 * i;
    add_element(x[entry], x[entry + 1], bitcast<i32>(x[entry + 2]), element);
  }
}

fn add_element(start: u32, format: u32, p: i32, element: u32) {
  if (HALVES && format >= SUM_32) {
    add_sum(start, format, p, element);
    return;
  }
  var bits: u32;
  var mantissa: u32;
  var exponent: u32;
  var special: bool;
  if (format == F16) {
    bits = (x[start + element / 2] >> (element % 2 * 16)) << 16;
    exponent = (bits >> 26) & 31;
    special = exponent == 31;
    mantissa = ((bits >> 16) & 0x3ff) | select(0u, 0x400u, exponent > 0);
    exponent = max(exponent, 1) - 1 + 125;
  } else {
    bits = x[start + select(element, element / 2, format == BF16)];
    if (format == BF16) {
      bits = (bits >> (element % 2 * 16)) << 16;
    }
    exponent = (bits >> 23) & 255;
    special = exponent == 255;
    mantissa = (bits & 0x7fffff) | select(0u, 0x800000u, exponent > 0);
    exponent = max(exponent, 1) - 1;
  }
  let negative = (bits >> 31 == 1) != (p < 0);
  last_negative = negative;
  if (special) {
    let fraction = mantissa & select(0x7fffffu, 0x3ffu, format == F16);
    classes |= select(select(PLUS_INFINITY, MINUS_INFINITY, negative), NOT_A_NUMBER, fraction > 0);
  } else {
    add_term(mantissa, u32(abs(p)), exponent - UNIT, negative);
  }
}

// A running sum as an ingredient, 24 bits at a time.
fn add_sum(start: u32, format: u32, p: i32, element: u32) {
  var low = x[start + select(element, 2 * element, format == SUM_64)];
  var high = select(0u, 0xffffffffu, low >> 31 == 1);
  if (format == SUM_64) {
    high = x[start + 2 * element + 1];
  }
  let negative = high >> 31 == 1;
  if (negative) {
    low = ~low + 1;
    high = ~high + select(0u, 1u, low == 0);
  }
  let flipped = negative != (p < 0);
  add_term(low & 0xffffff, u32(abs(p)), 0, flipped);
  add_term((low >> 24) | ((high & 0xffff) << 8), u32(abs(p)), 24, flipped);
  add_term(high >> 16, u32(abs(p)), 48, flipped);
}

// limbs += ± mantissa * p * 2^shift, with mantissa < 2^24 and p <= 2^20.
fn add_term(mantissa: u32, p: u32, shift: u32, negative: bool) {
  let middle = (mantissa >> 16) * (p & 0xffff) + (mantissa & 0xffff) * (p >> 16);
  let lowest = (mantissa & 0xffff) * (p & 0xffff);
  let low = lowest + (middle << 16);
  let high = (mantissa >> 16) * (p >> 16) + (middle >> 16) + select(0u, 1u, low < lowest);
  let bit = shift % 32;
  let spill = 32 - bit;
  let words = vec3u(
    low << bit,
    (high << bit) | select(low >> (spill & 31), 0, bit == 0),
    select(high >> (spill & 31), 0, bit == 0),
  );
  var carry = select(0u, 1u, negative);
  for (var i = shift / 32; i < LIMBS; i++) {
    let at = i - shift / 32;
    let word = select(select(words.z, words.y, at == 1), words.x, at == 0);
    let addend = select(select(word, 0, at > 2), ~select(word, 0, at > 2), negative);
    let sum = limbs[i] + addend;
    let total = sum + carry;
    carry = select(0u, 1u, sum < addend || total < carry);
    limbs[i] = total;
  }
}

// The average of one element, as the bits of the result's type.
fn average(element: u32) -> u32 {
  accumulate(element);
  if (classes > 0) {
    atomicMin(&trouble[0], params.piece);
    let infinity = INFINITE | select(0u, SIGN, classes == MINUS_INFINITY);
    return select(QUIET_NAN, infinity, classes == PLUS_INFINITY || classes == MINUS_INFINITY);
  }
  let negative = limbs[LIMBS - 1] >> 31 == 1;
  let remainder = divide(negative);
  var top = 0u;
  for (var i = 0u; i < LIMBS; i++) {
    top = select(top, i, limbs[i] > 0);
  }
  let length = select(32 * top + firstLeadingBit(limbs[top]) + 1, 0, limbs[top] == 0);
  let shift = max(length, MANTISSA + STEP) - MANTISSA;
  let kept = bits_from(shift) & ((1u << MANTISSA) - 1);
  var above = 2 * remainder > params.q;
  var tie = 2 * remainder == params.q;
  if (shift > 0) {
    let half = (bits_from(shift - 1) & 1) == 1;
    let more = remainder > 0 || any_below(shift - 1);
    above = half && more;
    tie = half && !more;
  }
  let up = select(0u, 1u, above || (tie && (kept & 1) == 1));
  let bits = ((shift - STEP) << (MANTISSA - 1)) + kept + up;
  if (bits >= INFINITE) {
    atomicMin(&trouble[1], params.piece);
  }
  let is_zero = length == 0 && remainder == 0;
  let sign = select(negative, last_negative && params.keep_zero_sign > 0, is_zero);
  return min(bits, INFINITE) | select(0u, SIGN, sign);
}

// |limbs| / q in place; returns what is left over. q has at most 20 bits, so 12 bits of a limb can follow a remainder.
fn divide(negative: bool) -> u32 {
  if (negative) {
    var carry = 1u;
    for (var i = 0u; i < LIMBS; i++) {
      limbs[i] = ~limbs[i] + carry;
      carry = select(0u, carry, limbs[i] == 0);
    }
  }
  var rest = 0u;
  for (var i = LIMBS; i > 0; i--) {
    let limb = limbs[i - 1];
    let high = (rest << 12) | (limb >> 20);
    let middle = ((high % params.q) << 12) | ((limb >> 8) & 0xfff);
    let low = ((middle % params.q) << 8) | (limb & 0xff);
    limbs[i - 1] = ((high / params.q) << 20) | ((middle / params.q) << 8) | (low / params.q);
    rest = low % params.q;
  }
  return rest;
}

// 32 bits of the limbs, from bit `shift` on.
fn bits_from(shift: u32) -> u32 {
  let limb = shift / 32;
  let bit = shift % 32;
  var bits = 0u;
  if (limb < LIMBS) {
    bits = limbs[limb] >> bit;
  }
  if (limb + 1 < LIMBS && bit > 0) {
    bits |= limbs[limb + 1] << (32 - bit);
  }
  return bits;
}

fn any_below(shift: u32) -> bool {
  var found = 0u;
  for (var i = 0u; i < shift / 32; i++) {
    found |= limbs[i];
  }
  return found > 0 || (bits_from(shift / 32 * 32) & ((1u << (shift % 32)) - 1)) > 0;
}
