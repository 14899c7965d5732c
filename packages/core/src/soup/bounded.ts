/** The averages of average-bounded.wgsl: what it is told once, and what it is told anew for other weights. */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { packParams } from '../gpu/kernel.js';
import { averageKernel, type BoundAverage, bindAverage, largestExponent, PARAMS_PITCH } from './average-pass.js';
import type { Average } from './blend.js';
import type { Place } from './reach.js';
import { dispatchOf } from './staging.js';

/** Words of a table before its entries, and of an entry. */
const HEAD = 3;
const PER_TERM = 2;

export interface Bounded {
  /** What averages a place by these terms, whose weights are then in the table; undefined where its sums may be large. */
  add(slot: number, average: Average, starts: readonly number[]): BoundAverage | undefined;
  /** Before what was added is submitted. */
  write(): void;
}

/** Of places whose halves have exponent fields up to `reaches`. */
export function createBounded(
  gpu: Gpu,
  places: readonly Place[],
  reaches: readonly number[],
  make: (bytes: number, usage: GPUBufferUsageFlags, label: string) => GPUBuffer,
): Bounded {
  const { queue } = gpu.device;
  const params = make(places.length * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'averaging parameters');
  const packed = new ArrayBuffer(params.size);
  const ends: number[] = [];
  for (const { piece } of places) ends.push((ends.at(-1) ?? 0) + HEAD + PER_TERM * piece.average.terms.length);
  const table = make((ends.at(-1) ?? 0) * 4, Usage.STORAGE | Usage.COPY_DST, 'averaging tables');
  const words = new Uint32Array(table.size / 4);
  const floats = new Float32Array(words.buffer);

  const bound = places.map(({ piece, starts, chunk }, slot) => {
    if (!Number.isFinite(reaches[slot])) return undefined;
    const kernel = averageKernel(gpu, dispatchOf(piece, starts), true);
    const view = new DataView(packed, slot * PARAMS_PITCH, PARAMS_PITCH);
    const { rows, channels, taps, width, firstRow, allRows } = piece;
    const first = width === 0 ? firstRow * channels * taps : firstRow;
    const at = { threads: kernel.threads, table: ends[slot - 1] ?? 0, first };
    packParams(kernel.pipeline.source, { ...at, rows, channels, taps, all_rows: allRows }, view);
    return { ...kernel, group: bindAverage(gpu, kernel.pipeline, { params, table, ...chunk }, slot, piece.target) };
  });
  queue.writeBuffer(params, 0, packed);

  return {
    add(slot, { terms, q, keepZeroSign }, starts) {
      const made = bound[slot];
      if (!made || keepZeroSign || reaches[slot]! > largestExponent(terms)) return undefined;
      let at = ends[slot - 1] ?? 0;
      words[at++] = terms.length;
      words[at++] = q;
      floats[at++] = 2 ** -24 / q;
      for (const [i, { p }] of terms.entries()) {
        words[at++] = starts[i]! / 4;
        words[at++] = p;
      }
      return made;
    },
    write: () => queue.writeBuffer(table, 0, words),
  };
}
