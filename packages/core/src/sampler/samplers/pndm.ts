import { toDenoised, toEps } from '../denoiser.js';
import { alphaBar, type Schedule } from '../schedule.js';
import { type Mix, type Sampler, stepOf } from '../step.js';

/** Slopes that the linear multistep needs, so the steps that Runge-Kutta takes before it, less its own first. */
const WARM_UP = 3;

/** Adams-Bashforth's weights for equal steps, newest slope first, in the order of how many slopes there are. */
const WEIGHTS = [[1], [3 / 2, -1 / 2], [23 / 12, -16 / 12, 5 / 12], [55 / 24, -59 / 24, 37 / 24, -9 / 24]];

/** Linear multistep on the network's output, begun by Runge-Kutta: Algorithm 2 of Liu et al. 2022 (2202.09778). */
export const pndm: Sampler = async function* (predict, x, schedule, { mix }) {
  const { timesteps, steps, start, stride } = schedule;
  const transfer = transferBy(mix, schedule);
  let outputs: (typeof x)[] = []; // newest first
  for (let i = start; i < steps; i++) {
    const t = timesteps[i];
    const output = await predict(x, t);
    outputs = [output, ...outputs].slice(0, WEIGHTS.length);
    let slope = mix(...outputs.map((e, k) => [WEIGHTS[outputs.length - 1][k], e] as const));
    let [from, to] = [t, t - stride];
    if (usesRungeKutta(schedule) && i - start < WARM_UP) {
      const middle = t - Math.floor(stride / 2);
      const e2 = await predict(transfer(x, output, t, middle).next, middle);
      const e3 = await predict(transfer(x, e2, t, middle).next, middle);
      const e4 = await predict(transfer(x, e3, t, to).next, to);
      slope = mix([1 / 6, output], [1 / 3, e2], [1 / 3, e3], [1 / 6, e4]);
    } else if (i === start && i + 1 < steps) {
      // No slope to look back on: the mean of this end's and the other's.
      const other = await predict(transfer(x, output, from, to).next, timesteps[i + 1]);
      slope = mix([1 / 2, output], [1 / 2, other]);
      [from, to] = [timesteps[i + 1] + stride, timesteps[i + 1]];
    }
    const { next, denoised } = transfer(x, slope, from, to);
    x = next;
    yield stepOf(schedule, i, x, denoised, outputs);
  }
};

/** Equation 9: from one timestep to another along a given slope. */
const transferBy =
  <L>(mix: Mix<L>, schedule: Schedule) =>
  (x: L, output: L, from: number, to: number) => {
    const [bar, next] = [alphaBar(schedule, from), alphaBar(schedule, to)];
    const noised = { type: schedule.predictionType, x, output, alpha: Math.sqrt(bar), sigma: Math.sqrt(1 - bar) };
    const denoised = toDenoised(mix, noised);
    return { denoised, next: mix([Math.sqrt(next), denoised], [Math.sqrt(1 - next), toEps(mix, noised)]) };
  };

/** Runge-Kutta needs room for its steps and one more; shorter runs begin as if skip_prk_steps were true. */
const usesRungeKutta = ({ options, steps, start }: Schedule): boolean =>
  !options.skipPrkSteps && steps - start > WARM_UP;

/** Four for each step of Runge-Kutta, or one more for the first step. */
export function pndmCalls(schedule: Schedule): number {
  const taken = schedule.steps - schedule.start;
  if (usesRungeKutta(schedule)) return taken + 3 * WARM_UP;
  return taken > 1 ? taken + 1 : taken;
}
