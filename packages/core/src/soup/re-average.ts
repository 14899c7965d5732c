/**
 * Averages of residents by other weights. What is run stays the same from one time to the next, and only tables change: so
 * the commands of the next time are encoded while the GPU works on these. Most are bounded.ts's; the others are what files
 * would be averaged by, with a table before the ingredients.
 */
import { MapMode, Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import {
  type AverageKernel,
  averageKernel,
  type Bound,
  bindAverage,
  isOfHalves,
  NO_TROUBLE,
  PARAMS_PITCH,
  packAverage,
  TROUBLE_BYTES,
} from './average-pass.js';
import { refuse } from './averager.js';
import type { Average } from './blend.js';
import { createBounded } from './bounded.js';
import type { Unpack } from './halves.js';
import type { Place } from './reach.js';
import { type Dispatch, dispatchOf, fillTable, type Target } from './staging.js';

/** One whose sums may be large. */
interface Checked {
  readonly place: Place;
  readonly slot: number;
  readonly dispatch: Dispatch;
  readonly bound: Bound & AverageKernel;
}

/** Fills every target with what is wanted of it, if all terms are here; gives those that it filled. */
export type Reaverage = (wanted: ReadonlyMap<Target, Average>) => Promise<ReadonlySet<Target>>;

type Make = (bytes: number, usage: GPUBufferUsageFlags, label: string) => GPUBuffer;

/** `reaches`: by place, the largest exponent field of its halves; `forms`: how the device makes integers of them. */
export function createReaverage(
  gpu: Gpu,
  places: readonly Place[],
  known: { readonly reaches: readonly number[]; readonly forms: readonly Unpack[] },
  make: Make,
): Reaverage {
  const { queue } = gpu.device;
  const bounded = createBounded(gpu, places, known, make);
  const checked = createChecked(gpu, places, make);
  let ready: { readonly of: readonly Bound[]; readonly commands: GPUCommandBuffer } | undefined;

  function encode(all: readonly Bound[]): GPUCommandBuffer {
    const encoder = gpu.device.createCommandEncoder({ label: 'average' });
    const pass = encoder.beginComputePass({ label: 'average' });
    for (const { pipeline, group, workgroups } of all) {
      pass.setPipeline(pipeline.pipeline);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(...workgroups);
    }
    pass.end();
    checked.copyTrouble(encoder);
    return encoder.finish();
  }

  return async (wanted) => {
    const filled: Target[] = [];
    const others: Checked[] = [];
    for (const [slot, place] of places.entries()) {
      const { target, packed } = place.piece;
      const all = wanted.get(target!);
      const starts = all && startsOf(place, all);
      if (!starts) continue;
      filled.push(target!);
      const average = packed && all.result !== 'F16' ? { ...all, result: 'F16' as const } : all;
      if (!bounded.add(slot, average, starts)) others.push(checked.add(place, slot, average, starts));
    }
    if (filled.length === 0) return new Set();
    const of = [...bounded.finish(), ...others.map(({ bound }) => bound)];
    checked.write(others);
    const isReady = ready?.of.length === of.length && of.every((one, i) => one === ready!.of[i]);
    queue.submit([isReady ? ready!.commands : encode(of)]);
    const told = others.length > 0 ? checked.read(others) : undefined;
    ready = { of, commands: encode(of) };
    await told; // without others there is nothing to tell: what is queued after this finds the targets filled
    return new Set(filled);
  };
}

/** The averages of average.wgsl, which tells what it cannot average. */
function createChecked(gpu: Gpu, places: readonly Place[], make: Make) {
  const { queue } = gpu.device;
  const { COPY_DST, COPY_SRC, MAP_READ, STORAGE, UNIFORM } = Usage;
  const params = make(places.length * PARAMS_PITCH, UNIFORM | COPY_DST, 'averaging parameters');
  const trouble = make(TROUBLE_BYTES, STORAGE | COPY_SRC | COPY_DST, 'averaging trouble');
  const readback = make(TROUBLE_BYTES, MAP_READ | COPY_DST, 'averaging trouble, back');
  const packed = new ArrayBuffer(params.size);
  /** Made once: creating bind groups by the hundreds takes longer than the averages. */
  const made = places.map(() => new Map<string, Checked['bound']>());
  return {
    add(place: Place, slot: number, average: Average, starts: readonly number[]): Checked {
      const { piece, chunk } = place;
      const dispatch = dispatchOf({ ...piece, average }, starts);
      const key = `${isOfHalves(average)} ${average.result}`;
      let bound = made[slot]!.get(key);
      if (!bound) {
        const kernel = averageKernel(gpu, dispatch);
        const group = bindAverage(gpu, kernel.pipeline, { params, trouble, ...chunk }, slot, piece.target);
        bound = { ...kernel, group };
        made[slot]!.set(key, bound);
      }
      return { place, slot, dispatch, bound };
    },
    write(all: readonly Checked[]): void {
      if (all.length === 0) return;
      for (const chunk of new Set(all.map(({ place }) => place.chunk))) {
        const table = new Uint32Array(chunk.tableBytes / 4);
        const own = all.filter(({ place }) => place.chunk === chunk);
        fillTable(
          own.map(({ dispatch }) => dispatch),
          table,
        );
        queue.writeBuffer(chunk.input, 0, table);
      }
      for (const [index, { bound, dispatch, slot }] of all.entries())
        packAverage(bound, dispatch, { index, slot, packed });
      queue.writeBuffer(params, 0, packed);
      queue.writeBuffer(trouble, 0, Uint32Array.of(NO_TROUBLE, NO_TROUBLE));
    },
    copyTrouble: (encoder: GPUCommandEncoder) => encoder.copyBufferToBuffer(trouble, 0, readback, 0, TROUBLE_BYTES),
    async read(all: readonly Checked[]): Promise<void> {
      await gpu.settled(readback.mapAsync(MapMode.READ), 'averaging weights');
      const [special, large] = new Uint32Array(readback.getMappedRange().slice(0));
      readback.unmap();
      const dispatches = all.map(({ dispatch }) => dispatch);
      await refuse(dispatches, special!, 'special');
      await refuse(dispatches, large!, 'large');
    },
  };
}

/** Where the ingredients lie that an average is of: all of a place's terms, as a rule, or some; undefined if one is not there. */
function startsOf({ piece, starts }: Place, { terms }: Average): readonly number[] | undefined {
  const all = piece.average.terms;
  if (terms.length === all.length && terms.every(({ info }, i) => info === all[i]!.info)) return starts;
  const found = terms.map(({ info }) => starts[all.findIndex((term) => term.info === info)]);
  return found.every((start) => start !== undefined) ? found : undefined;
}
