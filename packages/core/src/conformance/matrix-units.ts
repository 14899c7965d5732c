/**
 * Do the matrix units compute what the other kernels compute? Products, convolutions and attention at odd and at real
 * sizes, on both, from the same weights. Drivers are young here; who opens a device with matrix units asks this first.
 */
import { encodeSafetensorsHeader, f32ToF16Bits, openSafetensors } from '../checkpoint/index.js';
import { bytesSource } from '../checkpoint/source.js';
import { type Gpu, type MatrixUnits, withTier } from '../gpu/gpu.js';
import { cast } from '../gpu/graph.js';
import { kernelSource } from '../gpu/kernel.js';
import { compile, createPlan } from '../gpu/plan.js';
import { type Recording, record } from '../gpu/recording.js';
import { blendOf } from '../soup/blend.js';
import { createParameters } from '../soup/parameters.js';
import { compare } from './compare.js';
import { CASES, type Case } from './matrix-cases.js';

export interface MatrixUnitsResult {
  readonly name: string;
  /** |a - b| / |b| in the L2 norm, b being what the other kernels have. */
  readonly error: number;
  /** What it may be; MATRIX_UNITS_TOLERANCE where nothing is said. */
  readonly tolerance?: number;
}

/** Both round inputs to f16 and sum in f32; they differ by the order of sums and, in attention, by shares in f16. */
export const MATRIX_UNITS_TOLERANCE = 2e-3;
/** Numbers that repeat, in [-1, 1), larger ones in between: the running maximum of attention has to grow late, too. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed >>> 0;
  return Float32Array.from({ length: count }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 31 - 1) * (i % 4099 > 4000 ? 6 : 1);
  });
}

const countOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

async function weightsOf({ weights }: Case) {
  const tensors = Object.entries(weights).map(([name, shape]) => ({ name, dtype: 'F16' as const, shape }));
  const { header, size } = encodeSafetensorsHeader(tensors, {});
  const file = new Uint8Array(size);
  file.set(header);
  let at = header.length;
  for (const [i, { shape }] of tensors.entries()) {
    const fan = Math.sqrt(countOf(shape.slice(1)));
    const halves = Uint16Array.from(numbers(countOf(shape), 7 + i), (x) => f32ToF16Bits(x / fan));
    file.set(new Uint8Array(halves.buffer), at);
    at += halves.byteLength;
  }
  return openSafetensors(bytesSource(file, 'matrix units check'));
}

/** A case on a device, with its weights there. */
interface Prepared {
  readonly recording: Recording;
  run(): Promise<Float32Array>;
  destroy(): void;
}

async function prepare(device: Gpu, one: Case): Promise<Prepared> {
  const { tile, precision = device.precision } = one;
  const gpu = withTier(device, {
    ...{ precision, residual: precision },
    ...(tile !== undefined && { tuning: () => ({ tile, splits: 1 }) }),
  });
  const blend = blendOf([await weightsOf(one)]);
  const parameters = createParameters(gpu, blend);
  try {
    const forward = one.build(parameters.scope);
    await parameters.load(blend);
    const recording = record(gpu, one.inputs, (x) => ({
      y: forward(Object.fromEntries(Object.entries(x).map(([name, t]) => [name, cast(t, gpu.precision)]))),
    }));
    const inputs = Object.entries(one.inputs).map(([name, shape], i) => [name, numbers(countOf(shape), 99 + i)]);
    return {
      recording,
      async run() {
        const plan = createPlan(gpu, recording, one.name);
        try {
          return (await plan.run(Object.fromEntries(inputs))).y!;
        } finally {
          plan.destroy();
        }
      },
      destroy: () => parameters.destroy(),
    };
  } catch (error) {
    parameters.destroy();
    throw error;
  }
}

/** Compares, case by case. Stops at the first that is wrong unless `all` is wanted. */
export async function checkMatrixUnits(gpu: Gpu, { all = false, only = /./ } = {}): Promise<MatrixUnitsResult[]> {
  const results: MatrixUnitsResult[] = [];
  const prepared: Prepared[] = [];
  const prepareOn = async (device: Gpu, one: Case) => {
    const made = await prepare(device, one);
    prepared.push(made);
    return made;
  };
  try {
    const pairs: { name: string; tolerance: number; found: Prepared; expected: Prepared }[] = [];
    for (const one of CASES.filter(({ name }) => only.test(name))) {
      const expected = await prepareOn(withTier(gpu, { matrixUnits: 'none', tiles: false }), one);
      const { name, tolerance = MATRIX_UNITS_TOLERANCE } = one;
      pairs.push({ name, tolerance, expected, found: await prepareOn(gpu, one) });
    }
    // All shaders side by side: one after the other they take minutes.
    await Promise.all(prepared.map(({ recording }) => compile(gpu, recording)));
    for (const { name, tolerance, expected, found } of pairs) {
      const [wanted, got] = [await expected.run(), await found.run()];
      const { relativeL2, ok } = compare(name, [got.length], got, wanted, tolerance);
      results.push({ name, error: relativeL2, tolerance });
      if (!all && !ok) break;
    }
  } finally {
    for (const one of prepared) one.destroy();
  }
  return results;
}

/** What may be used: attention goes by itself, products only with everything that is made of them. */
export function judgeMatrixUnits(results: readonly MatrixUnitsResult[]): MatrixUnits {
  // NaN is no less wrong for having been null in JSON.
  const isRight = ({ error, tolerance = MATRIX_UNITS_TOLERANCE }: MatrixUnitsResult) =>
    error !== null && error <= tolerance;
  const wrong = results.filter((one) => !isRight(one)).map(({ name }) => name);
  if (wrong.length === 0) return 'all';
  return wrong.every((name) => name.startsWith('attention')) ? 'products' : 'none';
}

/** The kernels' text: a verdict holds for this, and for no other version of it. */
export const matrixKernels = (): string =>
  (
    [
      'matmul-tensor',
      'conv2d-tensor',
      'attention-tensor',
      'attention-tensor-long',
      'few-rows',
      'fold-taps',
      'fold-linears',
      'sum-splits',
      'to-blocks',
    ] as const
  )
    .map((name) => kernelSource(name).code)
    .join('\n');
