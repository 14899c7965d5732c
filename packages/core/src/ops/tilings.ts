/** The tilings that a device can run a product with. */
import type { Gpu } from '../gpu/gpu.js';
import type { Product, Tiling } from '../gpu/tuning.js';
import { plainTilings } from './matmul.js';
import { tensorTilings } from './tensor.js';

export const tilingsOf = ({ device }: Gpu, product: Product): Tiling[] =>
  /-tensor$/.test(product.kernel)
    ? tensorTilings(product, device.limits.maxComputeWorkgroupStorageSize)
    : plainTilings();
