/** When the GPU began and ended each pass: timestamp queries, in milliseconds of the GPU's own clock. */
import { AdapterError } from '../errors.js';
import { MapMode, Usage } from './flags.js';
import type { Gpu } from './gpu.js';
import type { Product, Tiling } from './tuning.js';

export interface Interval {
  readonly beginMs: number;
  readonly endMs: number;
}

export interface KernelTime extends Interval {
  readonly kernel: string;
  /** Of what it writes. */
  readonly shape: readonly number[];
  readonly product?: Product & Tiling;
}

/** Of a query set. */
const MOST_QUERIES = 4096;
const BYTES = 8;

export function createClock(gpu: Gpu, passes: number) {
  const { device } = gpu;
  if (!device.features.has('timestamp-query')) {
    throw new AdapterError('This device has no timestamp-query, by which kernels are timed.', {
      feature: 'timestamp-query',
    });
  }
  const perSet = MOST_QUERIES / 2;
  const sets = Array.from({ length: Math.ceil(passes / perSet) }, () =>
    device.createQuerySet({ type: 'timestamp', count: MOST_QUERIES }),
  );
  const bytes = sets.length * MOST_QUERIES * BYTES;
  const resolved = gpu.createBuffer(bytes, Usage.QUERY_RESOLVE | Usage.COPY_SRC, 'timestamps');
  const readback = gpu.createBuffer(bytes, Usage.COPY_DST | Usage.MAP_READ, 'timestamps read');

  return {
    /** What pass i is to be begun with. */
    around(i: number): GPUComputePassTimestampWrites {
      const at = (i % perSet) * 2;
      const querySet = sets[Math.floor(i / perSet)]!;
      return { querySet, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 };
    },
    /** Submits what was encoded, waits, and gives each pass's interval. */
    async read(encoder: GPUCommandEncoder, doing: string): Promise<Interval[]> {
      for (const [i, set] of sets.entries()) {
        const used = Math.min(MOST_QUERIES, (passes - i * perSet) * 2);
        encoder.resolveQuerySet(set, 0, used, resolved, i * MOST_QUERIES * BYTES);
      }
      encoder.copyBufferToBuffer(resolved, 0, readback, 0, bytes);
      device.queue.submit([encoder.finish()]);
      await gpu.settled(readback.mapAsync(MapMode.READ), doing);
      const ns = new BigUint64Array(readback.getMappedRange().slice(0));
      readback.unmap();
      return Array.from({ length: passes }, (_, i) => {
        const [begin, end] = [ns[i * 2]!, ns[i * 2 + 1]!];
        return { beginMs: Number(begin) / 1e6, endMs: Number(end) / 1e6 };
      });
    },
    destroy() {
      for (const set of sets) set.destroy();
      gpu.destroyBuffer(resolved);
      gpu.destroyBuffer(readback);
    },
  };
}
