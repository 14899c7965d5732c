/** Which kernel averages places whose sums are small: eight halves at a time where rows allow it, else a word at a time. */
import type { Gpu } from '../gpu/gpu.js';
import { getPipeline, type Pipeline } from '../gpu/kernel.js';
import type { Unpack } from './halves.js';
import type { Place } from './reach.js';
import { elementsOf } from './staging.js';

export interface BoundedKernel {
  readonly pipeline: Pipeline;
  readonly unpack: Unpack;
  /** Ingredients that are read at once. */
  readonly atOnce: number;
  /** Bytes in which it counts where ingredients begin. */
  readonly unit: 4 | 16;
  /** Workgroups that a place takes. */
  tiles(place: Place): number;
  /** The eight numbers of its entry in the table after the first four (places.wgsl). */
  shapeOf(place: Place): readonly number[];
}

/** Reading more at once needs more registers than it gains. */
const MOST_AT_ONCE = 8;
const ENOUGH_AT_ONCE = 4;
/** Threads of average-bounded.wgsl. */
const THREADS = 64;
/** Eight halves, which kernels of tiles read at once. */
const EIGHT = 8;
const EIGHT_BYTES = 16;
/**
 * What kernels of tiles are compiled for: threads of a workgroup, rows of its tile, and eights that a thread fetches at once. A tile
 * of one tap is 128 eights, four of each thread; one of nine taps is 288, three of each.
 */
export const TILES = { workgroup: 32, rows: 16, depth: 1 };
export const TILES_OF_TAPS = { workgroup: 96, rows: 8, depth: 1 };
/** Channels of a tile with one tap, and with several. */
const CHANNELS = 64;
const CHANNELS_OF_TAPS = 32;
/** Taps of which a tile fits in the workgroup memory that every device has: 16 KiB. */
const MOST_TAPS = 9;

/** Of places in the same layout, with as many taps; the first of them stands for all. */
export function boundedKernel(gpu: Gpu, places: readonly Place[], unpack: Unpack): BoundedKernel {
  const { width, packed, taps } = places[0]!.piece;
  const terms = Math.max(...places.map(({ piece }) => piece.average.terms.length));
  const atOnce = terms <= MOST_AT_ONCE ? terms : ENOUGH_AT_ONCE;
  const common = { UNPACK: unpack, AT_ONCE: atOnce };
  if (packed && places.every(isAligned) && (width === 4 || width === 32) && taps <= MOST_TAPS) {
    const { workgroup, rows, depth } = taps === 1 ? TILES : TILES_OF_TAPS;
    const constants = { ...common, TAPS: taps, WORKGROUP: workgroup, ROWS: rows, DEPTH: depth };
    const pipeline = getPipeline(gpu, width === 4 ? 'average-fours' : 'average-tiles', { constants });
    const channels = taps === 1 ? CHANNELS : CHANNELS_OF_TAPS;
    return {
      ...{ pipeline, unpack, atOnce, unit: EIGHT_BYTES },
      tiles: ({ piece }) => Math.ceil(piece.rows / rows) * Math.ceil(piece.channels / channels),
      shapeOf: (place) => shapeOf(place, width === 4 ? EIGHT_BYTES / 2 : EIGHT_BYTES, 0),
    };
  }
  const pipeline = getPipeline(gpu, 'average-bounded', { constants: { ...common, PACKED: packed, LAYOUT: width } });
  const groups = ({ piece }: Place) => {
    if (width === 0) return Math.ceil(elementsOf(piece) / 2 / THREADS);
    return Math.ceil((piece.rows * width) / (packed ? 2 : 1) / THREADS);
  };
  return {
    ...{ pipeline, unpack, atOnce, unit: 4 },
    tiles: (place) => groups(place) * (width === 0 ? 1 : place.piece.channels / width),
    shapeOf: (place) => shapeOf(place, 4, groups(place)),
  };
}

/** `unit`: bytes in which it is counted where y begins. */
function shapeOf({ piece }: Place, unit: number, groups: number): number[] {
  const { rows, channels, taps, allRows, firstRow, rowsBefore = 0, target, width } = piece;
  const base = target!.offset / unit;
  if (width > 0) return [rows, channels, taps, allRows, rowsBefore + firstRow, base, groups, 0];
  return [elementsOf(piece), 1, 1, 0, (rowsBefore + firstRow) * channels * taps, base, groups, 0];
}

/** Whether eight halves that are read at once are of one row, and aligned. */
const isAligned = ({ piece, starts }: Place): boolean =>
  (piece.channels * piece.taps) % EIGHT === 0 &&
  [...starts, piece.target!.offset].every((at) => at % EIGHT_BYTES === 0);
