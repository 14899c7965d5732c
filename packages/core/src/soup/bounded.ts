/**
 * The averages of sums that are known to be small: what their kernels are told once, and what they are told anew for other
 * weights. All places that lie in one chunk and go to one buffer, in one layout, are one dispatch (places.wgsl).
 */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { packParams } from '../gpu/kernel.js';
import { type Bound, bindAverage, largestExponentFor, PARAMS_PITCH } from './average-pass.js';
import type { Average } from './blend.js';
import { type BoundedKernel, boundedKernel } from './bounded-kernel.js';
import { scaleOf, startOf, type Unpack, unpackFor } from './halves.js';
import type { Place } from './reach.js';

/** vec4u of a place's entry before its terms, and words of one. */
const HEAD = 3;
const LINE = 4;
/** Of runs: an entry, a tile. */
const WORDS_PER_RUN = 2;

export interface Bounded {
  /** Has a place averaged by these terms at the next `finish`; false where its sums may be large. */
  add(slot: number, average: Average, starts: readonly number[]): boolean;
  /** Writes what was added, and gives what averages it. */
  finish(): Bound[];
}

/** Of places whose halves have exponent fields up to `reaches`, on a device that has proved `forms`. */
export function createBounded(
  gpu: Gpu,
  places: readonly Place[],
  { reaches, forms }: { readonly reaches: readonly number[]; readonly forms: readonly Unpack[] },
  make: (bytes: number, usage: GPUBufferUsageFlags, label: string) => GPUBuffer,
): Bounded {
  const { queue } = gpu.device;
  const { COPY_DST, STORAGE, UNIFORM } = Usage;
  const groups = groupsOf(gpu, places, { reaches, forms });
  const groupBySlot: Group[] = [];
  for (const group of groups) for (const slot of group.slots) groupBySlot[slot] = group;
  const entries: number[] = [];
  let lines = 0;
  for (const [slot, { piece }] of places.entries()) {
    entries.push(lines);
    const atOnce = groupBySlot[slot]?.kernel.atOnce ?? 1;
    lines += HEAD + Math.ceil(piece.average.terms.length / atOnce) * atOnce;
  }
  const table = make(Math.max(1, lines) * LINE * 4, STORAGE | COPY_DST, 'averaging tables');
  const words = new Uint32Array(table.size / 4);
  const floats = new Float32Array(words.buffer);
  const tiles = groups.reduce(
    (sum, { kernel, slots }) => sum + slots.reduce((n, i) => n + kernel.tiles(places[i]!), 0),
    0,
  );
  const runs = make(Math.max(1, tiles) * WORDS_PER_RUN * 4, STORAGE | COPY_DST, 'runs of averages');
  const runWords = new Uint32Array(runs.size / 4);
  const params = make(Math.max(1, groups.length) * PARAMS_PITCH, UNIFORM | COPY_DST, 'averaging parameters');
  const packed = new ArrayBuffer(params.size);

  let run = 0;
  const bound = groups.map(({ kernel, slots }, index): Bound => {
    const first = run;
    for (const slot of slots) {
      const at = entries[slot]! * LINE;
      words.set(kernel.shapeOf(places[slot]!), at + LINE);
      for (let tile = 0; tile < kernel.tiles(places[slot]!); tile++, run++) {
        runWords[run * WORDS_PER_RUN] = entries[slot]!;
        runWords[run * WORDS_PER_RUN + 1] = tile;
      }
    }
    const view = new DataView(packed, index * PARAMS_PITCH, PARAMS_PITCH);
    packParams(kernel.pipeline.source, { first_run: first, runs: run - first }, view);
    const { chunk, piece } = places[slots[0]!]!;
    const buffers = { params, table, runs, input: chunk.input, output: { buffer: piece.target!.buffer } };
    const group = bindAverage(gpu, kernel.pipeline, buffers, index);
    return { pipeline: kernel.pipeline, group, workgroups: spread(run - first, 1) };
  });
  queue.writeBuffer(params, 0, packed);
  queue.writeBuffer(runs, 0, runWords);

  const wanted = new Set<Group>();
  return {
    add(slot, { terms, q, result, keepZeroSign }, starts) {
      const group = groupBySlot[slot];
      if (!group || result !== 'F16' || keepZeroSign) return false;
      let [sum, size] = [0, 0];
      for (const { p } of terms) {
        sum += p;
        size += Math.abs(p);
      }
      if (reaches[slot]! > largestExponentFor(size)) return false;
      const { atOnce, unit, unpack } = group.kernel;
      let at = entries[slot]! * LINE;
      const count = Math.ceil(terms.length / atOnce) * atOnce;
      words[at] = count;
      words[at + 1] = q;
      floats[at + 2] = scaleOf(q);
      words[at + 3] = startOf(unpack, 2 * sum);
      at += HEAD * LINE;
      for (let i = 0; i < count; i++, at += LINE) {
        const p = 2 * (terms[i]?.p ?? 0);
        words[at] = (starts[i] ?? starts[0]!) / unit;
        words[at + 1] = p;
        words[at + 2] = p << 12;
      }
      wanted.add(group);
      return true;
    },
    finish() {
      queue.writeBuffer(table, 0, words);
      for (const at of entries) words[at * LINE] = 0; // the next time, only what is added then
      const of = bound.filter((_, i) => wanted.has(groups[i]!));
      wanted.clear();
      return of;
    },
  };
}

interface Group {
  readonly kernel: BoundedKernel;
  readonly slots: readonly number[];
}

/** What is one dispatch; those that go to the same buffer, of which each waits for the one before, far from each other. */
function groupsOf(
  gpu: Gpu,
  places: readonly Place[],
  { reaches, forms }: { readonly reaches: readonly number[]; readonly forms: readonly Unpack[] },
): Group[] {
  const numbers = new Map<unknown, number>();
  const numberOf = (one: unknown) => numbers.get(one) ?? numbers.set(one, numbers.size).get(one)!;
  const found = new Map<string, number[]>();
  for (const [slot, { chunk, piece }] of places.entries()) {
    if (!Number.isFinite(reaches[slot])) continue;
    const { width, packed, taps, target } = piece;
    const key = [numberOf(chunk), numberOf(target!.buffer), width, packed, taps].join();
    if (!found.get(key)?.push(slot)) found.set(key, [slot]);
  }
  const rounds = new Map<GPUBuffer, number>();
  const groups = [...found.values()].map((slots) => {
    const own = slots.map((slot) => places[slot]!);
    const { buffer } = own[0]!.piece.target!;
    const round = rounds.get(buffer) ?? 0;
    rounds.set(buffer, round + 1);
    const unpack = unpackFor(forms, Math.max(...slots.map((slot) => reaches[slot]!)));
    return { slots, round, kernel: boundedKernel(gpu, own, unpack) };
  });
  return groups.sort((a, b) => a.round - b.round);
}
