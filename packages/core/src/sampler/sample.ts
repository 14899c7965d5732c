/** From noisy latents to clean ones with the sampler that a schedule was made for. */
import { CancelledError, UsageError } from '../errors.js';
import { familyOf, type SamplerFamily, type SamplerName } from './names.js';
import { ddim } from './samplers/ddim.js';
import { dpmpp2m } from './samplers/dpmpp-2m.js';
import { euler } from './samplers/euler.js';
import { eulerAncestral } from './samplers/euler-ancestral.js';
import { heun } from './samplers/heun.js';
import { lms } from './samplers/lms.js';
import { pndm, pndmCalls } from './samplers/pndm.js';
import { unipc } from './samplers/unipc.js';
import type { Schedule } from './schedule.js';
import type { Predict, Sampler, SamplerOptions, Step } from './step.js';

const SAMPLERS: Readonly<Record<SamplerFamily, Sampler>> = {
  ddim,
  euler,
  'euler-ancestral': eulerAncestral,
  heun,
  lms,
  'dpmpp-2m': dpmpp2m,
  pndm,
  unipc,
};

/** `x` from initialLatents or addNoise; yields after every step, and the last step's latents are the result. */
export function sampleWith<L>(
  name: SamplerName,
  predict: Predict<L>,
  x: L,
  schedule: Schedule,
  { signal, ...options }: SamplerOptions<L> & { readonly signal?: AbortSignal },
): AsyncGenerator<Step<L>> {
  if (name !== schedule.sampler) {
    throw new UsageError(`this schedule was made for ${schedule.sampler}, not for ${name}: make another one.`, {
      found: name,
      expected: schedule.sampler,
    });
  }
  const stoppable: Predict<L> = (input, timestep) => {
    if (signal?.aborted) throw new CancelledError('sampling was stopped', { timestep }, { cause: signal.reason });
    return predict(input, timestep);
  };
  return SAMPLERS[familyOf(name)](stoppable, x, schedule, options);
}

/** How often the network will be called, for progress. */
export function networkCalls(schedule: Schedule): number {
  const taken = schedule.steps - schedule.start;
  switch (familyOf(schedule.sampler)) {
    case 'heun':
      return 2 * taken - 1;
    case 'pndm':
      return pndmCalls(schedule);
    default:
      return taken;
  }
}
