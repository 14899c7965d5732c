/** Every sampler against diffusers on an analytic network: timesteps, sigmas, and the latents after every step. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../../packages/core/src/checkpoint/configs.ts';
import { type SamplerName, samplerForClass } from '../../../packages/core/src/sampler/names.ts';
import { networkCalls, sampleWith } from '../../../packages/core/src/sampler/sample.ts';
import { initialLatents, makeSchedule, type Schedule } from '../../../packages/core/src/sampler/schedule.ts';
import type { Step } from '../../../packages/core/src/sampler/step.ts';
import { mix } from '../../../packages/core/src/sampler/vector.ts';
import { REFERENCE } from '../../support/files.ts';
import { analytic, worst } from './analytic.ts';

interface Case {
  name: string;
  class_name: string;
  config: Record<string, unknown>;
  steps: number;
  init_noise_sigma: number;
  timesteps: number[];
  sigmas: number[] | null;
  trajectory_first8: number[][];
  final: number[];
}

const { x0, cases } = JSON.parse(readFileSync(`${REFERENCE}/schedulers.json`, 'utf8')) as {
  x0: number[];
  cases: Case[];
};

function configOf({ class_name, config }: Case): SchedulerConfig {
  return {
    className: class_name,
    numTrainTimesteps: config.num_train_timesteps as number,
    betaStart: config.beta_start as number,
    betaEnd: config.beta_end as number,
    betaSchedule: config.beta_schedule as SchedulerConfig['betaSchedule'],
    trainedBetas: null,
    predictionType: config.prediction_type as SchedulerConfig['predictionType'],
    timestepSpacing: config.timestep_spacing as SchedulerConfig['timestepSpacing'],
    stepsOffset: config.steps_offset as number | undefined,
    setAlphaToOne: config.set_alpha_to_one as boolean | undefined,
    solverOrder: config.solver_order as number | undefined,
    useKarrasSigmas: config.use_karras_sigmas as boolean | undefined,
    raw: config,
  };
}

/** diffusers lists a timestep for each call of the network; we list one for each step. */
function perCall(values: readonly number[], sampler: SamplerName): number[] {
  if (sampler === 'heun') return values.flatMap((value, i) => (i === 0 ? [value] : [value, value]));
  if (sampler === 'pndm') return [values[0], values[1], ...values.slice(1)];
  return [...values];
}

/** Which of diffusers' calls ends our step i. */
function callOf(i: number, { sampler, steps }: Schedule): number {
  if (sampler === 'heun') return i === steps - 1 ? 2 * i : 2 * i + 1;
  return sampler === 'pndm' ? i + 1 : i;
}

describe.each(cases)('$name, $config.prediction_type, $steps steps', (reference) => {
  const config = configOf(reference);
  const sampler = samplerForClass(reference.class_name, config);
  const schedule = makeSchedule(sampler, config, reference.steps);

  const expectTimesteps = (timesteps: readonly number[]) => {
    if (sampler !== 'euler-karras') return expect(timesteps).toEqual(reference.timesteps);
    // Found by float32 logarithms, in which numpy's approximation errs by up to 4 units of the last place.
    expect(worst(timesteps, reference.timesteps)).toBeLessThan(1e-6);
  };

  it('visits the timesteps and sigmas of diffusers, to the last bit', () => {
    expectTimesteps(perCall(schedule.timesteps, sampler));
    if (reference.sigmas) {
      const sigmas = perCall(schedule.sigmas.slice(0, -1), sampler).concat(schedule.sigmas.at(-1) as number);
      expect(sigmas).toEqual(reference.sigmas);
    }
    expect(schedule.initNoiseSigma).toBe(reference.init_noise_sigma);
  });

  it('takes the latents the same way', async () => {
    const calls: number[] = [];
    const steps: Step[] = [];
    const x = initialLatents(Float32Array.from(x0), schedule);
    for await (const step of sampleWith(sampler, analytic(calls), x, schedule, { mix })) steps.push(step);
    expectTimesteps(calls);
    expect(networkCalls(schedule)).toBe(reference.timesteps.length);
    expect(steps.map(({ i }) => i)).toEqual(schedule.timesteps.map((_, i) => i));
    for (const { i, latents } of steps) {
      expect(worst(latents.subarray(0, 8), reference.trajectory_first8[callOf(i, schedule)])).toBeLessThan(1e-5);
    }
    expect(worst((steps.at(-1) as Step).latents, reference.final)).toBeLessThan(1e-5);
  });
});
