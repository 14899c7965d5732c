/** Single precision in a language of doubles, for the places where torch's rounding must be met bit for bit. */

export const f32 = Math.fround;

/** a * b + c of float32 numbers, rounded once: what compilers make of a multiplication followed by an addition. */
export function fma(a: number, b: number, c: number): number {
  const product = a * b; // exact: 24 + 24 bits fit in 53
  const sum = product + c;
  const rounded = f32(sum);
  // Rounding to 53 bits and then to 24 errs only if the 53 bits look like a tie between two float32 and are not one.
  const other = 2 * sum - rounded;
  if (other === rounded || f32(other) !== other) return rounded;
  const cPart = sum - product;
  const lost = product - (sum - cPart) + (c - cPart);
  if (lost === 0) return rounded;
  return lost > 0 ? Math.max(rounded, other) : Math.min(rounded, other);
}

/** To the nearest whole number, halves to the even one: numpy's round. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
