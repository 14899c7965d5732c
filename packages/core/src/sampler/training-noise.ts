/**
 * How much noise a model saw in training: betas, their cumulated ᾱ, and the sigmas of x = x0 + sigma eps.
 * Rounded to float32 at the places where diffusers' tensors are, so that the schedules agree to the last bit.
 */
import type { SchedulerConfig } from '../checkpoint/configs.js';
import { f32, fma } from './float32.js';

/** Added noise has variance `beta` at each of the training's timesteps. */
export function trainingBetas(config: SchedulerConfig): number[] {
  const { numTrainTimesteps: count, betaStart, betaEnd, betaSchedule, trainedBetas } = config;
  if (trainedBetas) return trainedBetas.map(f32);
  switch (betaSchedule) {
    case 'linear':
      return linspaceF32(betaStart, betaEnd, count);
    case 'scaled_linear':
      return linspaceF32(Math.sqrt(betaStart), Math.sqrt(betaEnd), count).map((root) => f32(root * root));
    case 'squaredcos_cap_v2':
      return cosineBetas(count);
  }
}

/** ᾱ_t, the part of the variance of x_t that is still the picture: the product of 1 - beta up to t. */
export function alphasCumprod(config: SchedulerConfig): number[] {
  const betas = trainingBetas(config);
  return cumprod((config.rescaleBetasZeroSnr ? rescaleZeroTerminalSnr(betas) : betas).map((beta) => f32(1 - beta)));
}

/** Noise to signal: sqrt((1 - ᾱ) / ᾱ). */
export const sigmaOf = (alphaBar: number): number => f32(Math.sqrt(f32(f32(1 - alphaBar) / alphaBar)));

/** Equation 17 of Nichol and Dhariwal 2021, with beta at most 0.999. */
function cosineBetas(count: number): number[] {
  const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Array.from({ length: count }, (_, i) =>
    f32(Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999)),
  );
}

/** Algorithm 1 of Lin et al. 2023 (2305.08891): shifts and scales sqrt(ᾱ) so that the last is 0 and the first stays. */
export function rescaleZeroTerminalSnr(betas: readonly number[]): number[] {
  const roots = cumprod(betas.map((beta) => f32(1 - beta))).map((alphaBar) => f32(Math.sqrt(alphaBar)));
  const first = roots[0];
  const last = roots[roots.length - 1];
  const scale = f32(first / f32(first - last));
  const alphaBars = roots.map((root) => f32(f32(root - last) * scale)).map((root) => f32(root * root));
  return alphaBars.map((alphaBar, t) => f32(1 - (t === 0 ? alphaBar : f32(alphaBar / alphaBars[t - 1]))));
}

/** Like torch.cumprod, which multiplies in double and stores float32. */
function cumprod(values: readonly number[]): number[] {
  let product = 1;
  return values.map((value) => {
    product *= value;
    return f32(product);
  });
}

/** Like torch.linspace, which counts from the nearer end with a fused multiply-add. */
function linspaceF32(from: number, to: number, count: number): number[] {
  const start = f32(from);
  const end = f32(to);
  const step = f32(f32(end - start) / (count - 1));
  return Array.from({ length: count }, (_, i) =>
    i < Math.floor(count / 2) ? fma(step, i, start) : fma(-step, count - 1 - i, end),
  );
}
