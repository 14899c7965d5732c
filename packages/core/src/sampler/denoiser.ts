/**
 * One interface for networks that predict noise and networks that predict velocity, after k-diffusion's external.py:
 * latents at step i in, what the network takes the clean latents to be out.
 */
import { isExploding, type Schedule } from './schedule.js';
import type { Predict } from './step.js';
import { mix } from './vector.js';

export type Denoise = (x: Float32Array, i: number) => Promise<Float32Array>;

type PredictionType = Schedule['predictionType'];

/** x0 of x = alpha x0 + sigma eps, alpha² + sigma² = 1, by eps or by v = alpha eps - sigma x0 (Salimans and Ho 2022). */
export const toDenoised = (
  type: PredictionType,
  x: Float32Array,
  output: Float32Array,
  alpha: number,
  sigma: number,
) => (type === 'epsilon' ? mix([1 / alpha, x], [-sigma / alpha, output]) : mix([alpha, x], [-sigma, output]));

/** eps of the same. */
export const toEps = (type: PredictionType, x: Float32Array, output: Float32Array, alpha: number, sigma: number) =>
  type === 'epsilon' ? output : mix([sigma, x], [alpha, output]);

/** The network always sees latents of unit variance; for samplers whose latents are x0 + sigma eps they are scaled. */
export function denoiser(predict: Predict, schedule: Schedule): Denoise {
  const exploding = isExploding(schedule);
  return async (x, i) => {
    const alpha = 1 / Math.hypot(1, schedule.sigmas[i]);
    const input = exploding ? mix([alpha, x]) : x;
    const output = await predict(input, schedule.timesteps[i]);
    return toDenoised(schedule.predictionType, input, output, alpha, alpha * schedule.sigmas[i]);
  };
}
