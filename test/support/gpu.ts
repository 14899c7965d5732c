/** A GPU for tests, and tensors on it. Without an adapter the tests fail: in CI there is always one. */
import { createGpu, type Gpu, type Precision, wantedFeatures, wantedLimits } from '@diffusion-soup/core';
import { create } from 'webgpu';
import { openAdapter } from '../../packages/cli/src/device.ts';
import { f32ToF16Bits } from '../../packages/core/src/checkpoint/dtype.ts';
import { Usage } from '../../packages/core/src/gpu/flags.ts';
import { cast, type Tensor } from '../../packages/core/src/gpu/graph.ts';
import { createPlan } from '../../packages/core/src/gpu/plan.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { type Matrix, WIDEST_TILE } from '../../packages/core/src/ops/weights.ts';

export async function testGpu(precision: Precision = 'f32', budget?: number): Promise<Gpu> {
  const adapter = await openAdapter();
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  return createGpu(device, { precision, budget });
}

/** The same device, used as a graphics card without matrix units would be. */
export const asGraphicsCard = ({ device, precision }: Gpu): Gpu => createGpu(device, { precision, tiles: true });

/** Dawn's null backend: compiles and validates everything, runs nothing, needs no GPU. */
const nullInstance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis']);

export async function nullGpu(precision: Precision): Promise<Gpu> {
  const adapter = (await nullInstance.requestAdapter())!;
  const device = await adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  return createGpu(device, { precision });
}

export interface Numbers {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** Repeatable numbers in [-1, 1) (mulberry32). */
export function random(shape: readonly number[], seed = 1): Numbers {
  let state = (seed * 0x9e3779b9) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 31 - 1;
  };
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).map(next);
  return { shape, data };
}

/** Runs an op once: numbers in, numbers out. */
export async function runOp(
  gpu: Gpu,
  inputs: Readonly<Record<string, Numbers>>,
  op: (inputs: Record<string, Tensor>) => Tensor,
): Promise<Float32Array> {
  const shapes = Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape]));
  const recording = record(gpu, shapes, (tensors) => ({
    y: op(Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, cast(x, gpu.precision)]))),
  }));
  const plan = createPlan(gpu, recording, 'test');
  try {
    return (await plan.run(Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data])))).y!;
  } finally {
    plan.destroy();
  }
}

/** A resident f32 vector. */
export function vector(gpu: Gpu, { shape, data }: Numbers): Tensor {
  const buffer = gpu.device.createBuffer({
    size: Math.ceil(data.byteLength / 16) * 16,
    usage: Usage.STORAGE | Usage.COPY_DST | Usage.COPY_SRC,
  });
  gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  return { shape, storage: { type: 'f32', elements: data.length, buffer, label: 'vector' } };
}

/** A resident matrix from numbers (rows, channels, taps), laid out here independently of the loader. */
export function matrix(gpu: Gpu, { shape, data }: Numbers, kernel: number, packed: boolean, wanted?: 32): Matrix {
  const [rows, channels] = shape as [number, number];
  const taps = kernel * kernel;
  const width = wanted ?? (channels % 4 === 0 ? 4 : 1);
  const laidOut = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let channel = 0; channel < channels; channel++) {
      for (let tap = 0; tap < taps; tap++) {
        const vector = Math.floor(channel / width);
        const place = width === 32 ? vector * taps + tap : (tap * channels) / width + vector;
        const at = (place * rows + row) * width + (channel % width);
        laidOut[at] = data[(row * channels + channel) * taps + tap]!;
      }
    }
  }
  const bytes = packed ? Uint16Array.from(laidOut, f32ToF16Bits) : laidOut;
  const buffer = gpu.device.createBuffer({
    size: Math.ceil(bytes.byteLength / 16) * 16 + (width === 32 ? WIDEST_TILE * width * 4 : 0),
    usage: Usage.STORAGE | Usage.COPY_DST | Usage.COPY_SRC,
  });
  gpu.device.queue.writeBuffer(buffer, 0, bytes as Float32Array<ArrayBuffer>);
  const storage = { type: packed ? 'f16' : 'f32', elements: data.length, buffer, label: 'matrix' } as const;
  return { data: { shape: [rows, channels * taps], storage }, rows, inner: channels * taps, kernel, width, packed };
}

export { relativeL2 } from './relative.ts';
