/** What draws a batch: the GPU, with the soup of the moment loaded. Tests put another in its place. */
import {
  DeviceError,
  generate,
  type Image,
  isSoftware,
  loadModel,
  MemoryError,
  type Model,
} from '@diffusion-soup/core';
import { loadingProgress } from '../drawing.js';
import { adapterName, type OpenGpu } from '../gpu.js';
import { type Kitchen, openKitchen } from '../kitchen.js';
import type { Output } from '../output.js';
import { readStartPicture } from '../start-picture.js';
import type { Machine } from './address.js';
import type { Planned } from './plan.js';
import type { Soup } from './soups.js';

export interface DrawHooks {
  readonly signal?: AbortSignal;
  readonly onStep?: (step: number, steps: number) => void;
  readonly onWarning?: (warning: string) => void;
}

export interface Engine {
  readonly machine: Machine;
  /** Loads the soup, or gives the one that is there other weights; does nothing when it is the same. */
  prepare(soup: Soup, hooks: DrawHooks): Promise<void>;
  /** The most pictures of this kind in one go. Called when their soup is prepared. */
  batchSize(one: Planned): number;
  /** Pictures of one shape and of the soup that was prepared, in order. */
  draw(batch: readonly Planned[], hooks: DrawHooks): Promise<Image[]>;
  /** After the device was lost: a new one. */
  reset(): Promise<void>;
  close(): Promise<void>;
}

/** Larger batches gain nothing, and lose more when they are broken off. */
const LARGEST_BATCH = 16;
/** Of activations, where nobody set a budget: WebGPU does not tell how much memory there is. */
const USUAL_BUDGET = 4 * 2 ** 30;

export function machineOf({ gpu, adapter }: OpenGpu): Machine {
  const { vendor, architecture, device, description } = adapter.info;
  const adapterClass = [vendor, architecture, device || description].filter(Boolean).join('/');
  return { adapter: adapterName(adapter), adapterClass, precision: gpu.precision };
}

export interface GpuEngineOptions {
  /** Opens the device; again after one was lost. */
  readonly open: () => Promise<OpenGpu>;
  readonly output: Output;
}

export async function gpuEngine({ open, output }: GpuEngineOptions): Promise<Engine> {
  let opened = await open();
  const machine = machineOf(opened);
  let loaded: { family: string; key: string | undefined; kitchen: Kitchen; model: Model } | undefined;
  const drop = async () => {
    const old = loaded;
    loaded = undefined;
    await old?.model.destroy();
    await old?.kitchen.close();
  };
  const sizes = new Map<string, number>();
  return {
    machine,
    async prepare(soup, { signal }) {
      if (loaded?.key === soup.key) return;
      const kitchen = await openKitchen(soup.order, { ...output, note() {} });
      try {
        const { ingredients, ...settings } = kitchen.open;
        if (loaded?.family === soup.family) {
          loaded.key = undefined; // half of it may be new when this is broken off
          await loaded.model.reblend(
            ingredients.map(({ weight }) => weight),
            {
              signal,
              onProgress: loadingProgress(output, 'blending'),
              blocks: ingredients.map(({ blocks }) => blocks),
            },
          );
          loaded.key = soup.key;
          await kitchen.close();
          return;
        }
        await drop();
        const onProgress = loadingProgress(output);
        const model = await loadModel(opened.gpu, ingredients, { ...settings, signal, onProgress });
        loaded = { family: soup.family, key: soup.key, kitchen, model };
        sizes.clear();
      } catch (error) {
        if (loaded?.kitchen !== kitchen) await kitchen.close();
        throw error;
      }
    },
    batchSize({ settings }) {
      if (isSoftware(opened.adapter.info)) return 1; // as fast one by one, and sooner on the disk
      const key = `${settings.width}x${settings.height} ${settings.guidance > 1}`;
      let size = sizes.get(key);
      if (size === undefined) {
        size = largestBatch(loaded!.model, settings);
        sizes.set(key, size);
      }
      return size;
    },
    async draw(batch, { signal, onStep, onWarning }) {
      const { settings, start } = batch[0]!;
      const image = start && (await readStartPicture(start.path, settings, start.sha256));
      const images: Image[] = [];
      const entries = batch.map(({ settings: { prompt, negative, seed } }) => ({ prompt, negative, seed }));
      for await (const event of generate(loaded!.model, { ...settings, image, batch: entries, signal })) {
        if (event.type === 'start') for (const warning of event.warnings) onWarning?.(warning);
        if (event.type === 'step') onStep?.(event.step, event.steps);
        if (event.type === 'image') images[event.index] = event.image;
      }
      return images;
    },
    async reset() {
      await drop().catch(() => undefined); // what was lost cannot be freed
      loaded = undefined;
      opened = await open();
    },
    close: drop,
  };
}

function largestBatch({ unet, vae, textEncoder, gpu }: Model, settings: Planned['settings']): number {
  const { width, height, guidance } = settings;
  const { device, memory, activations } = gpu;
  const reusable = activations.reduce((sum, buffer) => sum + buffer.size, 0);
  const room = Math.min(USUAL_BUDGET, memory.available + reusable);
  const fits = (count: number): boolean => {
    const batch = {
      images: count,
      height: height / vae.factor,
      width: width / vae.factor,
      conditionings: guidance > 1 ? 2 : 1,
    };
    const { peak, largest } = unet.predictFootprint(batch, textEncoder.config.maxPositions);
    return largest <= device.limits.maxStorageBufferBindingSize && peak <= room;
  };
  let count = 1;
  while (count < LARGEST_BATCH && fits(count * 2)) count *= 2;
  return count;
}

/** The device has not enough memory: fewer pictures at once may help. */
export const isOutOfMemory = (error: unknown): boolean =>
  error instanceof MemoryError || (error instanceof DeviceError && /out of memory|allocat/i.test(error.message));
