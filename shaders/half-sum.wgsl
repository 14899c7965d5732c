// Sums of halves, rounded once: a part of average.wgsl and average-bounded.wgsl, whose x they read. A half is an integer
// times 2^-24, so a sum of halves that fits an i32 is exact.

// Two halves in a word: those of the elements `low` and `high` of the ingredient whose bytes begin at word `start`.
fn pair_at(start: u32, low: u32, high: u32) -> u32 {
  let pair = x[start + low / 2];
  if (low % 2 == 0 && high == low + 1) {
    return pair;
  }
  return ((pair >> (low % 2 * 16)) & 0xffff) | ((x[start + high / 2] >> (high % 2 * 16)) << 16);
}

// Their exponent fields, and what they are in units of 2^-24: exact up to an exponent of 21.
fn exponents_of(pair: u32) -> vec2u {
  return vec2u(pair >> 10, pair >> 26) & vec2u(31);
}
fn steps_of(pair: u32) -> vec2i {
  let bits = vec2u(pair, pair >> 16) & vec2u(0x7fff);
  let shifts = max(bits >> vec2u(10), vec2u(1)) - 1;
  let sizes = vec2i((bits - (shifts << vec2u(10))) << shifts);
  let signs = vec2i(bitcast<i32>(pair << 16), bitcast<i32>(pair)) >> vec2u(31);
  return (sizes ^ signs) - signs;
}

// Two sums / q as halves, to nearest, ties to even; `zeros` are what sums of 0 are. |sum| is below 2^30 units, which is 64.
//
// q is not divided by: `scale` is 2^-24 / q, so that an f32 product tells the half that is not above the quotient,
// or, where it is off by a last place, a neighbour; whether to go one up is decided by integers, exactly.
fn rounded_halves(sums: vec2i, zeros: vec2u, q: u32, scale: f32) -> u32 {
  let sizes = vec2u(abs(sums));
  let quotients = vec2f(sizes) * scale;
  let bits = bitcast<vec2u>(quotients);
  let is_small = bits < vec2u(0x38800000); // below 2^-14: a half that counts units
  let units = vec2u(quotients * 16777216.0);
  let kept = select(((bits >> vec2u(13)) & vec2u(0x3ff)) | vec2u(0x400), units, is_small);
  let shifts = select((bits >> vec2u(23)) - 113, vec2u(0), is_small);
  let ties = ((2 * kept + 1) * q) << shifts;
  let is_odd = (kept & vec2u(1)) == vec2u(1);
  let up = select(vec2u(0), vec2u(1), (2 * sizes > ties) | ((2 * sizes == ties) & is_odd));
  let halves = select((bits >> vec2u(13)) - 0x1c000, kept, is_small) + up;
  let signed = select(halves, halves | vec2u(0x8000), sums < vec2i(0));
  let rounded = select(signed, zeros, sums == vec2i(0));
  return rounded.x | (rounded.y << 16);
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
