/** Spherical linear interpolation (Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985). */

/**
 * Beyond this cosine two tensors count as parallel and are averaged along the chord: sin Ω is too small to divide by,
 * and the arc no different. The threshold is mergekit's and sd-mecha's.
 */
export const PARALLEL = 0.9995;

/**
 * Coefficients of two vectors on the way from the first (t = 0) to the second (t = 1):
 *
 *   sin((1 - t) Ω) / sin Ω,  sin(t Ω) / sin Ω,   Ω the angle between them
 *
 * and 1 - t, t where they are parallel or one of them is 0. `gram` are the inner products of the two vectors. The
 * coefficients add up to 1 only in that case, and to more on an arc.
 */
export function slerpCoefficients(gram: readonly (readonly number[])[], t: number): [number, number] {
  const cosine = gram[0]![1]! / Math.sqrt(gram[0]![0]! * gram[1]![1]!);
  if (Number.isNaN(cosine) || Math.abs(cosine) > PARALLEL) return [1 - t, t];
  const angle = Math.acos(cosine);
  return [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
}
