/** From the coefficients that a method computes to the rational weights of an exact average. */
import { fraction } from '../soup/fraction.js';
import { type Mix, mixOf } from '../soup/mix.js';

/** Coefficients are first taken to this grid; a mix is coarser. */
const GRID = 2 ** 40;

/**
 * The nearest mix. Coefficients that add up to 1 (`affine`) still do, exactly, so that what is equal in all ingredients
 * stays; equal coefficients stay equal; and the order of the ingredients does not matter.
 */
export function mixOfCoefficients(coefficients: readonly number[], { affine }: { affine: boolean }): Mix {
  const weights = coefficients.map((c) => fraction(BigInt(Math.round(c * GRID)), BigInt(GRID)));
  return mixOf(weights, { normalize: affine });
}
