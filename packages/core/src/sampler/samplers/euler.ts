import { denoiser } from '../denoiser.js';
import { type Sampler, stepOf } from '../step.js';

/** Euler steps along dx/dsigma = (x - denoised) / sigma: Algorithm 2 of Karras et al. 2022 (2206.00364), no churn. */
export const euler: Sampler = async function* (predict, x, schedule, { mix }) {
  const { sigmas, steps, start } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  for (let i = start; i < steps; i++) {
    const denoised = await denoise(x, i);
    const d = mix([1 / sigmas[i], x], [-1 / sigmas[i], denoised]);
    x = mix([1, x], [sigmas[i + 1] - sigmas[i], d]);
    yield stepOf(schedule, i, x, denoised);
  }
};
