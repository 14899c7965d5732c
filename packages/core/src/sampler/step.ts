/** What goes into a sampler and what comes out of it. */
import type { Schedule } from './schedule.js';

/**
 * The network's raw output, noise or velocity, with guidance applied, for its own input `x` at `timestep`, which may be
 * fractional.
 */
export type Predict = (x: Float32Array, timestep: number) => Promise<Float32Array>;

/** The next unit normal latents, for samplers that add noise on the way. */
export type NoiseSource = () => Float32Array;

export interface Step {
  /** Counted from 0, of `steps` that this run takes. */
  readonly i: number;
  readonly steps: number;
  readonly timestep: number;
  readonly sigma: number;
  /** The result, after the last step. */
  readonly latents: Float32Array;
  /** What the network takes the clean latents to be: a preview. */
  readonly denoised: Float32Array;
}

export interface SamplerOptions {
  /** Required by euler-ancestral, and by ddim with eta above 0. */
  readonly noise?: NoiseSource;
  /** ddim's share of fresh noise: 0 none, 1 as much as DDPM. */
  readonly eta?: number;
}

export type Sampler = (
  predict: Predict,
  x: Float32Array,
  schedule: Schedule,
  options: SamplerOptions,
) => AsyncGenerator<Step>;

export const stepOf = (schedule: Schedule, i: number, latents: Float32Array, denoised: Float32Array): Step => ({
  i: i - schedule.start,
  steps: schedule.steps - schedule.start,
  timestep: schedule.timesteps[i],
  sigma: schedule.sigmas[i],
  latents,
  denoised,
});
