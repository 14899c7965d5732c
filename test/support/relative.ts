/** ‖a - b‖ / ‖b‖, Euclidean; infinite for different lengths. */
export function relativeL2(a: Float32Array, b: ArrayLike<number>): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < b.length; i++) {
    error += (a[i]! - b[i]!) ** 2;
    size += b[i]! ** 2;
  }
  return a.length === b.length ? Math.sqrt(error / (size || 1)) : Number.POSITIVE_INFINITY;
}
