/** What holds for samplers without a reference: no state, noise where it belongs, where img2img begins, stopping. */
import { describe, expect, it } from 'vitest';
import type { SchedulerConfig } from '../../../packages/core/src/checkpoint/configs.ts';
import { CancelledError, UsageError } from '../../../packages/core/src/errors.ts';
import { type SamplerName, samplerNames } from '../../../packages/core/src/sampler/names.ts';
import { noiseStream, randn } from '../../../packages/core/src/sampler/noise.ts';
import { networkCalls, sampleWith } from '../../../packages/core/src/sampler/sample.ts';
import { addNoise, initialLatents, makeSchedule, startIndex } from '../../../packages/core/src/sampler/schedule.ts';
import { mix } from '../../../packages/core/src/sampler/vector.ts';
import { analytic, worst } from './analytic.ts';

const config: SchedulerConfig = {
  numTrainTimesteps: 1000,
  betaStart: 0.00085,
  betaEnd: 0.012,
  betaSchedule: 'scaled_linear',
  trainedBetas: null,
  predictionType: 'epsilon',
  stepsOffset: 1,
};

const source = (seed = 9) => {
  const stream = noiseStream(seed);
  return () => stream.normal([8]);
};

const begin = (name: SamplerName, steps = 7) => {
  const schedule = makeSchedule(name, config, steps);
  const x = initialLatents(randn(3, [8]), schedule);
  return { schedule, x, run: () => sampleWith(name, analytic(), x, schedule, { mix, noise: source() }) };
};

describe.each(samplerNames)('%s', (name) => {
  it('keeps no state: two runs in turns are each like one alone, and the first latents are left as they were', async () => {
    const { x, run } = begin(name);
    const before = [...x];
    const alone = [];
    for await (const step of run()) alone.push(step);
    const [left, right] = [run(), run()];
    for (const expected of alone) {
      expect((await left.next()).value).toEqual(expected);
      expect((await right.next()).value).toEqual(expected);
    }
    expect([...x]).toEqual(before);
  });

  it('counts its steps and calls', async () => {
    const calls: number[] = [];
    const schedule = makeSchedule(name, config, 10, { strength: 0.45 });
    const x = addNoise(randn(1, [8]), randn(2, [8]), schedule);
    const seen = [];
    for await (const step of sampleWith(name, analytic(calls), x, schedule, { mix, noise: source() })) seen.push(step);
    expect(seen.map(({ i, steps }) => `${i}/${steps}`)).toEqual(['0/4', '1/4', '2/4', '3/4']);
    expect(calls.length).toBe(networkCalls(schedule));
    expect(calls[0]).toBe(schedule.timesteps[6]);
  });

  it('comes to the picture that a perfect network sees, from noise and from the middle', async () => {
    // The network that knows the only picture there is: eps = (x - alpha x0) / sigma.
    const x0 = randn(11, [8]);
    for (const strength of [1, 0.5]) {
      const schedule = makeSchedule(name, config, 12, { strength });
      const perfect = async (x: Float32Array, t: number) => {
        const low = Math.max(0, Math.min(998, Math.floor(t)));
        const bars = schedule.alphasCumprod;
        const bar = bars[low] + (bars[low + 1] - bars[low]) * (t - low);
        return x.map((v, j) => (v - Math.sqrt(bar) * x0[j]) / Math.sqrt(1 - bar));
      };
      let x = addNoise(x0, randn(12, [8]), schedule);
      for await (const step of sampleWith(name, perfect, x, schedule, { mix, noise: source() })) x = step.latents;
      // Samplers that stop at the training's first noise keep 3% of it.
      expect(worst(x, [...x0])).toBeLessThan(0.06);
    }
  });

  it('stops when it is told to', async () => {
    const { schedule, x } = begin(name);
    const stop = new AbortController();
    const steps = sampleWith(name, analytic(), x, schedule, { mix, noise: source(), signal: stop.signal });
    await steps.next();
    stop.abort();
    await expect(steps.next()).rejects.toThrow(CancelledError);
  });
});

describe('euler-ancestral', () => {
  it('steps as the formulas of k-diffusion say, one value at a time', async () => {
    const { schedule, x, run } = begin('euler-ancestral', 6);
    const noise = source();
    let expected = [...x];
    const eps = analytic();
    let i = 0;
    for await (const { latents, sigma } of run()) {
      const to = schedule.sigmas[i + 1];
      const inputs = Float32Array.from(expected, (v) => v / Math.sqrt(sigma ** 2 + 1));
      const outputs = await eps(inputs, schedule.timesteps[i]);
      const up = Math.min(to, Math.sqrt((to ** 2 * (sigma ** 2 - to ** 2)) / sigma ** 2));
      const down = Math.sqrt(to ** 2 - up ** 2);
      const fresh = up > 0 ? noise() : new Float32Array(8);
      // With noise as the output, the slope (x - denoised) / sigma is the output.
      expected = expected.map((v, j) => v + outputs[j] * (down - sigma) + fresh[j] * up);
      expect(worst(latents, expected)).toBeLessThan(1e-6);
      i++;
    }
    expect(i).toBe(6);
  });

  it('needs a source of noise, and ddim only with eta', async () => {
    const { x, schedule } = begin('euler-ancestral');
    await expect(sampleWith('euler-ancestral', analytic(), x, schedule, { mix }).next()).rejects.toThrow(UsageError);
    const ddim = begin('ddim');
    await expect(sampleWith('ddim', analytic(), ddim.x, ddim.schedule, { mix, eta: 1 }).next()).rejects.toThrow(
      UsageError,
    );
    expect((await sampleWith('ddim', analytic(), ddim.x, ddim.schedule, { mix }).next()).done).toBe(false);
  });
});

describe('schedules', () => {
  it.each([
    [20, 1, 0],
    [20, 0.75, 5],
    [20, 0.35, 13],
    [7, 0.3, 5],
    [10, 0.29, 8], // 2.9 steps: 2
    [1, 1, 0],
  ])('%i steps at strength %d begin at step %i', (steps, strength, start) => {
    expect(startIndex(steps, strength)).toBe(start);
  });

  it.each([0, 0.04, -1, 1.01, Number.NaN])('strength %d of 20 steps is refused', (strength) => {
    expect(() => startIndex(20, strength)).toThrow(UsageError);
  });

  it.each([0, 1001, 2.5, Number.NaN, -3])('%d steps are refused', (steps) => {
    expect(() => makeSchedule('euler', config, steps)).toThrow(UsageError);
  });

  it.each(samplerNames)('%s: any number of steps descends to the picture, or is refused', (name) => {
    for (const timestepSpacing of ['leading', 'linspace', 'trailing'] as const) {
      for (const steps of [1, 2, 3, 15, 61, 103, 333, 500, 501, 999, 1000]) {
        let schedule: ReturnType<typeof makeSchedule>;
        try {
          schedule = makeSchedule(name, { ...config, timestepSpacing }, steps);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect(steps).toBeGreaterThan(300);
          continue;
        }
        expect(schedule.timesteps.length).toBe(steps);
        expect(schedule.sigmas.every(Number.isFinite)).toBe(true);
        expect(schedule.timesteps.every((t) => t >= 0 && t < 1000)).toBe(true);
      }
    }
  });

  it('a schedule for one sampler is not taken for another', () => {
    const { x, schedule } = begin('heun');
    expect(() => sampleWith('euler', analytic(), x, schedule, { mix })).toThrow(UsageError);
  });
});
