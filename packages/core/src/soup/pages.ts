/**
 * Memory of a network's weights: many tensors to a buffer, since what lies in one buffer can be averaged in one dispatch, and
 * what lies in several by dispatches that need not wait for one another.
 */
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import type { Target } from './staging.js';

/** Four ingredients of a page, and a table, are what one binding takes everywhere: 128 MiB. */
const PAGE_BYTES = 31 * 2 ** 20;

export interface Wanted {
  readonly key: string;
  readonly bytes: number;
  /** Only what is alike shares pages. */
  readonly kind: string;
}

/** A place for each of `wanted`, and the buffers they are in. What is larger than a page has one of its own. */
export function createPages(gpu: Gpu, wanted: readonly Wanted[]): { targets: Target[]; buffers: GPUBuffer[] } {
  const alignment = gpu.device.limits.minStorageBufferOffsetAlignment;
  const most = Math.min(PAGE_BYTES, gpu.device.limits.maxStorageBufferBindingSize);
  const pages: { key: string; bytes: number }[] = [];
  const open = new Map<string, { key: string; bytes: number }>();
  const places = wanted.map(({ key, bytes, kind }) => {
    let page = open.get(kind);
    const offset = Math.ceil((page?.bytes ?? 0) / alignment) * alignment;
    if (page && offset + bytes <= most) {
      page.bytes = offset + bytes;
      return { page, offset };
    }
    page = { key, bytes };
    pages.push(page);
    open.set(kind, page);
    return { page, offset: 0 };
  });
  const buffers = new Map<unknown, GPUBuffer>();
  try {
    for (const page of pages) buffers.set(page, gpu.createBuffer(page.bytes, Usage.STORAGE | Usage.COPY_SRC, page.key));
  } catch (error) {
    for (const buffer of buffers.values()) gpu.destroyBuffer(buffer);
    throw error;
  }
  const targets = places.map(({ page, offset }, i) => ({
    ...{ buffer: buffers.get(page)!, offset, size: wanted[i]!.bytes },
  }));
  return { targets, buffers: [...buffers.values()] };
}
