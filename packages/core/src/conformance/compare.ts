/** How far a result is from its reference. */

export interface Difference {
  /** Name of the tensor in the golden file. */
  readonly name: string;
  readonly shape: readonly number[];
  /** The largest |result - reference|. */
  readonly maxAbs: number;
  /** ‖result - reference‖ / ‖reference‖, Euclidean. */
  readonly relativeL2: number;
  /** What relativeL2 may be. */
  readonly bound: number;
  /** What maxAbs may be, of pictures. */
  readonly maxAbsBound?: number;
  readonly ok: boolean;
}

export function compare(
  name: string,
  shape: readonly number[],
  result: Float32Array | undefined,
  reference: Float32Array,
  bound: number,
  maxAbsBound?: number,
): Difference {
  const bounds = { bound, maxAbsBound };
  if (result?.length !== reference.length) {
    return { name, shape, maxAbs: Number.NaN, relativeL2: Number.NaN, ...bounds, ok: false };
  }
  let maxAbs = 0;
  let error = 0;
  let size = 0;
  for (let i = 0; i < reference.length; i++) {
    const distance = result[i]! - reference[i]!;
    maxAbs = Math.max(maxAbs, Math.abs(distance));
    error += distance * distance;
    size += reference[i]! * reference[i]!;
  }
  const relativeL2 = Math.sqrt(error) / (Math.sqrt(size) || 1);
  const ok = relativeL2 <= bound && maxAbs <= (maxAbsBound ?? Number.POSITIVE_INFINITY);
  return { name, shape, maxAbs, relativeL2, ...bounds, ok };
}
