/** A network that can be written down, and how far latents are from what they should be. */
import type { Predict } from '../../../packages/core/src/sampler/step.ts';

/** 0.3 x cos(t / 400) + 0.7 sin(1.3 x + t / 1000), and a record of what it was asked. */
export const analytic =
  (calls: number[] = []): Predict =>
  async (x, timestep) => {
    calls.push(timestep);
    return x.map((v) => 0.3 * v * Math.cos(timestep / 400) + 0.7 * Math.sin(1.3 * v + timestep / 1000));
  };

/** The largest difference, relative to the largest value if that is above 1. */
export function worst(actual: Iterable<number>, expected: readonly number[]): number {
  const values = [...actual];
  if (values.length !== expected.length) return Infinity;
  const scale = Math.max(1, ...expected.map(Math.abs));
  return Math.max(...values.map((value, i) => Math.abs(value - expected[i]) / scale));
}
