/**
 * What goes into a sampler and what comes out of it. Latents (L) are arrays on the host, or lie on the device: samplers
 * hand them to the network and to `mix`, and never look inside.
 */
import type { Schedule } from './schedule.js';

/**
 * The network's raw output, noise or velocity, with guidance applied, for its own input `x` at `timestep`, which may be
 * fractional.
 */
export type Predict<L = Float32Array> = (x: L, timestep: number) => Promise<L>;

/** All that samplers do with latents: weighted sums. A term of weight 0 is left out: 0 times infinity is no number. */
export type Mix<L = Float32Array> = (...terms: readonly (readonly [weight: number, values: L])[]) => L;

/** The next unit normal latents, for samplers that add noise on the way. */
export type NoiseSource<L = Float32Array> = () => L;

export interface Step<L = Float32Array> {
  /** Counted from 0, of `steps` that this run takes. */
  readonly i: number;
  readonly steps: number;
  readonly timestep: number;
  readonly sigma: number;
  /** The result, after the last step. */
  readonly latents: L;
  /** What the network takes the clean latents to be: a preview. */
  readonly denoised: L;
  /** What the sampler will look back on besides `latents`; whatever else it made is no longer needed. */
  readonly history: readonly L[];
}

export interface SamplerOptions<L = Float32Array> {
  readonly mix: Mix<L>;
  /** Required by euler-ancestral, and by ddim with eta above 0. */
  readonly noise?: NoiseSource<L>;
  /** ddim's share of fresh noise: 0 none, 1 as much as DDPM. */
  readonly eta?: number;
}

export type Sampler = <L>(
  predict: Predict<L>,
  x: L,
  schedule: Schedule,
  options: SamplerOptions<L>,
) => AsyncGenerator<Step<L>>;

export const stepOf = <L>(
  schedule: Schedule,
  i: number,
  latents: L,
  denoised: L,
  history: readonly L[] = [],
): Step<L> => ({
  i: i - schedule.start,
  steps: schedule.steps - schedule.start,
  timestep: schedule.timesteps[i],
  sigma: schedule.sigmas[i],
  latents,
  denoised,
  history,
});
