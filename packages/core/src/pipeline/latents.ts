/**
 * Latents that stay on the device while a picture is drawn, (N, h, w, C) in f32: what samplers mix there, and the ways in
 * and out. Memory follows one rule: of all that was made, `keepOnly` says what will be looked at again, and the rest is
 * written over by what comes. The device works in the order in which it was asked, so nothing need be waited for.
 */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { createMixer } from '../gpu/mixer.js';
import { readBuffer } from '../gpu/read-buffer.js';
import type { Slice } from '../gpu/slice.js';
import { toChannelsFirst, toChannelsLast } from '../image/layout.js';
import type { Sample } from '../model/components.js';
import type { Mix } from '../sampler/index.js';

export interface LatentSpace {
  readonly gpu: Gpu;
  readonly size: Sample;
  /** Takes latents of this space and what others have on the device, such as a part of a network's output. */
  readonly mix: Mix<Slice>;
  /** From the host, (N, C, h, w). */
  upload(values: Float32Array): Slice;
  /** To the host, (N, C, h, w). */
  read(latents: Slice): Promise<Float32Array>;
  /** Submits what was mixed, so that it comes before what others submit. */
  flush(): void;
  /** Nothing else that was made here is looked at again. */
  keepOnly(latents: Iterable<Slice>): void;
  destroy(): void;
}

const { COPY_DST, COPY_SRC, STORAGE } = Usage;
const BYTES = Float32Array.BYTES_PER_ELEMENT;

export function createLatentSpace(gpu: Gpu, size: Sample, channels: number): LatentSpace {
  const count = size.images * size.height * size.width * channels;
  const mixer = createMixer(gpu);
  const own = new Set<GPUBuffer>();
  const free: GPUBuffer[] = [];
  let kept = new Set<Slice>();

  function fresh(): Slice {
    let buffer = free.pop();
    if (!buffer) {
      buffer = gpu.createBuffer(count * BYTES, STORAGE | COPY_SRC | COPY_DST, 'latents');
      own.add(buffer);
    }
    const latents = { buffer, first: 0, count };
    kept.add(latents);
    return latents;
  }
  const check = (x: Slice): Slice => {
    if (own.has(x.buffer) && !kept.has(x)) throw new Error('latents were asked for that nobody had kept');
    return x;
  };

  return {
    gpu,
    size,
    mix(...terms) {
      for (const [, x] of terms) check(x);
      const y = fresh();
      mixer.mix(y, terms);
      return y;
    },
    upload(values) {
      mixer.flush(); // which may yet read what was in this memory before
      const y = fresh();
      const data = toChannelsLast(values, size.images, channels);
      gpu.device.queue.writeBuffer(y.buffer, 0, data as Float32Array<ArrayBuffer>);
      return y;
    },
    async read(latents) {
      mixer.flush();
      const bytes = await readBuffer(gpu, check(latents).buffer, count * BYTES, 'reading latents');
      return toChannelsFirst(new Float32Array(bytes), size.images, channels);
    },
    flush: mixer.flush,
    keepOnly(latents) {
      const wanted = new Set(Array.from(latents, check));
      for (const one of kept) if (!wanted.has(one)) free.push(one.buffer);
      kept = wanted;
    },
    destroy() {
      mixer.destroy();
      for (const buffer of own) gpu.destroyBuffer(buffer);
    },
  };
}
