/**
 * Every option of every sampler against diffusers: spacings, orders, betas, img2img, fresh noise. The expected numbers
 * come from diffusers' own scheduler files (at 58eb52c) run on NumPy in place of torch, which gives schedulers.json too.
 * Left out is where diffusers divides by zero, visits timestep -1, or begins lms and pndm in the middle without history.
 */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import type { SchedulerConfig } from '../../../packages/core/src/checkpoint/configs.ts';
import type { SamplerName } from '../../../packages/core/src/sampler/names.ts';
import { sampleWith } from '../../../packages/core/src/sampler/sample.ts';
import { addNoise, initialLatents, makeSchedule } from '../../../packages/core/src/sampler/schedule.ts';
import { mix } from '../../../packages/core/src/sampler/vector.ts';
import { analytic, worst } from './analytic.ts';

interface Case {
  sampler: SamplerName;
  steps: number;
  config: Record<string, unknown>;
  strength?: number;
  eta?: number;
  start?: number;
  timesteps?: number[];
  noisy?: number[];
  final: number[];
}

const { x0, noises, cases } = JSON.parse(readFileSync(new URL('./diffusers-cases.json', import.meta.url), 'utf8')) as {
  x0: number[];
  noises: number[][];
  cases: Case[];
};

const configOf = ({ sampler, config }: Case): SchedulerConfig => ({
  className: sampler === 'pndm' ? 'PNDMScheduler' : undefined,
  numTrainTimesteps: 1000,
  betaStart: 0.00085,
  betaEnd: 0.012,
  betaSchedule: (config.beta_schedule ?? 'scaled_linear') as SchedulerConfig['betaSchedule'],
  trainedBetas: null,
  predictionType: (config.prediction_type ?? 'epsilon') as SchedulerConfig['predictionType'],
  timestepSpacing: config.timestep_spacing as SchedulerConfig['timestepSpacing'],
  stepsOffset: config.steps_offset as number | undefined,
  setAlphaToOne: config.set_alpha_to_one as boolean | undefined,
  solverOrder: config.solver_order as number | undefined,
  finalSigmasType: config.final_sigmas_type as SchedulerConfig['finalSigmasType'],
  rescaleBetasZeroSnr: config.rescale_betas_zero_snr === true,
  raw: config,
});

const title = ({ sampler, steps, config, strength, eta }: Case) =>
  `${sampler}, ${steps} steps, ${JSON.stringify({ ...config, strength, eta })}`;

it.each(cases.map((each) => [title(each), each] as const))('%s', async (_, reference) => {
  const { sampler, steps, strength, eta } = reference;
  const schedule = makeSchedule(sampler, configOf(reference), steps, { strength });
  if (reference.timesteps) expect(worst(schedule.timesteps, reference.timesteps)).toBeLessThan(1e-6);
  let x = initialLatents(Float32Array.from(x0), schedule);
  if (reference.noisy) {
    expect(schedule.start).toBe(reference.start);
    x = addNoise(Float32Array.from(x0), Float32Array.from(noises.at(-1) as number[]), schedule);
    expect(worst(x, reference.noisy)).toBeLessThan(1e-6);
  }
  const left = noises.map((values) => Float32Array.from(values)).values();
  const noise = () => left.next().value as Float32Array;
  for await (const { latents } of sampleWith(sampler, analytic(), x, schedule, { mix, noise, eta })) x = latents;
  expect(worst(x, reference.final)).toBeLessThan(1e-5);
});
