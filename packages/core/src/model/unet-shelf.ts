/**
 * Several UNets of one architecture within one memory budget: as many places as fit, and what finds none is loaded over
 * the one that was used last. Of networks that are asked in turn, as those of an ensemble are, that keeps the most.
 */
import type { UNetConfig } from '../checkpoint/configs.js';
import { MemoryError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { STAGING_BYTES } from '../soup/averager.js';
import type { Blend } from '../soup/blend.js';
import type { LoadOptions } from '../soup/parameters.js';
import { createUNet, type UNet } from './components.js';

export interface UNetShelf {
  readonly config: UNetConfig;
  /** Bytes of weights on the device, of all places in use. */
  readonly bytes: number;
  readonly places: number;
  /** Puts a blend's weights into a place, unless one holds them. */
  load(blend: Blend, options?: LoadOptions): Promise<void>;
  /** What the network with a blend's weights says; see UNet.predict. */
  predict(blend: Blend, ...asked: Parameters<UNet['predict']>): ReturnType<UNet['predict']>;
  predictFootprint: UNet['predictFootprint'];
  destroy(): void;
}

export interface ShelfOptions {
  /** The most networks at once; by default as many as the budget has room for. */
  readonly places?: number;
  /** Bytes of activations that others on the same device need, such as the VAE; asked when weights are loaded. */
  readonly room?: () => number;
}

/** Tokens of a prompt in every model of CLIP's family: what room is kept for. */
const TOKENS = 77;

interface Place {
  readonly unet: UNet;
  blend?: Blend;
}

/** `first` is any blend of the architecture; the first place is reserved at once, nothing is read yet. */
export function createShelf(gpu: Gpu, config: UNetConfig, first: Blend, options: ShelfOptions = {}): UNetShelf {
  let most = options.places ?? Number.POSITIVE_INFINITY;
  const one = createUNet(gpu, config, first);
  const { sampleSize } = config;
  const own = one.predictFootprint({ images: 2, height: sampleSize, width: sampleSize }, TOKENS).peak;
  // What a blend is read into, before it is averaged.
  const staging = Math.min(STAGING_BYTES, one.bytes * first.ingredients.length);
  const places: Place[] = [{ unet: one }];
  let last = places[0]!;

  /** Activations keep their room, whether they have been taken already or not; and so does what weights are read into. */
  function hasRoom(): boolean {
    const room = Math.max(own, options.room?.() ?? 0); // one pool serves all
    const taken = gpu.activations.reduce((sum, { size }) => sum + size, 0);
    return places.length < most && one.bytes + Math.max(0, room - taken) + staging <= gpu.memory.available;
  }

  async function fill(place: Place, blend: Blend, options?: LoadOptions): Promise<UNet> {
    last = place;
    place.blend = undefined; // until it is there, in case that this is broken off
    await place.unet.load(blend, options);
    place.blend = blend;
    return place.unet;
  }

  async function take(blend: Blend, options?: LoadOptions): Promise<UNet> {
    const holder = places.find((place) => place.blend === blend);
    if (holder) {
      last = holder;
      return holder.unet;
    }
    const empty = places.find((place) => place.blend === undefined);
    if (empty) return fill(empty, blend, options);
    if (!hasRoom()) return fill(last, blend, options);
    const place: Place = { unet: createUNet(gpu, config, blend) };
    places.push(place);
    return fill(place, blend, options);
  }

  /** Activations may take more than was foreseen, as for a larger picture: then a place is given up for them. */
  async function withRoom<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof MemoryError) || places.length === 1) throw error;
        most = places.length - 1;
        places.pop()!.unet.destroy();
        last = places.at(-1)!;
      }
    }
  }

  return {
    config,
    get bytes() {
      return one.bytes * places.length;
    },
    get places() {
      return places.length;
    },
    async load(blend, options) {
      await withRoom(() => take(blend, options));
    },
    predict: (blend, ...asked) => withRoom(async () => (await take(blend)).predict(...asked)),
    predictFootprint: one.predictFootprint,
    destroy() {
      for (const { unet } of places) unet.destroy();
    },
  };
}

/** A shelf's network as a model's own, for as long as the shelf stands. */
export function shelvedUNet(shelf: UNetShelf, blend: Blend): UNet {
  let current = blend;
  return {
    config: shelf.config,
    get bytes() {
      return shelf.bytes;
    },
    async load(from, options) {
      await shelf.load(from, options);
      current = from;
    },
    predict: (...asked) => shelf.predict(current, ...asked),
    submit: undefined, // networks that take turns in one place are waited for
    predictFootprint: shelf.predictFootprint,
    destroy() {},
  };
}
