/** A search for the fastest tiles of all products that a model's pictures take: its text encoder's, UNet's and VAE's. */
import type { KernelTime } from '../gpu/clock.js';
import type { Gpu } from '../gpu/gpu.js';
import { generate } from '../pipeline/generate.js';
import type { Model } from '../pipeline/model.js';
import { compareWhole, type Search, type SearchOptions, searchTilings, tuningFrom, type Whole } from './search.js';

export interface TuneOptions extends SearchOptions {
  /** Pixels; by default what the model was trained on. */
  readonly width?: number;
  readonly height?: number;
  /** Pictures at once: products of other sizes are other products. */
  readonly count?: number;
}

export interface Tuned extends Search {
  /** Of a picture of WHOLE_STEPS steps, without and with all of these; undefined where there are none. */
  readonly whole?: Whole;
  /** Whether they should be kept: the whole picture is faster, too. */
  readonly isFaster: boolean;
}

export const WHOLE_STEPS = 8;

/** Tries every tiling of a model's products on the device that the model is on. Needs timestamp queries. */
export async function tuneModel(model: Model, options: TuneOptions = {}): Promise<Tuned> {
  const { gpu } = model;
  const { width, height, count, signal } = options;
  const draw = (steps: number) => generate(model, { prompt: 'a cat', seed: 1, steps, width, height, count, signal });
  const valuesOf = async (events: ReturnType<typeof draw>): Promise<Float32Array> => {
    const values: number[] = [];
    for await (const event of events) {
      if (event.type !== 'image') continue;
      for (const x of event.latents) values.push(x);
      for (const x of event.image.pixels) values.push(x / 255);
    }
    return Float32Array.from(values);
  };
  const search = await withKernelTimes(gpu, (take) =>
    searchTilings(gpu, async () => ({ values: await valuesOf(draw(1)), times: take() }), options),
  );
  if (search.products.length === 0) return { ...search, isFaster: false };
  const whole = await compareWhole(gpu, tuningFrom(search.products), async () => {
    for await (const _ of draw(WHOLE_STEPS)); // to the end
  });
  return { ...search, whole, isFaster: whole.after < whole.before };
}

/** `take` gives the times of all kernels since it was called before. */
async function withKernelTimes<T>(gpu: Gpu, use: (take: () => KernelTime[]) => Promise<T>): Promise<T> {
  const { onKernels } = gpu;
  let times: KernelTime[] = [];
  gpu.onKernels = (_, kernels) => times.push(...kernels);
  const take = () => {
    const taken = times;
    times = [];
    return taken;
  };
  try {
    return await use(take);
  } finally {
    gpu.onKernels = onKernels;
  }
}
