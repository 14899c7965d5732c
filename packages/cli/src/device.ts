/** Opens a GPU through Dawn, the WebGPU implementation in npm's `webgpu` package. */
import {
  AdapterError,
  createGpu,
  type Gpu,
  type GpuOptions,
  hasMatrixUnits,
  wantedFeatures,
  wantedLimits,
} from '@diffusion-soup/core';
import { create } from 'webgpu';
import { matrixUnitsOf } from './matrix-units.js';
import { tuningFor } from './tuning.js';

/**
 * f16 is off by default on NVIDIA before driver 615.71, where it fails some of Dawn's own tests; ours pass, and
 * they are run on such a driver (see test/README.md). Timestamps are rounded for the web's sake, not for ours.
 */
const FEATURES = 'enable-dawn-features=allow_unsafe_apis,vulkan_enable_f16_on_nvidia';
const DAWN_FLAGS = [FEATURES, 'disable-dawn-features=timestamp_quantization'];

/**
 * Checks that keep strangers' shaders within their buffers cost a third of what matrix units can do (176 against 249
 * TFLOP/s). All shaders here are ours, and no number of a file is ever an index.
 */
const UNCHECKED_FLAGS = [`${FEATURES},disable_robustness`, ...DAWN_FLAGS.slice(1)];

export interface OpenOptions extends GpuOptions {
  /** Part of an adapter's name, to choose one of several. */
  readonly adapter?: string;
  /** Is told what takes long, the first time. */
  readonly onAsking?: (about: string) => void;
}

export interface OpenGpu {
  readonly gpu: Gpu;
  readonly adapter: GPUAdapter;
  /** Of what was switched off, and why. */
  readonly warning?: string;
}

/**
 * Dawn crashes when this object is collected while its devices still work, and the process does not end while it
 * is held: the command line ends with process.exit().
 */
const instances = new Set<GPU>();

export const NO_ADAPTER =
  'No GPU adapter answers. Install your graphics driver, or a software one: on Debian 12, as root,\n' +
  '  echo "deb http://deb.debian.org/debian bookworm-backports main" > /etc/apt/sources.list.d/backports.list\n' +
  '  apt-get update && apt-get install -t bookworm-backports mesa-vulkan-drivers\n' +
  'Then try "soup doctor".';

export async function openAdapter({ adapter: name }: Pick<OpenOptions, 'adapter'> = {}): Promise<GPUAdapter> {
  const adapter = await requestAdapter(DAWN_FLAGS, name);
  return hasMatrixUnits(adapter, adapter.info) ? requestAdapter(UNCHECKED_FLAGS, name) : adapter;
}

async function requestAdapter(flags: readonly string[], name?: string): Promise<GPUAdapter> {
  const instance = create([...flags, ...(name ? [`adapter=${name}`] : [])]);
  const adapter = await instance.requestAdapter({ powerPreference: 'high-performance' }).catch((error: unknown) => {
    // Dawn itself refuses a name that no adapter has, and lists those that there are.
    const reason = error instanceof Error ? error.message.trim() : String(error);
    throw new AdapterError(name ? `No adapter has "${name}" in its name: ${reason}` : `${reason}\n${NO_ADAPTER}`, {
      adapter: name,
    });
  });
  instances.add(instance);
  if (!adapter) throw new AdapterError(NO_ADAPTER, { adapter: name });
  return adapter;
}

export async function openGpu(options: OpenOptions = {}): Promise<OpenGpu> {
  const adapter = await openAdapter(options);
  const device = await adapter.requestDevice({
    label: 'soup',
    requiredFeatures: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    requiredLimits: wantedLimits(adapter),
  });
  const isAsked = options.matrixUnits === undefined && options.precision !== 'f32';
  const { units, warning } = (isAsked && (await matrixUnitsOf(adapter, options.adapter, process.env, options))) || {};
  const matrixUnits = options.matrixUnits ?? units;
  const tuning = options.tuning ?? (await tuningFor(adapter));
  const gpu = createGpu(device, { ...options, adapterInfo: adapter.info, matrixUnits, tuning });
  return { gpu, adapter, ...(warning !== undefined && { warning }) };
}
