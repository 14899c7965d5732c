/** Sampling on the device is sampling on the host; steps are told when they are done, and memory is given back. */
import {
  blendOf,
  CancelledError,
  createUNet,
  DeviceError,
  type Gpu,
  generate,
  loadModel,
  type Model,
  openModelFolder,
} from '@diffusion-soup/core';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import type { Slice } from '../../packages/core/src/gpu/slice.ts';
import { denoise } from '../../packages/core/src/pipeline/denoise.ts';
import { guidedPredict } from '../../packages/core/src/pipeline/guidance.ts';
import { createLatentSpace, type LatentSpace } from '../../packages/core/src/pipeline/latents.ts';
import { samplerNames } from '../../packages/core/src/sampler/names.ts';
import { noiseStream, randn } from '../../packages/core/src/sampler/noise.ts';
import { sampleWith } from '../../packages/core/src/sampler/sample.ts';
import { addNoise, initialLatents, makeSchedule } from '../../packages/core/src/sampler/schedule.ts';
import type { Predict, Step } from '../../packages/core/src/sampler/step.ts';
import { mix } from '../../packages/core/src/sampler/vector.ts';
import { analytic } from '../null/sampler/analytic.ts';
import { diskFolder, PANTRY, REFERENCE } from '../support/files.ts';
import { random, relativeL2, testGpu } from '../support/gpu.ts';

/** f32 sums against double ones, over ten steps of which each begins with the last one's result; measured: below 7e-7. */
const BOUND = 3e-6;

const CONFIG = {
  ...{ numTrainTimesteps: 1000, betaStart: 0.00085, betaEnd: 0.012, betaSchedule: 'scaled_linear' as const },
  ...{ trainedBetas: null, predictionType: 'epsilon' as const, stepsOffset: 1 },
};
const SIZE = { images: 2, height: 5, width: 3 };
const CHANNELS = 3;
const SHAPE = [SIZE.images, CHANNELS, SIZE.height, SIZE.width];

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const noiseOf = (seed: number) => {
  const stream = noiseStream(seed);
  return () => stream.normal(SHAPE);
};

/** A network that answers on the host. */
const onHost =
  (space: LatentSpace, network: Predict): Predict<Slice> =>
  async (x, t) =>
    space.upload(await network(await space.read(x), t));

describe.each(samplerNames)('%s', (name) => {
  const cases = [
    { title: 'from noise' },
    { title: 'from a picture', strength: 0.45 },
    { title: 'of a network that predicts velocity', predictionType: 'v_prediction' as const },
    { title: 'of the third order, beginning with Runge-Kutta', raw: { skip_prk_steps: false }, solverOrder: 3 },
    ...(name === 'ddim' ? [{ title: 'with fresh noise', eta: 1 }] : []),
  ];
  test.each(cases)('$title', async ({ strength, eta, title: _, ...config }) => {
    const schedule = makeSchedule(name, { ...CONFIG, ...config }, 10, { strength });
    const first = strength
      ? addNoise(randn(1, SHAPE), randn(2, SHAPE), schedule)
      : initialLatents(randn(1, SHAPE), schedule);
    const expected: Step[] = [];
    const options = { mix, noise: noiseOf(3), eta };
    for await (const step of sampleWith(name, analytic(), first, schedule, options)) expected.push(step);

    const { used } = gpu.memory;
    const space = createLatentSpace(gpu, SIZE, CHANNELS);
    const normal = noiseOf(3);
    const noise = () => space.upload(normal());
    const steps = sampleWith(name, onHost(space, analytic()), space.upload(first), schedule, {
      ...{ mix: space.mix, noise, eta },
    });
    const held: number[] = [];
    for await (const step of steps) {
      space.keepOnly([step.latents, step.denoised, ...step.history]);
      const { i, latents, denoised } = expected[step.i]!;
      expect(step.i).toBe(i);
      expect(relativeL2(await space.read(step.latents), latents)).toBeLessThan(BOUND);
      expect(relativeL2(await space.read(step.denoised), denoised)).toBeLessThan(BOUND);
      held.push(gpu.memory.used);
    }
    expect(held.length).toBe(expected.length);
    expect(held.at(-1)).toBe(held[Math.min(5, held.length - 1)]); // what is no longer needed is used again
    space.destroy();
    expect(gpu.memory.used).toBe(used);
  });
});

