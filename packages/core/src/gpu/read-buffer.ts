/** Bytes of a buffer, back on the host. */
import { MapMode, Usage } from './flags.js';
import type { Gpu } from './gpu.js';

/** Waits for the work before it, then copies the first `bytes` (a multiple of 4) of `buffer`. */
export async function readBuffer(gpu: Gpu, buffer: GPUBuffer, bytes: number, doing: string): Promise<ArrayBuffer> {
  const readback = gpu.createBuffer(bytes, Usage.MAP_READ | Usage.COPY_DST, doing);
  try {
    const encoder = gpu.device.createCommandEncoder({ label: doing });
    encoder.copyBufferToBuffer(buffer, 0, readback, 0, bytes);
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.settled(readback.mapAsync(MapMode.READ), doing);
    return readback.getMappedRange().slice(0);
  } finally {
    gpu.destroyBuffer(readback);
  }
}
