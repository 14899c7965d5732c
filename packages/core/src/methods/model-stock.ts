/** Model Stock: how far to go from the pretrained weights to the average of a few fine-tuned ones. */
import { UsageError } from '../errors.js';

/**
 * The interpolation ratio of Jang et al. 2024 (arXiv 2403.19522, equation 2), of one tensor:
 *
 *   t = N cos θ / (1 + (N - 1) cos θ),   result = t * average + (1 - t) * pretrained
 *
 * with θ the angle between two task vectors. They differ in practice, so cos θ is the mean over all pairs, as in
 * mergekit. `deltas` are the inner products of the task vectors. A task vector of 0 is orthogonal to all others;
 * where the mean is negative the fine-tuned models contradict each other and the pretrained weights stay (t = 0: the
 * formula would go to the far side of them, and to infinity).
 */
export function modelStockRatio(deltas: readonly (readonly number[])[]): number {
  const n = deltas.length;
  if (n < 2) throw new UsageError(`Model Stock compares task vectors: give at least two ingredients, not ${n}`);
  const cosines: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = i + 1; j < n; j++) {
      const size = Math.sqrt(deltas[i]![i]! * deltas[j]![j]!);
      cosines.push(size > 0 ? Math.min(1, Math.max(-1, deltas[i]![j]! / size)) : 0);
    }
  }
  // Sorted, so that the sum is the same in every order of the ingredients.
  const mean = cosines.sort((a, b) => a - b).reduce((a, b) => a + b, 0) / cosines.length;
  return mean > 0 ? (n * mean) / (1 + (n - 1) * mean) : 0;
}
