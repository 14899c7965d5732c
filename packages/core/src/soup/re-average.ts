/**
 * Averages of residents by other weights. What is run stays the same from one time to the next, and only tables and
 * parameters change: so the commands of the next time are encoded while the GPU works on these.
 */
import { MapMode } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import {
  type AverageKernel,
  averageKernel,
  bindAverage,
  isOfHalves,
  largestExponent,
  NO_TROUBLE,
  PARAMS_PITCH,
  packAverage,
  TROUBLE_BYTES,
} from './average-pass.js';
import { refuse } from './averager.js';
import type { Average } from './blend.js';
import { type Dispatch, dispatchOf, fillTable, type Piece } from './staging.js';

/** Where a piece's ingredients lie on the device: with every term that its averages may have, of any weight. */
export interface Place {
  readonly piece: Piece;
  /** Of each term, in bytes. */
  readonly starts: readonly number[];
  readonly chunk: Chunk;
}

interface Chunk {
  /** A table, then the ingredients' numbers. */
  readonly input: GPUBuffer;
  readonly tableBytes: number;
}

interface Buffers {
  readonly params: GPUBuffer;
  readonly trouble: GPUBuffer;
  readonly readback: GPUBuffer;
}

interface Bound extends AverageKernel {
  readonly group: GPUBindGroup;
}

interface Job {
  readonly place: Place;
  readonly slot: number;
  readonly dispatch: Dispatch;
  readonly bound: Bound;
  readonly isBounded: boolean;
}

/** `reaches`: by place, the largest exponent field of its halves. Gives what averages every target that it is given. */
export function createReaverage(
  gpu: Gpu,
  buffers: Buffers,
  places: readonly Place[],
  reaches: readonly number[],
): (averageFor: (target: GPUBuffer) => Average | undefined) => Promise<void> {
  const { queue } = gpu.device;
  const packed = new ArrayBuffer(places.length * PARAMS_PITCH);
  /** Made once: creating bind groups by the hundreds takes longer than the averages. */
  const bound = places.map(() => new Map<string, Bound>());
  let ready: { readonly of: readonly Bound[]; readonly commands: GPUCommandBuffer } | undefined;

  function jobFor(place: Place, slot: number, wanted: Average): Job {
    const dispatch = weighted(place, wanted);
    const { average } = dispatch.pieces[0]!;
    const isHalves = isOfHalves(average);
    const isBounded = isHalves && !average.keepZeroSign && reaches[slot]! <= largestExponent(average.terms);
    const key = `${isBounded} ${isHalves} ${average.result}`;
    let made = bound[slot]!.get(key);
    if (!made) {
      const kernel = averageKernel(gpu, dispatch, isBounded);
      const group = bindAverage(gpu, kernel.pipeline, { ...buffers, ...place.chunk }, slot, place.piece.target);
      made = { ...kernel, group };
      bound[slot]!.set(key, made);
    }
    return { place, slot, dispatch, bound: made, isBounded };
  }

  function encode(all: readonly Bound[]): GPUCommandBuffer {
    const encoder = gpu.device.createCommandEncoder({ label: 'average' });
    const pass = encoder.beginComputePass({ label: 'average' });
    for (const { pipeline, group, workgroups } of all) {
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    encoder.copyBufferToBuffer(buffers.trouble, 0, buffers.readback, 0, TROUBLE_BYTES);
    return encoder.finish();
  }

  return async (averageFor) => {
    const jobs = places.flatMap((place, slot) => {
      const average = averageFor(place.piece.target!);
      return average ? [jobFor(place, slot, average)] : [];
    });
    for (const [{ input, tableBytes }, own] of groupBy(jobs, ({ place }) => place.chunk)) {
      const table = new Uint32Array(tableBytes / 4);
      fillTable(
        own.map(({ dispatch }) => dispatch),
        table,
      );
      queue.writeBuffer(input, 0, table);
    }
    for (const [index, { bound, dispatch, slot }] of jobs.entries())
      packAverage(bound, dispatch, { index, slot, packed });
    queue.writeBuffer(buffers.params, 0, packed);
    queue.writeBuffer(buffers.trouble, 0, Uint32Array.of(NO_TROUBLE, NO_TROUBLE));

    const of = jobs.map(({ bound }) => bound);
    const isReady = ready?.of.length === of.length && of.every((one, i) => one === ready!.of[i]);
    queue.submit([isReady ? ready!.commands : encode(of)]);
    const told = jobs.every(({ isBounded }) => isBounded)
      ? undefined
      : gpu.settled(buffers.readback.mapAsync(MapMode.READ), 'averaging weights');
    ready = { of, commands: encode(of) };
    if (!told) return; // nothing to tell: what is queued after this finds the targets filled
    await told;
    const [special, large] = new Uint32Array(buffers.readback.getMappedRange().slice(0));
    buffers.readback.unmap();
    const dispatches = jobs.map(({ dispatch }) => dispatch);
    await refuse(dispatches, special!, 'special');
    await refuse(dispatches, large!, 'large');
  };
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

function groupBy<T, K>(all: readonly T[], keyOf: (one: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const one of all) {
    const group = groups.get(keyOf(one));
    if (group) group.push(one);
    else groups.set(keyOf(one), [one]);
  }
  return groups;
}
