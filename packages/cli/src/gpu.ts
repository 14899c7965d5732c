/** The GPU for a command. Dawn is loaded here and not before, so that what needs no GPU works without it. */
import { AdapterError } from '@diffusion-soup/core';
import type { OpenGpu, OpenOptions } from './device.js';

export type { OpenGpu } from './device.js';

export async function loadDevice(): Promise<typeof import('./device.js')> {
  try {
    return await import('./device.js');
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new AdapterError(
      `Dawn, the WebGPU implementation in npm's webgpu package, cannot be loaded on this machine ` +
        `(${process.platform}-${process.arch}): ${reason}. Install the packages again with "npm ci".`,
      { platform: process.platform, arch: process.arch },
      { cause: error },
    );
  }
}

export async function openGpuFor(options: OpenOptions): Promise<OpenGpu> {
  const { openGpu } = await loadDevice();
  return openGpu({ onAsking: say, ...options });
}

/** Of what takes long, on stderr. */
export const say = (about: string): void => {
  process.stderr.write(`${about}\n`);
};

/** "llvmpipe: Mesa 25.0.7": what an adapter calls itself. */
export function adapterName({ info }: Pick<GPUAdapter, 'info'>): string {
  return info.description || info.device || [info.vendor, info.architecture].filter(Boolean).join(' ') || 'unknown';
}
