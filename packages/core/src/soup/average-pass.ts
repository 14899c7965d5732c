/** The dispatches of average.wgsl: which variant, with which parameters, on which buffers. */
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, type Pipeline, packParams } from '../gpu/kernel.js';
import type { Term } from './blend.js';
import { type Dispatch, FORMATS } from './staging.js';

/** Bytes between the parameters of one dispatch and the next. */
export const PARAMS_PITCH = 256;
/** Two words: the first dispatch with a number that is not finite, and the first whose result is too large. */
export const TROUBLE_BYTES = 8;
/** What they hold when all is well. */
export const NO_TROUBLE = 0xffffffff;

/** What every dispatch is bound to; one without a target writes to `output`. */
export interface AverageBuffers {
  readonly params: GPUBuffer;
  readonly input: GPUBuffer;
  readonly trouble: GPUBuffer;
  readonly output?: GPUBuffer;
}

/** What is bound when the parameters of a dispatch lie in slot `slot`. */
export function bindAverage(
  gpu: Gpu,
  { layout }: Pipeline,
  { params, input, trouble, output }: AverageBuffers,
  slot: number,
  target?: GPUBuffer,
): GPUBindGroup {
  const entries = [
    { binding: 0, resource: { buffer: params, offset: slot * PARAMS_PITCH, size: PARAMS_PITCH } },
    { binding: 1, resource: { buffer: input } },
    { binding: 2, resource: { buffer: trouble } },
    { binding: 3, resource: { buffer: (target ?? output)! } },
  ];
  return gpu.device.createBindGroup({ layout, entries });
}

/**
 * Writes the parameters of a dispatch to the slot of `packed`, and records it. `index` is what the trouble buffer names it
 * by.
 */
export function encodeAverage(
  gpu: Gpu,
  pass: GPUComputePassEncoder,
  dispatch: Dispatch,
  { index, slot, packed }: { readonly index: number; readonly slot: number; readonly packed: ArrayBuffer },
  groupFor: (pipeline: Pipeline) => GPUBindGroup,
): void {
  const { pipeline, threads, workgroups } = kernelOf(gpu, dispatch);
  const view = new DataView(packed, slot * PARAMS_PITCH, PARAMS_PITCH);
  packParams(pipeline.source, { ...paramsOf(dispatch), threads, piece: index }, view);
  pass.setPipeline(pipeline.pipeline);
  pass.setBindGroup(0, groupFor(pipeline));
  pass.dispatchWorkgroups(...workgroups);
}

function kernelOf(gpu: Gpu, { pieces, elements }: Dispatch) {
  const { average, packed, width, rows, channels, taps, sums = 0 } = pieces[0]!;
  const isSum = average.terms.some(({ info }) => info.dtype === 'I32' || info.dtype === 'I64');
  const halves = average.result === 'F16' && average.terms.every(({ info }) => info.dtype === 'F16');
  const constants = {
    HALVES: halves || sums > 0 || isSum,
    RESULT: FORMATS[average.result],
    PACKED: packed,
    SUMS: sums,
    LAYOUT: width,
  };
  const pipeline = getPipeline(gpu, 'average', { constants });
  if (width > 0) {
    const threads = packed ? (rows * width) / 2 : rows * width;
    return { pipeline, threads, workgroups: [Math.ceil(threads / 64), (channels * taps) / width] as const };
  }
  const threads = packed && sums === 0 ? Math.ceil(elements / 2) : elements;
  return { pipeline, threads, workgroups: spread(threads, 64) };
}

function paramsOf({ pieces, elements, resultAt, table }: Dispatch) {
  const [piece] = pieces;
  const { average, target, firstRow, allRows, channels, taps, width, packed, sums = 0 } = piece!;
  const shape = pieces.length > 1 ? { rows: elements, channels: 1, taps: 1 } : { rows: piece!.rows, channels, taps };
  const stored = sums > 0 ? sums * 4 : packed ? 2 : 4;
  const first = target ? (width === 0 ? firstRow * channels * taps : firstRow) : resultAt / stored;
  return {
    ...shape,
    table,
    ingredients: average.terms.length,
    q: average.q,
    largest_exponent: largestExponent(average.terms),
    first,
    all_rows: allRows,
    keep_zero_sign: average.keepZeroSign ? 1 : 0,
  };
}

/**
 * The largest exponent field of halves whose sum fits an i32. A half with exponent field e is below 2^(10 + e) steps
 * of 2^-24, so |sum| < Σ|p| 2^(10 + e), which must not pass 2^31: for four equal ingredients all |w| < 16 fit.
 * With a running sum among the terms none does.
 */
function largestExponent(terms: readonly Term[]): number {
  if (terms.some(({ info }) => info.dtype !== 'F16')) return -1;
  const sizeOfWeights = terms.reduce((sum, { p }) => sum + Math.abs(p), 0);
  return 21 - Math.ceil(Math.log2(sizeOfWeights || 1));
}
