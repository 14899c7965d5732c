// Sums of halves, rounded once. A half is an integer times 2^-24 (so many steps), so a sum of halves that fits an i32 is
// exact. Sums here are doubled, Σ 2 p_i steps_i, so that the middle between two halves is a whole number of q.
//
// UNPACK says how halves become integers; soup/halves.ts lets a device prove the others before they are used:
//   0  by integers, exact up to an exponent field of 21
//   1  by floats: the bits of MIDDLE + n are MIDDLE's and n more, for |n| < 2^22: exact up to a field of 12, or |half| < 1/4
//   2  by floats in two parts, of 2^12 steps and of one: exact up to a field of 24
// What MIDDLE's bits add to a sum is taken off where it begins. Nothing here is rounded but by rounded_pair.

const MIDDLE = 12582912.0; // 1.5 * 2^23
const STEPS = 16777216.0; // in 1
const COARSE = 4096.0; // of 2^12 steps, in 1

// sums + p * pair, of the two halves in a word. `p` is twice the weight, and that times 2^12.
fn with_pair(sums: vec2i, pair: u32, p: vec2i) -> vec2i {
  if (UNPACK == 1) {
    return sums + fine_bits(unpack2x16float(pair), vec2f(MIDDLE)) * p.x;
  }
  if (UNPACK == 2) {
    let halves = unpack2x16float(pair);
    let coarse = halves * COARSE + MIDDLE;
    let rest = MIDDLE * (COARSE + 1) - coarse * COARSE;
    return sums + bitcast<vec2i>(coarse) * p.y + fine_bits(halves, rest) * p.x;
  }
  return sums + steps_of(pair) * p.x;
}

fn fine_bits(halves: vec2f, middle: vec2f) -> vec2i {
  return bitcast<vec2i>(halves * STEPS + middle);
}

// What two halves are in steps.
fn steps_of(pair: u32) -> vec2i {
  let bits = vec2u(pair, pair >> 16) & vec2u(0x7fff);
  let shifts = max(bits >> vec2u(10), vec2u(1)) - 1;
  let sizes = vec2i((bits - (shifts << vec2u(10))) << shifts);
  let signs = vec2i(bitcast<i32>(pair << 16), bitcast<i32>(pair)) >> vec2u(31);
  return (sizes ^ signs) - signs;
}

// Two sums / 2q as halves, to nearest, ties to even. |sum| is below 2^31: 64 in steps, doubled.
//
// q is not divided by. `scale` is a little above 2^-10 / q, so that an f32 product tells the largest half that is not above
// the quotient, or the next one where the quotient is just below that. Whether to go up is decided by integers: the sum
// against the middle above that half, (2 kept + 1) q 2^shift. Below 2^-14 halves lie as closely as just above it, so the sum
// of a small one is moved there and its half moved back. Of numbers of 2 and more, 2^1 being 1024 steps, the exponent field
// modulo 32 is the shift.
fn rounded_pair(sums: vec2i, q: u32, scale: f32) -> u32 {
  let sizes = vec2u(abs(sums));
  let is_small = sizes < vec2u(q << 11);
  let moved = sizes + select(vec2u(0), vec2u(q << 11), is_small);
  let bits = bitcast<vec2u>(vec2f(moved) * scale);
  let halves = bits >> vec2u(13);
  let middles = (((halves & vec2u(0x3ff)) | vec2u(0x400)) * (2 * q) + q) << ((bits >> vec2u(23)) & vec2u(31));
  let is_up = bitcast<vec2i>(moved - middles + (halves & vec2u(1))) > vec2i(0);
  let rounded = halves + select(vec2u(0), vec2u(1), is_up) - select(vec2u(0x1fc00), vec2u(0x20000), is_small);
  let signs = vec2u(sums) & vec2u(0x80000000);
  return (rounded.x | (signs.x >> 16)) | ((rounded.y << 16) | signs.y);
}

// The bits of the f32 that a half is.
fn widened_half(bits: u32) -> u32 {
  let sign = (bits & 0x8000) << 16;
  let exponent = (bits >> 10) & 31;
  let mantissa = bits & 0x3ff;
  if (exponent == 0) {
    return sign | bitcast<u32>(f32(mantissa) * 5.960464477539063e-8); // 2^-24, exact
  }
  return sign | (select(exponent + 112, 255, exponent == 31) << 23) | (mantissa << 13);
}
