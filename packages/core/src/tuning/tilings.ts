/** The tilings that a device can run a product with. */
import type { Gpu } from '../gpu/gpu.js';
import { kernelSource } from '../gpu/kernel.js';
import type { Product, Tiling } from '../gpu/tuning.js';
import { plainTilings } from '../ops/matmul.js';
import { tilingsBy } from '../ops/tiles.js';

export function tilingsOf({ device }: Gpu, product: Product): Tiling[] {
  if (/-rows$/.test(product.kernel)) return []; // has one way only
  return /-(tensor|lanes)$/.test(product.kernel)
    ? tilingsBy(product, device.limits.maxComputeWorkgroupStorageSize)
    : plainTilings();
}

/** What tilings are measured of: with another text they may be another choice. */
export const productKernels = (): string =>
  (['matmul', 'conv2d', 'matmul-tensor', 'conv2d-tensor', 'matmul-lanes', 'conv2d-lanes', 'sum-splits'] as const)
    .map((name) => kernelSource(name).code)
    .join('\n');
