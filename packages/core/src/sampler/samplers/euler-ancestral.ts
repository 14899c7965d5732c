import { UsageError } from '../../errors.js';
import { denoiser } from '../denoiser.js';
import { type Sampler, stepOf } from '../step.js';

/** Euler steps that go below the next sigma and come back with fresh noise, as ancestral sampling of DDPM does. */
export const eulerAncestral: Sampler = async function* (predict, x, schedule, { mix, noise }) {
  if (!noise) throw new UsageError('euler-ancestral adds noise at every step: give it a source of noise.');
  const { sigmas, steps, start } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  for (let i = start; i < steps; i++) {
    const denoised = await denoise(x, i);
    const [sigma, next] = [sigmas[i], sigmas[i + 1]];
    const up = Math.sqrt((next ** 2 * (sigma ** 2 - next ** 2)) / sigma ** 2);
    const down = Math.sqrt(next ** 2 - up ** 2);
    const d = mix([1 / sigma, x], [-1 / sigma, denoised]);
    x = mix([1, x], [down - sigma, d]);
    if (up > 0) x = mix([1, x], [up, noise()]);
    yield stepOf(schedule, i, x, denoised);
  }
};
