/** Memory for what is computed and soon read for the last time. */
import { Usage } from './flags.js';
import type { Gpu } from './gpu.js';
import { show, writtenBy } from './graph.js';
import { bytesOf, lifetimes, type Recording } from './recording.js';

/**
 * Gives every activation a buffer: the smallest free one that fits, or a new one. All plans of a device share
 * these buffers, since one plan runs at a time.
 */
export function assignActivations(gpu: Gpu, recording: Recording, label: string): void {
  const free = [...gpu.activations];
  for (const { node, dying } of lifetimes(recording)) {
    for (const { storage, shape } of Object.values(writtenBy(node))) {
      if (storage.buffer) continue;
      const size = bytesOf(storage);
      const fits = free.filter((buffer) => buffer.size >= size).sort((a, b) => a.size - b.size)[0];
      if (fits) {
        free.splice(free.indexOf(fits), 1);
        storage.buffer = fits;
      } else {
        storage.buffer = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_SRC, `${label} activation ${show(shape)}`);
        gpu.activations.push(storage.buffer);
      }
    }
    for (const dead of dying) if (dead.buffer && gpu.activations.includes(dead.buffer)) free.push(dead.buffer);
  }
}
