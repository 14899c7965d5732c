/** Core in a Web Worker: the page never waits for it. The newest request wins; the one before it is cancelled. */
import {
  CancelledError,
  createGpu,
  type Gpu,
  generate,
  loadModel,
  type Model,
  openModelFolder,
  wantedFeatures,
  wantedLimits,
} from '@diffusion-soup/core';
import { httpFolder } from './files/http.js';
import type { DrawRequest, Progress } from './messages.js';

const PANTRY = new URL('/pantry', self.location.href).href;
const say = (progress: Progress) => self.postMessage(progress);

let gpu: Gpu | undefined;
let loaded: { shards: string; weights: string; model: Model } | undefined;
let running: { controller: AbortController; finished: Promise<void> } | undefined;

self.onmessage = async ({ data }: MessageEvent<DrawRequest>) => {
  const before = running;
  const controller = new AbortController();
  before?.controller.abort();
  const finished = (before?.finished ?? Promise.resolve()).then(() => draw(data, controller.signal));
  running = { controller, finished };
};

async function draw(request: DrawRequest, signal: AbortSignal): Promise<void> {
  const { id } = request;
  try {
    if (signal.aborted) return;
    gpu ??= await openGpu();
    const model = await blend(gpu, request, signal);
    for await (const event of generate(model, { ...request, signal })) {
      if (event.type === 'step') say({ id, type: 'step', step: event.step, steps: event.steps });
      if (event.type === 'image') say({ id, type: 'image', ...event.image });
    }
  } catch (error) {
    if (error instanceof CancelledError || signal.aborted) return;
    say({ id, type: 'failed', message: error instanceof Error ? error.message : String(error) });
  }
}

async function openGpu(): Promise<Gpu> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) {
    throw new Error(
      'This browser has no WebGPU, or no GPU for it. A current Chrome, Edge or Safari on a computer with a GPU has.',
    );
  }
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  void device.lost.then(() => {
    gpu = undefined; // the next request starts over
    loaded = undefined;
  });
  return createGpu(device);
}

/** The model of these weights: loaded for other shards, re-averaged in place for other weights. */
async function blend(on: Gpu, { id, weights }: DrawRequest, signal: AbortSignal): Promise<Model> {
  const used = Object.entries(weights).filter(([, weight]) => weight > 0);
  if (used.length === 0) throw new Error('Every weight is 0: give one shard a weight.');
  const shards = used.map(([name]) => name).join();
  const shares = used.map(([, weight]) => weight);
  const onProgress = (part: string, done: number, total: number) => say({ id, type: 'loading', part, done, total });
  if (loaded?.shards !== shards) {
    await loaded?.model.destroy();
    loaded = undefined;
    const open = (name: string) => openModelFolder(httpFolder(`${PANTRY}/${name}`));
    const ingredients = await Promise.all(used.map(async ([name, weight]) => ({ folder: await open(name), weight })));
    const model = await loadModel(on, ingredients, { base: await open('base'), signal, onProgress });
    loaded = { shards, weights: shares.join(), model };
  } else if (loaded.weights !== shares.join()) {
    loaded.weights = ''; // until it is done, what is loaded is neither
    await loaded.model.reblend(shares, { signal, onProgress });
    loaded.weights = shares.join();
  }
  return loaded.model;
}
