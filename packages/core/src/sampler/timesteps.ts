/** Which of the training's timesteps a sampler visits, and sigmas between them. All lists run from noise to picture. */
import { roundHalfEven } from './float32.js';

export type Spacing = 'leading' | 'linspace' | 'trailing';

interface SpacingOptions {
  readonly steps: number;
  readonly numTrainTimesteps: number;
  readonly stepsOffset: number;
  /** Multistep solvers divide the range in one part more and leave out the last point. */
  readonly extraPoint: boolean;
  /** Samplers that look ᾱ up need whole timesteps; the others interpolate. */
  readonly whole: boolean;
  /** The timesteps in use, fewer than the training's if the noisiest are cut off. */
  readonly range?: number;
}

/** Table 2 of Lin et al. 2023 (2305.08891), rounded as numpy rounds. */
export function spacedTimesteps(spacing: Spacing, options: SpacingOptions): number[] {
  const { steps, numTrainTimesteps, stepsOffset, extraPoint, whole, range = numTrainTimesteps } = options;
  const points = steps + (extraPoint ? 1 : 0);
  const countdown = Array.from({ length: points }, (_, i) => points - 1 - i).slice(0, steps);
  switch (spacing) {
    case 'linspace': {
      const step = points > 1 ? (range - 1) / (points - 1) : 0;
      return countdown
        .map((i) => (i === points - 1 && i > 0 ? range - 1 : i * step))
        .map(whole ? roundHalfEven : Math.fround);
    }
    case 'leading':
      return countdown.map((i) => i * Math.floor(range / points) + stepsOffset);
    case 'trailing': {
      // np.arange measures its stride after the first subtraction; it may go on to a last timestep of -1.
      const stride = range - numTrainTimesteps / steps - range;
      const count = Math.min(steps, Math.ceil(range / (numTrainTimesteps / steps)));
      return Array.from({ length: count }, (_, i) => roundHalfEven(range + i * stride) - 1);
    }
  }
}

/** Equation 5 of Karras et al. 2022 (2206.00364), rho = 7: sigmas even in sigma^(1/7). */
export function karrasSigmas(max: number, min: number, steps: number): number[] {
  const rho = 7;
  const from = max ** (1 / rho);
  const to = min ** (1 / rho);
  const step = steps > 1 ? 1 / (steps - 1) : 0;
  return Array.from(
    { length: steps },
    (_, i) => (from + (i === steps - 1 && i > 0 ? 1 : i * step) * (to - from)) ** rho,
  );
}

/** The training's sigma at `t`, linear between whole timesteps. */
export function timestepToSigma(t: number, trainingSigmas: readonly number[]): number {
  const low = Math.min(Math.floor(t), trainingSigmas.length - 1);
  const high = Math.min(low + 1, trainingSigmas.length - 1);
  return trainingSigmas[low] + (trainingSigmas[high] - trainingSigmas[low]) * (t - low);
}

/** The timestep at which the training's noise was `sigma`, linear in log sigma. */
export function sigmaToTimestep(sigma: number, logSigmas: readonly number[]): number {
  const logSigma = Math.log(Math.max(sigma, 1e-10));
  const above = logSigmas.findIndex((other) => other > logSigma);
  const low = Math.min(Math.max((above < 0 ? logSigmas.length : above) - 1, 0), logSigmas.length - 2);
  const weight = (logSigmas[low] - logSigma) / (logSigmas[low] - logSigmas[low + 1]);
  const w = Math.min(Math.max(weight, 0), 1);
  return (1 - w) * low + w * (low + 1);
}
