import { denoiser } from '../denoiser.js';
import type { Schedule } from '../schedule.js';
import { type Sampler, stepOf } from '../step.js';

/**
 * DPM-Solver++ multistep: Algorithm 2 of Lu et al. 2022 (2211.01095), order 2, or 1 and 3 by solver_order. The last
 * clean predictions, as a polynomial in lambda = log(alpha / sigma), are integrated to the next noise level.
 */
export const dpmpp2m: Sampler = async function* (predict, x, schedule, { mix }) {
  const { sigmas, steps, start, options } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  const lambda = (i: number) => -Math.log(sigmas[i]);
  const alpha = (i: number) => 1 / Math.hypot(1, sigmas[i]);
  let ms: (typeof x)[] = []; // newest first
  for (let i = start; i < steps; i++) {
    ms = [await denoise(x, i), ...ms].slice(0, 3);
    const [m0, m1, m2] = ms;
    const order = Math.min(orderAt(schedule, i), ms.length);
    const h = lambda(i + 1) - lambda(i);
    const phi1 = Math.expm1(-h);
    const phi2 = phi1 / h + 1;
    const phi3 = phi2 / h - 1 / 2;
    const alphaT = alpha(i + 1);
    x = mix([(sigmas[i + 1] * alphaT) / (sigmas[i] * alpha(i)), x], [-alphaT * phi1, m0]);
    if (order === 2) {
      const r0 = (lambda(i) - lambda(i - 1)) / h;
      const c = (options.solverType === 'heun' ? alphaT * phi2 : (-alphaT * phi1) / 2) / r0;
      x = mix([1, x], [c, m0], [-c, m1]);
    } else if (order === 3) {
      const r0 = (lambda(i) - lambda(i - 1)) / h;
      const r1 = (lambda(i - 1) - lambda(i - 2)) / h;
      const D1_0 = mix([1 / r0, m0], [-1 / r0, m1]);
      const D1_1 = mix([1 / r1, m1], [-1 / r1, m2]);
      const D1 = mix([1 + r0 / (r0 + r1), D1_0], [-r0 / (r0 + r1), D1_1]);
      const D2 = mix([1 / (r0 + r1), D1_0], [-1 / (r0 + r1), D1_1]);
      x = mix([1, x], [alphaT * phi2, D1], [-alphaT * phi3, D2]);
    }
    yield stepOf(schedule, i, x, m0, ms);
  }
};

/**
 * Short runs are steadier when they end with lower orders. Sigma 0, at lambda infinite, can only be met by order 1, and
 * so can a last step of no length, which Karras's sigmas have before sigma_min.
 */
function orderAt({ sigmas, steps, options }: Schedule, i: number): number {
  const { solverOrder, lowerOrderFinal, eulerAtFinal } = options;
  const short = lowerOrderFinal && steps < 15;
  if (i === steps - 1 && (short || eulerAtFinal || sigmas[steps] === 0 || sigmas[steps] === sigmas[i])) return 1;
  return short && i === steps - 2 ? Math.min(solverOrder, 2) : solverOrder;
}
