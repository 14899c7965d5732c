/**
 * Averaging on the GPU, straight from the files into wherever the result is wanted: a ring of mapped staging buffers,
 * so that one batch is read while another is averaged (average.wgsl) and a third is being written by the caller.
 */

import { throwIfAborted } from '../errors.js';
import { MapMode, Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { averageKernel, bindAverage, NO_TROUBLE, PARAMS_PITCH, packAverage, TROUBLE_BYTES } from './average-pass.js';
import { align4, type Batch, type Dispatch, fill, layOut, type Piece, pieceBytes, resultBytes } from './staging.js';
import { explainTrouble, type Trouble } from './trouble.js';

export interface AveragingOptions {
  /** Bytes of one staging buffer; there are three on the host's side and one on the device. */
  readonly stagingBytes?: number;
  readonly signal?: AbortSignal;
}

/** What has been averaged. Pieces without a target have bytes, in order; they are valid until the next batch. */
export interface Averaged {
  readonly pieces: readonly Piece[];
  readonly bytes: readonly Uint8Array<ArrayBuffer>[];
}

export const STAGING_BYTES = 32 * 2 ** 20;

/** Pieces in a batch: small tensors come by the hundreds. */
export const MAX_PIECES = 512;
const SLOTS = 3;

interface Slot {
  readonly staging: GPUBuffer;
  readonly readback: GPUBuffer;
  /** Until staging memory is mapped again. */
  mapped: Promise<undefined>;
}

interface Ring {
  readonly slots: readonly Slot[];
  readonly input: GPUBuffer;
  readonly output: GPUBuffer;
  readonly trouble: GPUBuffer;
  readonly params: GPUBuffer;
  destroy(): void;
}

/** Averages pieces in their order. Work queued on the device after a batch was yielded sees its targets filled. */
export async function* averagePieces(
  gpu: Gpu,
  pieces: readonly Piece[],
  { stagingBytes = STAGING_BYTES, signal }: AveragingOptions = {},
): AsyncGenerator<Averaged> {
  const batches = batchesOf(pieces, stagingBytes);
  if (batches.length === 0) return;
  const ring = createRing(gpu, batches);
  const running: Promise<Averaged>[] = [];
  let handed = 0;
  async function* hand(): AsyncGenerator<Averaged> {
    const averaged = await running[0]!;
    yield averaged;
    running.shift();
    ring.slots[handed++ % SLOTS]!.readback.unmap();
  }
  try {
    for (const [i, batch] of batches.entries()) {
      throwIfAborted(signal);
      if (running.length === SLOTS) yield* hand();
      const done = run(gpu, ring, ring.slots[i % SLOTS]!, layOut(batch));
      done.catch(() => {}); // reported when its turn comes
      running.push(done);
    }
    while (running.length > 0) yield* hand();
  } finally {
    await Promise.allSettled(running);
    ring.destroy();
  }
}

/** Neighbours that fit one staging buffer. */
export function batchesOf(pieces: readonly Piece[], stagingBytes: number): Piece[][] {
  const batches: Piece[][] = [];
  let filled = Number.POSITIVE_INFINITY;
  for (const piece of pieces) {
    const bytes = pieceBytes(piece);
    if (filled + bytes > stagingBytes || batches.at(-1)!.length === MAX_PIECES) {
      batches.push([]);
      filled = 0;
    }
    batches.at(-1)!.push(piece);
    filled += bytes;
  }
  return batches;
}

function createRing(gpu: Gpu, batches: readonly (readonly Piece[])[]): Ring {
  const { device } = gpu;
  const most = (bytes: (piece: Piece) => number) =>
    Math.max(4, ...batches.map((batch) => batch.reduce((sum, piece) => sum + align4(bytes(piece)), 0)));
  const staged = most(pieceBytes);
  const results = most((piece) => (piece.target ? 0 : resultBytes(piece)));
  const made: GPUBuffer[] = [];
  const make = (size: number, usage: GPUBufferUsageFlags, label: string) => {
    const buffer = gpu.createBuffer(size, usage, label);
    made.push(buffer);
    return buffer;
  };
  try {
    const slots = Array.from({ length: Math.min(SLOTS, batches.length) }, (_, i): Slot => {
      gpu.memory.reserve(staged, 'staging memory');
      const usage = Usage.MAP_WRITE | Usage.COPY_SRC;
      const staging = device.createBuffer({ size: staged, usage, mappedAtCreation: true, label: `staging ${i}` });
      made.push(staging);
      const readback = make(results + TROUBLE_BYTES, Usage.MAP_READ | Usage.COPY_DST, `averages ${i}`);
      return { staging, readback, mapped: Promise.resolve(undefined) };
    });
    return {
      slots,
      input: make(staged, Usage.STORAGE | Usage.COPY_DST, 'averaging input'),
      output: make(results, Usage.STORAGE | Usage.COPY_SRC, 'averaging output'),
      trouble: make(TROUBLE_BYTES, Usage.STORAGE | Usage.COPY_SRC | Usage.COPY_DST, 'averaging trouble'),
      params: make(MAX_PIECES * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'averaging parameters'),
      destroy() {
        for (const buffer of made) gpu.destroyBuffer(buffer);
      },
    };
  } catch (error) {
    for (const buffer of made) gpu.destroyBuffer(buffer);
    throw error;
  }
}

/** One batch through one slot of the ring: read, average, and map what comes back. */
async function run(gpu: Gpu, ring: Ring, slot: Slot, batch: Batch): Promise<Averaged> {
  await gpu.settled(slot.mapped, 'averaging weights');
  await fill(batch, slot.staging.getMappedRange());
  slot.staging.unmap();
  submit(gpu, ring, slot, batch);
  slot.mapped = slot.staging.mapAsync(MapMode.WRITE) as Promise<undefined>;
  slot.mapped.catch(() => {}); // waited for, and reported, when the slot is wanted again
  const size = batch.outputBytes + TROUBLE_BYTES;
  await gpu.settled(slot.readback.mapAsync(MapMode.READ, 0, size), 'averaging weights');
  const range = slot.readback.getMappedRange(0, size);
  const [special, large] = new Uint32Array(range, batch.outputBytes, 2);
  await refuse(batch.dispatches, special!, 'special');
  await refuse(batch.dispatches, large!, 'large');
  return handOut(batch, range);
}

/** Throws when `index` names a dispatch whose numbers are refused. */
export async function refuse(dispatches: readonly Dispatch[], index: number, trouble: Trouble): Promise<void> {
  if (index === NO_TROUBLE) return;
  const { pieces } = dispatches[index]!;
  if (!pieces[0]!.average.allowNonFinite) await explainTrouble(pieces, trouble);
}

function handOut({ dispatches }: Batch, range: ArrayBuffer): Averaged {
  const pieces: Piece[] = [];
  const bytes: Uint8Array<ArrayBuffer>[] = [];
  for (const dispatch of dispatches) {
    pieces.push(...dispatch.pieces);
    if (dispatch.pieces[0]!.target) continue;
    bytes.push(new Uint8Array(range, dispatch.resultAt, dispatch.resultEnd - dispatch.resultAt));
  }
  return { pieces, bytes };
}

function submit(gpu: Gpu, ring: Ring, slot: Slot, batch: Batch): void {
  const { device } = gpu;
  const { input, output, trouble, params } = ring;
  const packed = new ArrayBuffer(batch.dispatches.length * PARAMS_PITCH);
  const encoder = device.createCommandEncoder({ label: 'average' });
  encoder.copyBufferToBuffer(slot.staging, 0, input, 0, batch.bytes);
  const pass = encoder.beginComputePass({ label: 'average' });
  batch.dispatches.forEach((dispatch, i) => {
    const { target } = dispatch.pieces[0]!;
    const kernel = averageKernel(gpu, dispatch);
    packAverage(kernel, dispatch, { index: i, slot: i, packed });
    pass.setPipeline(kernel.pipeline.pipeline);
    pass.setBindGroup(0, bindAverage(gpu, kernel.pipeline, { ...ring, output: { buffer: output } }, i, target));
    pass.dispatchWorkgroups(...kernel.workgroups);
  });
  pass.end();
  if (batch.outputBytes > 0) encoder.copyBufferToBuffer(output, 0, slot.readback, 0, batch.outputBytes);
  encoder.copyBufferToBuffer(trouble, 0, slot.readback, batch.outputBytes, TROUBLE_BYTES);
  device.queue.writeBuffer(params, 0, packed);
  device.queue.writeBuffer(trouble, 0, Uint32Array.of(NO_TROUBLE, NO_TROUBLE));
  device.queue.submit([encoder.finish()]);
}
