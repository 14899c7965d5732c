// Numbers of a file as the bits of an f32, and the size of a difference: a part of kernels whose binding x holds such
// numbers. In integers, since hardware may flush subnormal numbers to zero and round as it likes.

const STORED_F32 = 0u;
const STORED_F16 = 1u;
const STORED_BF16 = 2u;
const INFINITE_F32 = 0x7f800000u;

// The element-th number behind word `start` of x, exactly.
fn stored_bits(start: u32, format: u32, element: u32) -> u32 {
  if (format == STORED_F32) {
    return x[start + element];
  }
  let half = (x[start + element / 2] >> (element % 2 * 16)) & 0xffff;
  if (format == STORED_BF16) {
    return half << 16;
  }
  return half_bits(half);
}

// A half as an f32, exactly.
fn half_bits(half: u32) -> u32 {
  let sign = (half & 0x8000) << 16;
  let exponent = (half >> 10) & 31;
  let mantissa = half & 0x3ff;
  // A subnormal half is a normal f32: a whole number of 2^-24, which no hardware flushes to zero.
  let subnormal = bitcast<u32>(f32(mantissa) * 5.960464477539063e-8);
  let normal = (select(exponent + 112, 255, exponent == 31) << 23) | (mantissa << 13);
  return sign | select(normal, subnormal, exponent == 0);
}

fn exponent_of(bits: u32) -> u32 {
  return max((bits >> 23) & 255, 1);
}

fn mantissa_of(bits: u32) -> u32 {
  return (bits & 0x7fffff) | select(0u, 0x800000u, (bits & INFINITE_F32) > 0);
}

// |a - b|, rounded to the nearest f32, ties to even; infinity where a or b is not finite.
fn distance_bits(a: u32, b: u32) -> u32 {
  let large = max(a & 0x7fffffff, b & 0x7fffffff);
  let small = min(a & 0x7fffffff, b & 0x7fffffff);
  if (large >= INFINITE_F32) {
    return INFINITE_F32;
  }
  // Three more bits, the lowest of which stands for all that are shifted out, are enough to round by.
  let exponent = exponent_of(large);
  let gap = min(exponent - exponent_of(small), 31);
  let little = mantissa_of(small) << 3;
  let lost = (little & ((1u << gap) - 1)) > 0;
  let aligned = (little >> gap) | select(0u, 1u, lost);
  let big = mantissa_of(large) << 3;
  let sum = select(big - aligned, big + aligned, (a ^ b) >> 31 == 1);
  if (sum == 0) {
    return 0;
  }
  let result_exponent = max(i32(exponent + firstLeadingBit(sum)) - 26, 1);
  let drop = result_exponent - i32(exponent) + 3;
  var mantissa = sum << u32(max(-drop, 0));
  if (drop > 0) {
    let tie = 1u << u32(drop - 1);
    let rest = sum & (2 * tie - 1);
    let whole = sum >> u32(drop);
    mantissa = whole + select(0u, 1u, rest > tie || (rest == tie && (whole & 1) == 1));
  }
  return min((u32(result_exponent - 1) << 23) + mantissa, INFINITE_F32);
}
