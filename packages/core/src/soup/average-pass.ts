/** The dispatches of average.wgsl: which variant, with which parameters, on which buffers. */
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, type Pipeline, packParams } from '../gpu/kernel.js';
import type { Average, Term } from './blend.js';
import { scaleOf } from './halves.js';
import { type Dispatch, FORMATS, type Target } from './staging.js';

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
  /** Of average.wgsl. */
  readonly trouble?: GPUBuffer;
  /** Of averages of small sums: places.wgsl. */
  readonly table?: GPUBuffer;
  readonly runs?: GPUBuffer;
  readonly output?: GPUBufferBinding;
}

/** What a dispatch runs. It stays so, whatever the terms weigh. */
export interface AverageKernel {
  readonly pipeline: Pipeline;
  readonly threads: number;
  readonly workgroups: readonly [number, number];
}

/** One that is ready to be encoded. */
export interface Bound {
  readonly pipeline: Pipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number];
}

/** What is bound when the parameters of a dispatch lie in slot `slot`. */
export function bindAverage(
  gpu: Gpu,
  { layout, source }: Pipeline,
  { params, input, trouble, table, runs, output }: AverageBuffers,
  slot: number,
  target?: Target,
): GPUBindGroup {
  const resources: Record<string, Partial<GPUBufferBinding>> = {
    params: { buffer: params, offset: slot * PARAMS_PITCH, size: PARAMS_PITCH },
    x: { buffer: input },
    trouble: { buffer: trouble },
    table: { buffer: table },
    runs: { buffer: runs },
    y: target ?? output!,
  };
  const entries = source.bindings.map(({ name }, binding) => ({
    binding,
    resource: resources[name] as GPUBufferBinding,
  }));
  return gpu.device.createBindGroup({ layout, entries });
}

/** Writes the parameters of a dispatch to the slot of `packed`. `index` is what the trouble buffer names it by. */
export function packAverage(
  { pipeline, threads }: AverageKernel,
  dispatch: Dispatch,
  { index, slot, packed }: { readonly index: number; readonly slot: number; readonly packed: ArrayBuffer },
): void {
  const view = new DataView(packed, slot * PARAMS_PITCH, PARAMS_PITCH);
  packParams(pipeline.source, { ...paramsOf(dispatch), threads, piece: index }, view);
}

export function averageKernel(gpu: Gpu, { pieces, elements }: Dispatch): AverageKernel {
  const { average, packed, width, rows, channels, sums = 0 } = pieces[0]!;
  const isSum = average.terms.some(({ info }) => info.dtype === 'I32' || info.dtype === 'I64');
  const constants = {
    HALVES: isOfHalves(average) || sums > 0 || isSum,
    RESULT: FORMATS[average.result],
    PACKED: packed,
    SUMS: sums,
    LAYOUT: width,
    UNPACK: 0, // by integers: exact on every device
  };
  const pipeline = getPipeline(gpu, 'average', { constants });
  if (width > 0) {
    const threads = packed ? (rows * width) / 2 : rows * width;
    return { pipeline, threads, workgroups: [Math.ceil(threads / 64), channels / width] };
  }
  const threads = packed && sums === 0 ? Math.ceil(elements / 2) : elements;
  return { pipeline, threads, workgroups: spread(threads, 64) };
}

export const isOfHalves = ({ result, terms }: Average): boolean =>
  result === 'F16' && terms.every(({ info }) => info.dtype === 'F16');

function paramsOf({ pieces, elements, resultAt, table }: Dispatch) {
  const [piece] = pieces;
  const { average, target, firstRow, allRows, rowsBefore = 0, channels, taps, width, packed, sums = 0 } = piece!;
  const shape = pieces.length > 1 ? { rows: elements, channels: 1, taps: 1 } : { rows: piece!.rows, channels, taps };
  const stored = sums > 0 ? sums * 4 : packed ? 2 : 4;
  const first = target ? (rowsBefore + firstRow) * (width === 0 ? channels * taps : 1) : resultAt / stored;
  return {
    ...shape,
    table,
    ingredients: average.terms.length,
    q: average.q,
    scale: scaleOf(average.q),
    largest_exponent: largestExponent(average.terms),
    first,
    all_rows: allRows,
    keep_zero_sign: average.keepZeroSign ? 1 : 0,
  };
}

/**
 * The largest exponent field of halves whose sums half-sum.wgsl can round. A half with exponent field e is below
 * 2^(10 + e) steps of 2^-24, so |sum| < Σ|p| 2^(10 + e), which must not pass 2^30: for four equal ingredients all |w| < 8
 * fit. With a running sum among the terms none does.
 */
export function largestExponent(terms: readonly Term[]): number {
  if (terms.some(({ info }) => info.dtype !== 'F16')) return -1;
  return largestExponentFor(terms.reduce((sum, { p }) => sum + Math.abs(p), 0));
}

/** The same of halves alone, by the sum of what their weights are without signs. */
export const largestExponentFor = (sizeOfWeights: number): number => 20 - Math.ceil(Math.log2(sizeOfWeights || 1));
