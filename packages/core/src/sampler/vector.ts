/** Weighted sums of arrays on the host, in double, rounded to float32 once. */
import type { Mix } from './step.js';

export const mix: Mix = (...terms) => {
  const sum = new Float64Array(terms[0][1].length);
  for (const [weight, values] of terms) {
    if (weight === 0) continue; // 0 times an infinity of a ruined term is no number
    for (let i = 0; i < sum.length; i++) sum[i] += weight * values[i];
  }
  return new Float32Array(sum);
};
