/** All that samplers do with latents: weighted sums, in double, rounded to float32 once. */

export function mix(...terms: readonly (readonly [weight: number, values: Float32Array])[]): Float32Array {
  const sum = new Float64Array(terms[0][1].length);
  for (const [weight, values] of terms) {
    if (weight === 0) continue; // 0 times an infinity of a ruined term is no number
    for (let i = 0; i < sum.length; i++) sum[i] += weight * values[i];
  }
  return new Float32Array(sum);
}
