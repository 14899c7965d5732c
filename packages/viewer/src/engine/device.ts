/** The browser's GPU, opened for as long as it lasts. */
import { createGpu, type Gpu, wantedFeatures, wantedLimits } from '@diffusion-soup/core';
import { Failure, lostDevice } from './failure.js';

const GIB = 2 ** 30;

/**
 * WebGPU does not say how much memory there is, and drivers fail late and badly when it runs out. What browsers do tell is
 * the machine's memory, rounded and capped (`deviceMemory`, at most 8 or 32 GiB by version; nothing in Firefox and Safari).
 * Integrated GPUs share that memory with all else; so we take the larger part of it, and where nothing is told, half of
 * what machines usually have. Either is enough for a Stable Diffusion 1.5 (2 GiB) with its ingredients read from the cache.
 */
const SHARE = 0.6;
const USUAL_MACHINE = 8 * GIB;

export function memoryBudget(deviceMemory: number | undefined): number {
  const machine = deviceMemory === undefined ? USUAL_MACHINE : deviceMemory * GIB;
  return Math.floor(machine * SHARE);
}

export interface Session {
  readonly gpu: Gpu;
  /** What the adapter calls itself. */
  readonly adapter: string;
  /** Set once the device is gone, and we did not send it away. */
  readonly loss: { readonly why: string } | undefined;
  /** Gives everything back. */
  close(): void;
}

export interface SessionOptions {
  /** Bytes of GPU memory to use at most. */
  readonly budget?: number;
  /** A device was lost before this one: the browser may still be getting over it. */
  readonly isAfterLoss?: boolean;
}

export async function openSession({ budget, isAfterLoss }: SessionOptions = {}): Promise<Session> {
  const adapter = await openAdapter(isAfterLoss ? RECOVERY_TRIES : 1);
  const device = await adapter
    .requestDevice({
      requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
      requiredLimits: wantedLimits(adapter),
    })
    .catch((error: unknown) => {
      throw new Failure(
        'no-adapter',
        'The browser found a graphics card but could not open it.',
        'Try again; when it stays so, restart the browser.',
        { cause: error },
      );
    });
  const { deviceMemory } = navigator as { deviceMemory?: number };
  // Matrix units are for machines where they have been checked, which takes a process that may die.
  const gpu = createGpu(device, { budget: budget ?? memoryBudget(deviceMemory), matrixUnits: 'none' });
  let isOver = false;
  let loss: Session['loss'];
  void device.lost.then(({ message, reason }) => {
    if (!isOver) loss = { why: message || (reason === 'unknown' ? '' : reason) };
  });
  return {
    gpu,
    adapter: nameOf(adapter.info),
    get loss() {
      return loss;
    },
    close() {
      isOver = true;
      device.destroy();
    },
  };
}

/** Browsers start their GPU process again after it has crashed; for a moment there is no adapter then. */
const RECOVERY_TRIES = 12;
const RECOVERY_MS = 250;

async function openAdapter(tries: number): Promise<GPUAdapter> {
  if (!navigator.gpu) {
    throw isSecureContext
      ? new Failure(
          'no-webgpu',
          'This browser has no WebGPU, with which pictures are computed.',
          'Use a current Chrome, Edge, Firefox or Safari on a computer with a graphics card.',
        )
      : new Failure(
          'no-webgpu',
          'Browsers give WebGPU to secure pages only, and this one came over an open connection.',
          'Open it by https, or from this very machine by http://localhost.',
        );
  }
  for (let i = 0; i < tries; i++) {
    if (i > 0) await new Promise((resolve) => setTimeout(resolve, RECOVERY_MS));
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' });
    if (adapter) return adapter;
  }
  throw new Failure(
    'no-adapter',
    'The browser has WebGPU, but no graphics card that it would use for it.',
    'Switch on hardware acceleration in the settings of the browser, or install the driver of the graphics card.',
  );
}

/** Browsers say less than drivers: often no more than vendor and family. */
const nameOf = ({ description, device, vendor, architecture }: GPUAdapterInfo): string =>
  description || device || [vendor, architecture].filter(Boolean).join(' ') || 'unknown';

/** The error that work ended with, or the loss that it ended with because of. */
export async function causeOf(error: unknown, session: Session): Promise<unknown> {
  // The news of a loss may come after the failures that it causes: long after, where a map that nobody else ended was
  // broken off and the browser is busy.
  const isBrokenOff = error instanceof DOMException && error.name === 'AbortError';
  const patience = isBrokenOff ? 3000 : 20;
  await Promise.race([session.gpu.device.lost, new Promise((resolve) => setTimeout(resolve, patience))]);
  return session.loss ? lostDevice(session.loss.why, error) : error;
}
