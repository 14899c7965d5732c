import { denoiser } from '../denoiser.js';
import type { Schedule } from '../schedule.js';
import { type Mix, type Sampler, stepOf } from '../step.js';

/**
 * UniPC: Algorithms 5 and 6 of Zhao et al. 2023 (2302.04867) for networks as predictors of clean latents. The
 * predictor UniP steps ahead; when the network has spoken there, the corrector UniC takes the same step again.
 */
export const unipc: Sampler = async function* (predict, x, schedule, { mix }) {
  const { sigmas, steps, start, options } = schedule;
  const denoise = denoiser(predict, schedule, mix);
  const unify = unifyBy(mix, schedule);
  let ms: (typeof x)[] = []; // newest first
  let before = x; // of the last step
  let order = 0;
  for (let i = start; i < steps; i++) {
    const denoised = await denoise(x, i);
    if (i > start && !options.disableCorrector.includes(i - 1)) x = unify(before, i - 1, order, ms, denoised);
    before = x;
    ms = [denoised, ...ms].slice(0, options.solverOrder);
    const left = options.lowerOrderFinal ? steps - i : options.solverOrder;
    // Sigma 0 is at lambda infinite, and Karras's sigmas end with a step of no length before sigma_min.
    const plain = sigmas[i + 1] === 0 || sigmas[i + 1] === sigmas[i];
    order = plain ? 1 : Math.min(options.solverOrder, left, ms.length);
    x = unify(x, i, order, ms);
    yield stepOf(schedule, i, x, denoised, [before, ...ms]);
  }
};

/** One step from x at i: equation 9 of the paper with `mt`, the clean prediction at i + 1, and without it equation 8. */
function unifyBy<L>(mix: Mix<L>, { sigmas, options }: Schedule) {
  const lambda = (k: number) => -Math.log(sigmas[k]);
  const alpha = (k: number) => 1 / Math.hypot(1, sigmas[k]);
  return (x: L, i: number, order: number, [m0, ...older]: readonly L[], mt?: L): L => {
    const h = lambda(i + 1) - lambda(i);
    const phi1 = Math.expm1(-h);
    const bh = options.solverType === 'bh1' ? -h : phi1;
    const points = older.slice(0, order - 1).map((m, k) => ({ m, r: (lambda(i - k - 1) - lambda(i)) / h }));
    if (mt) points.push({ m: mt, r: 1 });
    const rhos =
      points.length === 1 && (mt || order === 2)
        ? [1 / 2]
        : solveRhos(
            points.map(({ r }) => r),
            -h,
            bh,
          );
    const alphaT = alpha(i + 1);
    const weights = points.map(({ r }, k) => (-alphaT * bh * rhos[k]) / r);
    return mix(
      [(sigmas[i + 1] * alphaT) / (sigmas[i] * alpha(i)), x],
      [-alphaT * phi1 - sum(weights), m0],
      ...points.map(({ m }, k) => [weights[k], m] as const),
    );
  };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

/** The rhos for which the differences match the exact solution's expansion: R rho = b, R[n][k] = r_k^n. */
function solveRhos(rs: readonly number[], hh: number, bh: number): number[] {
  const rows: number[][] = [];
  let phi = Math.expm1(hh) / hh - 1;
  let factorial = 1;
  for (let n = 0; n < rs.length; n++) {
    rows.push([...rs.map((r) => r ** n), (phi * factorial) / bh]);
    factorial *= n + 2;
    phi = phi / hh - 1 / factorial;
  }
  return eliminate(rows);
}

/** Gauss and Jordan; the rows are [R | b], at most 3 of them, and R is a Vandermonde matrix of distinct points. */
function eliminate(rows: number[][]): number[] {
  for (let p = 0; p < rows.length; p++) {
    for (let n = 0; n < rows.length; n++) {
      if (n === p) continue;
      const factor = rows[n][p] / rows[p][p];
      rows[n] = rows[n].map((value, k) => value - factor * rows[p][k]);
    }
  }
  return rows.map((row, p) => row[rows.length] / row[p]);
}
