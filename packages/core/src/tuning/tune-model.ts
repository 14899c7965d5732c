/** A search for the fastest tiles of all products that a model's pictures take: its text encoder's, UNet's and VAE's. */
import type { KernelTime } from '../gpu/clock.js';
import { generate } from '../pipeline/generate.js';
import type { Model } from '../pipeline/model.js';
import { type SearchOptions, searchTilings, type TunedProduct } from './search.js';

export interface TuneOptions extends SearchOptions {
  /** Pixels; by default what the model was trained on. */
  readonly width?: number;
  readonly height?: number;
  /** Pictures at once: products of other sizes are other products. */
  readonly count?: number;
}

/** The products that another tiling makes faster, on the device that the model is on. Needs timestamp queries. */
export async function tuneModel(model: Model, options: TuneOptions = {}): Promise<TunedProduct[]> {
  const { gpu } = model;
  const { onKernels } = gpu;
  const { width, height, count, signal } = options;
  let times: KernelTime[] = [];
  gpu.onKernels = (_, kernels) => times.push(...kernels);
  try {
    return await searchTilings(
      gpu,
      async () => {
        times = [];
        const values: number[] = [];
        const request = { prompt: 'a cat', seed: 1, steps: 1, width, height, count, signal };
        for await (const event of generate(model, request)) {
          if (event.type !== 'image') continue;
          for (const x of event.latents) values.push(x);
          for (const x of event.image.pixels) values.push(x / 255);
        }
        return { values: Float32Array.from(values), times };
      },
      options,
    );
  } finally {
    gpu.onKernels = onKernels;
  }
}
