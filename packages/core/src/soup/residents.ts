/**
 * Ingredients that stay on the device, so that other weights need no file: a re-blend writes small tables and dispatches
 * average.wgsl again, on the same bytes as when they are read. They lie as averaging reads them (staging.ts), in as many
 * buffers as bindings and staging memory ask for.
 */
import { CancelledError } from '../errors.js';
import { MapMode, Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import type { Pipeline } from '../gpu/kernel.js';
import {
  type AverageBuffers,
  bindAverage,
  encodeAverage,
  NO_TROUBLE,
  PARAMS_PITCH,
  TROUBLE_BYTES,
} from './average-pass.js';
import { batchesOf, refuse, STAGING_BYTES } from './averager.js';
import type { Average } from './blend.js';
import {
  align4,
  type Batch,
  type Dispatch,
  dispatchOf,
  fillNumbers,
  fillTable,
  layOut,
  type Piece,
} from './staging.js';

export interface Residents {
  /** Held on the device. */
  readonly bytes: number;
  /** Whether all terms of a target's average are here. */
  has(target: GPUBuffer, average: Average): boolean;
  /** Fills every target that `averageFor` has an average for; that must be here. */
  average(averageFor: (target: GPUBuffer) => Average | undefined): Promise<void>;
  destroy(): void;
}

export interface ResidentsOptions {
  readonly signal?: AbortSignal;
  /** Bytes read so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** However large the budget is: where nobody set one, pictures need room too. */
const MOST_BYTES = 8 * 2 ** 30;

/**
 * Dispatches that write to the same buffer wait for one another, and every average may have trouble to tell: so they take
 * turns with as many buffers for it.
 */
const TROUBLES = 32;

interface Place {
  /** With every term that its averages may have, of any weight. */
  readonly piece: Piece;
  readonly starts: readonly number[];
  /** What its dispatch is bound to, of the pipeline that it was made for. */
  bound?: { readonly pipeline: Pipeline; readonly group: GPUBindGroup };
}

interface Chunk {
  readonly batch: Batch;
  readonly places: readonly Place[];
  readonly input: GPUBuffer;
  readonly params: GPUBuffer;
}

/**
 * Pieces have targets, and all terms that their averages may ever have. Undefined when the budget, or the device, has no
 * room for them.
 */
export async function createResidents(
  gpu: Gpu,
  pieces: readonly Piece[],
  { signal, onProgress }: ResidentsOptions = {},
): Promise<Residents | undefined> {
  const limit = Math.min(STAGING_BYTES, gpu.device.limits.maxStorageBufferBindingSize);
  const batches = batchesOf(pieces, limit).map((batch) => ({ batch: layOut(batch), pieces: batch }));
  const sizeOf = ({ batch, pieces }: (typeof batches)[number]) => align4(batch.bytes) + pieces.length * PARAMS_PITCH;
  const bytes = batches.reduce((sum, batch) => sum + sizeOf(batch), 2 * TROUBLES * TROUBLE_BYTES);
  const total = batches.reduce((sum, { batch }) => sum + batch.bytes, 0);
  // What is only an offer of others, residents among them, is left to them.
  if (bytes > Math.min(gpu.memory.budget - gpu.memory.used, MOST_BYTES)) return undefined;

  const chunks: Chunk[] = [];
  const made: GPUBuffer[] = [];
  const make = (size: number, usage: GPUBufferUsageFlags, label: string) => {
    const buffer = gpu.createBuffer(size, usage, label);
    made.push(buffer);
    return buffer;
  };
  const destroy = () => {
    for (const buffer of made.splice(0)) gpu.destroyBuffer(buffer);
  };
  try {
    const troubles = Array.from({ length: TROUBLES }, () =>
      make(TROUBLE_BYTES, Usage.STORAGE | Usage.COPY_SRC | Usage.COPY_DST, 'averaging trouble'),
    );
    const readback = make(TROUBLES * TROUBLE_BYTES, Usage.MAP_READ | Usage.COPY_DST, 'averaging trouble, back');
    let done = 0;
    let copied: Promise<unknown> = Promise.resolve();
    for (const { batch, pieces } of batches) {
      if (signal?.aborted) throw new CancelledError('stopped on request', {}, { cause: signal.reason });
      const input = await createMapped(gpu, align4(batch.bytes), 'resident ingredients');
      if (!input) {
        await copied;
        destroy();
        return undefined;
      }
      made.push(input);
      await fillNumbers(batch, input.getMappedRange());
      await copied; // one buffer is read while the one before it goes to the device, and no more than those two
      input.unmap();
      gpu.device.queue.submit([]);
      copied = gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'loading weights');
      copied.catch(() => {}); // reported where it is waited for
      const places = pieces.map((piece, i): Place => ({ piece, starts: batch.starts[i]! }));
      const params = make(pieces.length * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'averaging parameters');
      chunks.push({ batch, places, input, params });
      done += batch.bytes;
      onProgress?.(done, total);
    }
    await copied;
    const byTarget = new Map(pieces.map((piece) => [piece.target!, piece]));
    return {
      bytes,
      has: (target, { terms }) => {
        const here = byTarget.get(target)?.average.terms;
        return here !== undefined && terms.every(({ info }) => here.some((term) => term.info === info));
      },
      average: (averageFor) => averageAll(gpu, chunks, { troubles, readback }, averageFor),
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** Undefined when the device is out of memory, which nobody else is told. */
async function createMapped(gpu: Gpu, size: number, label: string): Promise<GPUBuffer | undefined> {
  const { device, memory } = gpu;
  memory.reserve(size, label);
  device.pushErrorScope('out-of-memory');
  let buffer: GPUBuffer | undefined;
  try {
    const usage = Usage.STORAGE | Usage.COPY_DST;
    buffer = device.createBuffer({ size, usage, label, mappedAtCreation: true });
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // what WebGPU throws when there is no memory to map
  }
  const error = await gpu.settled(device.popErrorScope(), 'loading weights');
  if (buffer && !error) return buffer;
  memory.release(size);
  buffer?.destroy();
  return undefined;
}

async function averageAll(
  gpu: Gpu,
  chunks: readonly Chunk[],
  { troubles, readback }: { readonly troubles: readonly GPUBuffer[]; readonly readback: GPUBuffer },
  averageFor: (target: GPUBuffer) => Average | undefined,
): Promise<void> {
  const { queue } = gpu.device;
  const all: Dispatch[] = [];
  const encoder = gpu.device.createCommandEncoder({ label: 'average' });
  const pass = encoder.beginComputePass({ label: 'average' });
  for (const chunk of chunks) {
    const wanted = chunk.places.flatMap((place, slot) => {
      const average = averageFor(place.piece.target!);
      return average ? [{ place, slot, dispatch: weighted(place, average) }] : [];
    });
    if (wanted.length === 0) continue;
    const dispatches = wanted.map(({ dispatch }) => dispatch);
    const table = new Uint32Array(chunk.batch.tableBytes / 4);
    fillTable(dispatches, table);
    const packed = new ArrayBuffer(chunk.places.length * PARAMS_PITCH);
    wanted.forEach(({ place, slot, dispatch }, i) => {
      encodeAverage(gpu, pass, dispatch, { index: all.length + i, slot, packed }, (pipeline) =>
        boundTo(gpu, pipeline, { ...chunk, trouble: troubles[slot % TROUBLES]! }, place, slot),
      );
    });
    queue.writeBuffer(chunk.input, 0, table);
    queue.writeBuffer(chunk.params, 0, packed);
    all.push(...dispatches);
  }
  pass.end();
  for (const [i, trouble] of troubles.entries()) {
    encoder.copyBufferToBuffer(trouble, 0, readback, i * TROUBLE_BYTES, TROUBLE_BYTES);
    queue.writeBuffer(trouble, 0, Uint32Array.of(NO_TROUBLE, NO_TROUBLE));
  }
  queue.submit([encoder.finish()]);
  await gpu.settled(readback.mapAsync(MapMode.READ), 'averaging weights');
  const told = new Uint32Array(readback.getMappedRange().slice(0));
  readback.unmap();
  const [special, large] = [0, 1].map((kind) => Math.min(...told.filter((_, i) => i % 2 === kind)));
  await refuse(all, special!, 'special');
  await refuse(all, large!, 'large');
}

/** Made once: creating them by the hundreds takes longer than the averages. */
function boundTo(gpu: Gpu, pipeline: Pipeline, buffers: AverageBuffers, place: Place, slot: number): GPUBindGroup {
  if (place.bound?.pipeline !== pipeline) {
    place.bound = { pipeline, group: bindAverage(gpu, pipeline, buffers, slot, place.piece.target) };
  }
  return place.bound.group;
}

/** A place's dispatch for an average of some of its terms. */
function weighted({ piece, starts }: Place, average: Average): Dispatch {
  const { terms } = piece.average;
  const own = piece.packed ? { ...average, result: 'F16' as const } : average;
  return dispatchOf(
    { ...piece, average: own },
    average.terms.map(({ info }) => starts[terms.findIndex((term) => term.info === info)]!),
  );
}
