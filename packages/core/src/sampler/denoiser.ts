/**
 * One interface for networks that predict noise and networks that predict velocity, after k-diffusion's external.py:
 * latents at step i in, what the network takes the clean latents to be out.
 */
import { isExploding, type Schedule } from './schedule.js';
import type { Mix, Predict } from './step.js';

export type Denoise<L> = (x: L, i: number) => Promise<L>;

/** The network's output for x = alpha x0 + sigma eps, alpha² + sigma² = 1. */
interface Noised<L> {
  readonly type: Schedule['predictionType'];
  readonly x: L;
  readonly output: L;
  readonly alpha: number;
  readonly sigma: number;
}

/** x0 by eps, or by v = alpha eps - sigma x0 (Salimans and Ho 2022). */
export const toDenoised = <L>(mix: Mix<L>, { type, x, output, alpha, sigma }: Noised<L>): L =>
  type === 'epsilon' ? mix([1 / alpha, x], [-sigma / alpha, output]) : mix([alpha, x], [-sigma, output]);

/** eps of the same. */
export const toEps = <L>(mix: Mix<L>, { type, x, output, alpha, sigma }: Noised<L>): L =>
  type === 'epsilon' ? output : mix([sigma, x], [alpha, output]);

/** The network always sees latents of unit variance; for samplers whose latents are x0 + sigma eps they are scaled. */
export function denoiser<L>(predict: Predict<L>, schedule: Schedule, mix: Mix<L>): Denoise<L> {
  const exploding = isExploding(schedule);
  return async (x, i) => {
    const alpha = 1 / Math.hypot(1, schedule.sigmas[i]);
    const input = exploding ? mix([alpha, x]) : x;
    const output = await predict(input, schedule.timesteps[i]);
    return toDenoised(mix, {
      type: schedule.predictionType,
      x: input,
      output,
      alpha,
      sigma: alpha * schedule.sigmas[i],
    });
  };
}