test('what is uploaded waits for sums of what was there before', async () => {
  const space = createLatentSpace(gpu, SIZE, CHANNELS);
  const [first, second] = [randn(1, SHAPE), randn(2, SHAPE)];
  const doubled = space.mix([2, space.upload(first)]);
  space.keepOnly([doubled]);
  const other = space.upload(second);
  expect(await space.read(doubled)).toEqual(first.map((x) => 2 * x));
  expect(await space.read(other)).toEqual(second);
  space.destroy();
});

test('latents that nobody kept are not looked at', async () => {
  const space = createLatentSpace(gpu, SIZE, CHANNELS);
  const [x, y] = [space.upload(randn(1, SHAPE)), space.upload(randn(2, SHAPE))];
  space.keepOnly([y]);
  space.mix([1, y]); // where x was
  expect(() => space.mix([1, x])).toThrow('nobody had kept');
  expect(() => space.keepOnly([x])).toThrow('nobody had kept');
  await expect(space.read(x)).rejects.toThrow('nobody had kept');
  expect(relativeL2(await space.read(y), randn(2, SHAPE))).toBe(0);
  space.destroy();
});

describe('steps', () => {
  /** A device of which every wait for submitted work is ended by hand, in order. */
  function watched() {
    const waits: (() => void)[] = [];
    return { gpu: waitingBy(() => new Promise<void>((resolve) => waits.push(resolve))), waits };
  }

  function waitingBy(onSubmittedWorkDone: () => Promise<void>): Gpu {
    const queue = new Proxy(gpu.device.queue, {
      get: (target, key) => {
        if (key === 'onSubmittedWorkDone') return onSubmittedWorkDone;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const device = new Proxy(gpu.device, {
      get: (target, key) => {
        if (key === 'queue') return queue;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    return Object.assign(Object.create(gpu) as Gpu, { device });
  }

  test.each([
    // The first one takes 20 ms, of which 5 are 100; the others 30, of which 4 are more. How many are submitted before each is done:
    {
      title: 'the next of short ones are submitted before one is done',
      ms: 20,
      counts: [1, 6, 7, 7, 8, 9, 10, 11, 12, 12, 12, 12],
    },
    { title: 'long ones are taken one by one', ms: 90, counts: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12] },
  ])('$title; none is told before it is done', async ({ ms, counts }) => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout'] });
    try {
      const tick = (ms = 5) => vi.advanceTimersByTimeAsync(ms);
      const { gpu: slow, waits } = watched();
      const space = createLatentSpace(slow, SIZE, CHANNELS);
      const schedule = makeSchedule('euler', CONFIG, counts.length);
      let submitted = 0;
      const predict: Predict<Slice> = async (x) => {
        submitted++;
        return space.mix([0.9, x]);
      };
      const told: number[] = [];
      const running = (async () => {
        for await (const { i } of denoise(space, predict, space.upload(randn(1, SHAPE)), schedule)) told.push(i);
      })();
      // Each step waits twice: for its prediction, and for all of it.
      for (const [step, count] of counts.entries()) {
        await tick(ms);
        expect(told).toEqual(Array.from({ length: step }, (_, i) => i));
        expect(submitted).toBe(count);
        for (let wait = 0; wait < 2; wait++) {
          for (const end of waits.splice(0, 1)) end();
          await tick(); // the second may be asked for when the first has ended
        }
      }
      await running;
      expect(told).toEqual([...counts.keys()]);
      space.destroy();
    } finally {
      vi.useRealTimers();
    }
  });

  test.each(['euler', 'heun'] as const)('the device has work while the host is held up: %s', async (name) => {
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout'] });
    try {
      const each = 10;
      let [free, idle, predictions, most] = [Date.now(), 0, 0, 0];
      const timed = waitingBy(() => new Promise((resolve) => setTimeout(resolve, Math.max(0, free - Date.now()))));
      const space = createLatentSpace(timed, SIZE, CHANNELS);
      const predict: Predict<Slice> = async (x) => {
        if (++predictions > 2) idle += Math.max(0, Date.now() - free);
        free = Math.max(free, Date.now()) + each;
        most = Math.max(most, free - Date.now());
        if (predictions === 30) vi.advanceTimersByTime(80);
        return space.mix([0.9, x]);
      };
      let isOver = false;
      const told: number[] = [];
      const running = (async () => {
        const schedule = makeSchedule(name, CONFIG, 40);
        for await (const { i } of denoise(space, predict, space.upload(randn(1, SHAPE)), schedule)) told.push(i);
      })().finally(() => {
        isOver = true;
      });
      running.catch(() => {}); // told below
      while (!isOver) {
        await new Promise(setImmediate); // the device's own promises
        await vi.advanceTimersByTimeAsync(1);
      }
      await running;
      expect(told).toEqual(Array.from({ length: 40 }, (_, i) => i));
      expect(idle).toBe(0);
      expect(most).toBeGreaterThan(80);
      expect(most).toBeLessThan(200);
      space.destroy();
    } finally {
      vi.useRealTimers();
    }
  });

  test('that are short end with what the device reports, whichever wait hears of it', async () => {
    const own = await testGpu('f32');
    const space = createLatentSpace(own, SIZE, CHANNELS);
    let asked = 0;
    const predict: Predict<Slice> = async (x) => {
      if (++asked === 60) own.device.createBuffer({ size: 4, usage: 0 });
      return space.mix([0.9, x]);
    };
    const schedule = makeSchedule('heun', CONFIG, 50);
    const told: number[] = [];
    const run = (async () => {
      for await (const { i } of denoise(space, predict, space.upload(randn(1, SHAPE)), schedule)) told.push(i);
    })();
    await expect(run).rejects.toThrow(DeviceError);
    expect(told.length).toBeGreaterThan(2);
    expect(told.length).toBeLessThan(30); // of two predictions each
    space.destroy();
  });

  test('that are short stop within a step, too', async () => {
    const space = createLatentSpace(gpu, SIZE, CHANNELS);
    const stop = new AbortController();
    const predict: Predict<Slice> = async (x) => space.mix([0.9, x]);
    const schedule = makeSchedule('heun', CONFIG, 50);
    const told: number[] = [];
    const run = (async () => {
      for await (const { i } of denoise(space, predict, space.upload(randn(1, SHAPE)), schedule, stop)) {
        told.push(i);
        if (i === 7) stop.abort();
      }
    })();
    await expect(run).rejects.toThrow(CancelledError);
    expect(told).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    space.destroy();
  });
});

describe('a model', () => {
  let model: Model;
  const request = { prompt: 'pizza', seed: 1, steps: 3, guidance: 4, width: 64, height: 32 };
  beforeAll(async () => {
    model = await loadModel(gpu, [{ folder: await openModelFolder(diskFolder(`${PANTRY}/base`)), weight: 1 }]);
  });

  test.each([4, 1])(
    'predicts with a guidance of %d as on the host, and where it answers there alone',
    async (guidance) => {
      const { unet } = model;
      const { inChannels: channels, crossAttentionDim } = unet.config;
      const size = { images: 2, height: 8, width: 4 };
      const images = guidance > 1 ? 4 : 2;
      const x = random([size.images, channels, size.height, size.width], 3).data;
      const context = random([images, 32, crossAttentionDim[0]!], 4).data;
      const twice = guidance > 1 ? Float32Array.from([...x, ...x]) : x;
      const times = new Float32Array(images).fill(321);
      const { output } = await unet.predict({ ...size, images }, twice, times, context);
      const [uncond, cond] = [output.subarray(0, x.length), output.subarray(-x.length)];
      const expected = guidance > 1 ? uncond.map((u, i) => u + guidance * (cond[i]! - u)) : output;

      const space = createLatentSpace(gpu, size, channels);
      const results: Float32Array[] = [];
      for (const network of [unet, { ...unet, submit: undefined }]) {
        const predict = guidedPredict(network, space, context, guidance);
        const y = await predict(space.upload(x), 321);
        await predict(space.upload(x), 5); // which takes the place of the network's output
        results.push(await space.read(y));
      }
      space.destroy();
      expect(relativeL2(results[0]!, expected)).toBeLessThan(1e-6);
      expect(relativeL2(results[1]!, results[0]!)).toBe(0);
    },
  );

  // The pantry's first level only convolves; those of Stable Diffusion attend there already.
  test.each(['pantry', 'sd15-tiny', 'sd21-tiny'])(
    '%s answers several conditionings of an image in one',
    async (name) => {
      const unet = name === 'pantry' ? model.unet : await referenceUNet(name);
      const { inChannels, crossAttentionDim } = unet.config;
      const size = { images: 2, height: 8, width: 16 };
      const x = random([size.images, inChannels, size.height, size.width], 3).data;
      const context = random([6, 7, crossAttentionDim[0]!], 4).data;
      const times = new Float32Array(6).fill(321);
      const one = await unet.predict({ ...size, conditionings: 3 }, x, times, context);
      const all = await unet.predict({ ...size, images: 6 }, Float32Array.from([...x, ...x, ...x]), times, context);
      expect(one.output).toEqual(all.output);
      const [shared, apart] = [
        { ...size, conditionings: 3 },
        { ...size, images: 6 },
      ].map((batch) => unet.predictFootprint(batch, 7));
      expect(shared!.peak).toBeLessThanOrEqual(apart!.peak);
    },
  );

  async function referenceUNet(name: string) {
    const folder = await openModelFolder(diskFolder(`${REFERENCE}/${name}`));
    const blend = blendOf([(await folder.weights('unet'))!]);
    const unet = createUNet(gpu, await folder.unetConfig(), blend);
    await unet.load(blend);
    return unet;
  }

  async function drawn(more: object = {}) {
    const latents: Float32Array[] = [];
    for await (const event of generate(model, { ...request, ...more })) {
      if (event.type === 'image') latents.push(event.latents);
    }
    return latents;
  }

  test('draws the same picture alone and in a batch', async () => {
    const batch = ['pizza', 'rocket'].map((prompt, i) => ({ prompt, seed: i + 1 }));
    for (const sampler of ['euler-ancestral', 'dpmpp-2m']) {
      const [first, second] = await drawn({ batch, sampler });
      expect((await drawn({ sampler }))[0]).toEqual(first);
      expect((await drawn({ sampler, prompt: 'rocket', seed: 2 }))[0]).toEqual(second);
    }
  });

  test('gives back the memory of a picture that is drawn, left, cancelled or failed', async () => {
    await drawn({ previewEvery: 1 });
    const { used } = gpu.memory;
    await drawn({ sampler: 'unipc' });
    expect(gpu.memory.used).toBe(used);

    for await (const { type } of generate(model, request)) if (type === 'step') break;
    expect(gpu.memory.used).toBe(used);

    const stop = new AbortController();
    const cancelled = (async () => {
      for await (const { type } of generate(model, { ...request, signal: stop.signal }))
        if (type === 'step') stop.abort();
    })();
    await expect(cancelled).rejects.toThrow(CancelledError);
    expect(gpu.memory.used).toBe(used);

    let asked = 0;
    const submit: Model['unet']['submit'] = (...question) => {
      if (++asked === 2) throw new Error('broken');
      return model.unet.submit!(...question);
    };
    const broken = (async () => {
      for await (const _ of generate({ ...model, unet: { ...model.unet, submit } }, request));
    })();
    await expect(broken).rejects.toThrow('broken');
    expect(gpu.memory.used).toBe(used);
    expect((await drawn())[0]!.every(Number.isFinite)).toBe(true);
  });
});
