import { denoiser } from '../denoiser.js';
import { type Sampler, stepOf } from '../step.js';

const ORDER = 4;

/** Linear multistep: the polynomial through the last slopes, integrated to the next sigma (Adams-Bashforth, uneven). */
export const lms: Sampler = async function* (predict, x, schedule, { mix }) {
  const { sigmas, steps, start } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  let ds: (typeof x)[] = []; // newest first
  for (let i = start; i < steps; i++) {
    const denoised = await denoise(x, i);
    ds = [mix([1 / sigmas[i], x], [-1 / sigmas[i], denoised]), ...ds].slice(0, ORDER);
    const nodes = ds.map((_, k) => sigmas[i - k]);
    x = mix([1, x], ...ds.map((d, k) => [lagrangeIntegral(nodes, k, sigmas[i], sigmas[i + 1]), d] as const));
    yield stepOf(schedule, i, x, denoised, ds);
  }
};

/** The polynomial that is 1 at nodes[k] and 0 at the others, integrated: Gauss's two points are exact up to cubics. */
function lagrangeIntegral(nodes: readonly number[], k: number, from: number, to: number): number {
  const basis = (at: number) =>
    nodes.reduce((product, node, j) => (j === k ? product : (product * (at - node)) / (nodes[k] - node)), 1);
  const middle = (from + to) / 2;
  const half = (to - from) / 2;
  return half * (basis(middle - half / Math.sqrt(3)) + basis(middle + half / Math.sqrt(3)));
}
