/** Names of samplers: every spelling leads to ours, and nonsense to a hint. */
import { describe, expect, it } from 'vitest';
import { ConfigError, UsageError } from '../../../packages/core/src/errors.ts';
import { a1111Name, resolveSampler, samplerForClass, samplerNames } from '../../../packages/core/src/sampler/names.ts';

const config = {
  numTrainTimesteps: 1000,
  betaStart: 0.00085,
  betaEnd: 0.012,
  betaSchedule: 'scaled_linear',
  trainedBetas: null,
  predictionType: 'epsilon',
} as const;

describe('resolveSampler', () => {
  it.each(samplerNames)('%s is itself, and its A1111 name leads back', (name) => {
    expect(resolveSampler(name)).toBe(name);
    expect(resolveSampler(a1111Name(name))).toBe(name);
  });

  it.each([
    ['DPM++ 2M Karras', 'dpmpp-2m-karras'],
    ['dpmpp_2m', 'dpmpp-2m'],
    ['Euler a', 'euler-ancestral'],
    ['EULER A', 'euler-ancestral'],
    ['k_euler_ancestral', 'euler-ancestral'],
    ['PLMS', 'pndm'],
    ['uni_pc', 'unipc'],
    ['LMS Karras', 'lms-karras'],
    ['DPMSolverMultistepScheduler', 'dpmpp-2m'],
    ['UniPCMultistepScheduler', 'unipc'],
  ])('%s is %s', (spelling, name) => expect(resolveSampler(spelling)).toBe(name));

  it('suggests what is near, and lists all', () => {
    expect(() => resolveSampler('eular')).toThrow(/Did you mean euler\?.*dpmpp-2m-karras/);
    expect(() => resolveSampler('DPM+ 2M Karras')).toThrow(/Did you mean dpmpp-2m-karras\?/);
    expect(() => resolveSampler('quantum')).toThrow(UsageError);
    expect(() => resolveSampler('quantum')).not.toThrow(/Did you mean/);
    expect(() => resolveSampler('')).toThrow(UsageError);
    expect(() => resolveSampler('x'.repeat(100_000))).toThrow(UsageError);
  });
});

describe('samplerForClass', () => {
  it.each([
    ['DDIMScheduler', {}, 'ddim'],
    ['PNDMScheduler', {}, 'pndm'],
    ['EulerDiscreteScheduler', { useKarrasSigmas: true }, 'euler-karras'],
    ['EulerAncestralDiscreteScheduler', { useKarrasSigmas: true }, 'euler-ancestral'],
    ['DPMSolverMultistepScheduler', { useKarrasSigmas: true }, 'dpmpp-2m-karras'],
    ['DPMSolverMultistepScheduler', { useKarrasSigmas: false }, 'dpmpp-2m'],
  ])('%s with %o is %s', (className, options, name) => {
    expect(samplerForClass(className, { ...config, ...options })).toBe(name);
  });

  it('refuses what is not implemented, by name', () => {
    expect(() => samplerForClass('KDPM2DiscreteScheduler', config)).toThrow(/KDPM2DiscreteScheduler.*ddim, euler/);
    const sde = { ...config, raw: { algorithm_type: 'sde-dpmsolver++' } };
    expect(() => samplerForClass('DPMSolverMultistepScheduler', sde)).toThrow(ConfigError);
  });
});
