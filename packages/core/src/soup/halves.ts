/**
 * How halves become integers on a device: half-sum.wgsl's UNPACK. Floats take half as many instructions as integers, but WGSL
 * lets a device flush small numbers and rearrange sums; so they are used where every half has been seen to come out right.
 */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';

/** By integers; by floats; by floats in two parts. */
export type Unpack = 0 | 1 | 2;

/** Up to which exponent field a form is exact. */
const LARGEST_FIELDS = { 1: 12, 2: 24 } as const;
const HALVES = 65536;
/** Of half-sum.wgsl's MIDDLE. */
const MIDDLE_BITS = 0x4b400000;

/** By device, the forms by floats that it has proved. */
export const proven = new WeakMap<GPUDevice, Promise<readonly Unpack[]>>();

export function proveHalves(gpu: Gpu): Promise<readonly Unpack[]> {
  let found = proven.get(gpu.device);
  if (!found) {
    found = Promise.all(([1, 2] as const).map(async (unpack) => ((await isProven(gpu, unpack)) ? [unpack] : []))).then(
      (forms) => forms.flat(),
    );
    proven.set(gpu.device, found);
  }
  return found;
}

/** The cheapest of the forms that is exact for halves with exponent fields up to `reach`. */
export const unpackFor = (forms: readonly Unpack[], reach: number): Unpack =>
  forms.find((form) => form !== 0 && reach <= LARGEST_FIELDS[form]) ?? 0;

/** Where sums begin so that they end as Σ 2p steps: floats add the bits of MIDDLE each time. `sum` is Σ 2p. */
export function startOf(unpack: Unpack, sum: number): number {
  const times = unpack === 0 ? 0 : unpack === 1 ? sum : sum + sum * 4096;
  return -Math.imul(MIDDLE_BITS, times) | 0;
}

/** What rounded_pair multiplies with. Three roundings, of 2^-23 each at most, leave the product at or above the quotient. */
export const scaleOf = (q: number): number => (2 ** -10 / q) * (1 + 2 ** -21);

async function isProven(gpu: Gpu, unpack: 1 | 2): Promise<boolean> {
  const { device } = gpu;
  const constants = { UNPACK: unpack, LARGEST_FIELD: LARGEST_FIELDS[unpack] };
  const { pipeline, layout, source } = getPipeline(gpu, 'prove-halves', { constants });
  const params = gpu.createBuffer(16, Usage.UNIFORM | Usage.COPY_DST, 'where sums begin');
  const y = gpu.createBuffer(16, Usage.STORAGE | Usage.COPY_SRC, 'whether halves come out wrong');
  try {
    const packed = new ArrayBuffer(16);
    packParams(source, { offset: startOf(unpack, 2) }, new DataView(packed));
    device.queue.writeBuffer(params, 0, packed);
    const entries = [params, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const encoder = device.createCommandEncoder({ label: 'prove halves' });
    const pass = encoder.beginComputePass({ label: 'prove halves' });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(HALVES / 64);
    pass.end();
    device.queue.submit([encoder.finish()]);
    return new Uint32Array(await readBuffer(gpu, y, 4, 'loading weights'))[0] === 0;
  } finally {
    gpu.destroyBuffer(params);
    gpu.destroyBuffer(y);
  }
}
