import { UsageError } from '../../errors.js';
import { toDenoised, toEps } from '../denoiser.js';
import { alphaBar } from '../schedule.js';
import { type Sampler, stepOf } from '../step.js';

/** Equations 12 and 16 of Song et al. 2021 (2010.02502): back to x0, and forth again to the next noise level. */
export const ddim: Sampler = async function* (predict, x, schedule, { mix, eta = 0, noise }) {
  if (eta > 0 && !noise) throw new UsageError('ddim with eta above 0 adds noise: give it a source of noise.');
  const { timesteps, steps, start, stride, predictionType } = schedule;
  for (let i = start; i < steps; i++) {
    const [bar, next] = [alphaBar(schedule, timesteps[i]), alphaBar(schedule, timesteps[i] - stride)];
    const [alpha, sigma] = [Math.sqrt(bar), Math.sqrt(1 - bar)];
    const output = await predict(x, timesteps[i]);
    const noised = { type: predictionType, x, output, alpha, sigma };
    const denoised = toDenoised(mix, noised);
    const eps = toEps(mix, noised);
    const fresh = eta * Math.sqrt(((1 - next) / (1 - bar)) * (1 - bar / next));
    x = mix([Math.sqrt(next), denoised], [Math.sqrt(1 - next - fresh ** 2), eps]);
    if (fresh > 0 && noise) x = mix([1, x], [fresh, noise()]);
    yield stepOf(schedule, i, x, denoised);
  }
};
