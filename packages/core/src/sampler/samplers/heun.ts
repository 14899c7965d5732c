import { denoiser } from '../denoiser.js';
import { type Sampler, stepOf } from '../step.js';

/** Heun's method, two calls a step but the last: Algorithm 1 of Karras et al. 2022 (2206.00364). */
export const heun: Sampler = async function* (predict, x, schedule, { mix }) {
  const { sigmas, steps, start } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  for (let i = start; i < steps; i++) {
    const denoised = await denoise(x, i);
    const [sigma, next] = [sigmas[i], sigmas[i + 1]];
    const d = mix([1 / sigma, x], [-1 / sigma, denoised]);
    const euler = mix([1, x], [next - sigma, d]);
    if (next === 0) {
      x = euler;
    } else {
      const d2 = mix([1 / next, euler], [-1 / next, await denoise(euler, i + 1)]);
      x = mix([1, x], [(next - sigma) / 2, d], [(next - sigma) / 2, d2]);
    }
    yield stepOf(schedule, i, x, denoised);
  }
};
