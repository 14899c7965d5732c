/**
 * Ingredients that stay on the device, so that other weights need no file: a re-blend writes small tables and dispatches
 * the averages again (re-average.ts), on the same bytes as when they are read. They lie as averaging reads them
 * (staging.ts), in as many buffers as bindings and staging memory ask for.
 */
import { throwIfAborted } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { PARAMS_PITCH } from './average-pass.js';
import { batchesOf } from './averager.js';
import { proveHalves } from './halves.js';
import { createReaverage, type Reaverage } from './re-average.js';
import { createReach, type Place } from './reach.js';
import { align4, elementsOf, fillNumbers, layOut, type Piece } from './staging.js';

export interface Residents {
  /** Held on the device. */
  readonly bytes: number;
  readonly average: Reaverage;
  destroy(): void;
}

export interface ResidentsOptions {
  readonly signal?: AbortSignal;
  /** Bytes read so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** However large the budget is: where nobody set one, pictures need room too. */
const MOST_BYTES = 8 * 2 ** 30;

/** Bytes of one buffer: two of them are in the host's memory for a moment. */
const CHUNK_BYTES = 128 * 2 ** 20;
/** Numbers begin at whole lines of memory. */
const ALIGNMENT = 256;
/** About what a piece needs besides its ingredients: parameters and tables, and of runs 8 bytes to 128 numbers at most. */
const smallBytes = (piece: Piece): number => PARAMS_PITCH + 512 + elementsOf(piece) / 16;

/** What pieces of one buffer may take, of all ingredients, with their table. */
export const residentBytes = ({ device }: Gpu): number =>
  Math.min(CHUNK_BYTES, device.limits.maxStorageBufferBindingSize) - ALIGNMENT;

/**
 * Pieces have targets, and all terms that their averages may ever have. Undefined when the budget, or the device, has no
 * room for them.
 */
export async function createResidents(
  gpu: Gpu,
  pieces: readonly Piece[],
  { signal, onProgress }: ResidentsOptions = {},
): Promise<Residents | undefined> {
  const batches = chunksOf(gpu, pieces).map((batch) => ({ batch: layOut(batch, ALIGNMENT), pieces: batch }));
  const total = batches.reduce((sum, { batch }) => sum + batch.bytes, 0);
  const bytes =
    batches.reduce((sum, { batch }) => sum + align4(batch.bytes), 0) +
    pieces.reduce((sum, piece) => sum + smallBytes(piece), 0);
  // What is only an offer of others, residents among them, is left to them.
  if (bytes > Math.min(gpu.memory.budget - gpu.memory.used, MOST_BYTES)) return undefined;

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
    const reach = createReach(gpu, make(pieces.length * 4, Usage.STORAGE | Usage.COPY_SRC, 'largest exponents'));
    const places: Place[] = [];
    let done = 0;
    let copied: Promise<unknown> = Promise.resolve();
    for (const { batch, pieces } of batches) {
      throwIfAborted(signal);
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
      const chunk = { input, tableBytes: batch.tableBytes };
      const added = pieces.map((piece, i) => ({ piece, starts: batch.starts[i]!, chunk }));
      reach.measure(input, added, places.length);
      places.push(...added);
      copied = gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'loading weights');
      copied.catch(() => {}); // reported where it is waited for
      done += batch.bytes;
      onProgress?.(done, total);
    }
    await copied;
    const reaches = await reach.read();
    const average = createReaverage(gpu, places, { reaches, forms: await proveHalves(gpu) }, make);
    return { bytes: made.reduce((sum, { size }) => sum + size, 0), average, destroy };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** What lies in one buffer: pieces that go to one, since these are averaged in one dispatch. */
function chunksOf(gpu: Gpu, pieces: readonly Piece[]): Piece[][] {
  const buffers = new Map<GPUBuffer, Piece[]>();
  for (const piece of pieces) {
    const { buffer } = piece.target!;
    if (!buffers.get(buffer)?.push(piece)) buffers.set(buffer, [piece]);
  }
  return [...buffers.values()].flatMap((own) => batchesOf(own, residentBytes(gpu)));
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
