/**
 * The engine's view of a GPU: the device we were given, what it can do, the precision tier chosen for it,
 * the memory budget, and the rule that no wait outlives the device.
 */
import { AdapterError, DeviceError } from '../errors.js';
import type { KernelTime } from './clock.js';
import type { Pipeline } from './kernel.js';
import { createMemory, type Memory } from './memory.js';
import type { Tuning } from './tuning.js';

/**
 * What activations are stored as. Weights that are f16 in the file stay f16 (packed in u32) in both tiers, and
 * sums, norms and softmax are f32 in both.
 */
export type Precision = 'f32' | 'f16';

/** Nothing; linear layers and convolutions; those and attention. */
export type MatrixUnits = 'none' | 'products' | 'all';

/** What ran ("UNet"), and when the GPU began and ended each of its kernels. */
export type KernelListener = (label: string, times: readonly KernelTime[]) => void;

export interface Gpu {
  readonly device: GPUDevice;
  readonly precision: Precision;
  /**
   * What sums along the residual path are stored as: there every block's rounding adds up, and the next norm takes
   * off the mean and leaves the error.
   */
  readonly residual: Precision;
  /** Computes products by tiles that a workgroup stages in its own memory: graphics cards, not processors. */
  readonly tiles: boolean;
  /** Lanes of every subgroup; 1 where there are none, or not always as many. */
  readonly lanes: number;
  /** Lanes of a subgroup that should share what they read; 1 where that does not pay or cannot be relied on. */
  readonly subgroup: number;
  /** What goes through the matrix units ("tensor cores"), from f16 with sums in f32. */
  readonly matrixUnits: MatrixUnits;
  /** Another function is another tuning: what was planned by the one before is planned anew. */
  tuning?: Tuning;
  /** Sums of splits have kernels of their own, by which they are timed with their product: while tilings are searched for. */
  sumsApart?: boolean;
  readonly memory: Memory;
  onKernels?: KernelListener;
  /** Pipelines made so far, by shader and variant. */
  readonly pipelines: Map<string, Pipeline>;
  /** Buffers that plans share for activations; see activations.ts. */
  readonly activations: GPUBuffer[];
  /** Waits for `promise`, but no longer than the device lives, and throws what the device reported meanwhile. */
  settled<T>(promise: Promise<T>, doing: string): Promise<T>;
  createBuffer(size: number, usage: GPUBufferUsageFlags, label: string): GPUBuffer;
  destroyBuffer(buffer: GPUBuffer): void;
}

/** Graphics cards want more threads than a subgroup has to keep their memory busy; processors run them one after the other. */
export const kindOf = ({ tiles }: Gpu): 'card' | 'processor' => (tiles ? 'card' : 'processor');

export interface GpuOptions {
  /** `auto`: f16 where the device has shader-f16, else f32. */
  readonly precision?: Precision | 'auto';
  /** Bytes the engine may hold on the device. */
  readonly budget?: number;
  /** Whether products are computed by tiles; by default everywhere but on processors. */
  readonly tiles?: boolean;
  /** What may go through the matrix units; by default all, where the adapter has those that kernels are written for. */
  readonly matrixUnits?: MatrixUnits;
  /** Of the adapter that the device is from: only there stands which matrices it multiplies. */
  readonly adapterInfo?: GPUAdapterInfo;
  /** Tiles that are faster on this device than what kernels choose themselves. */
  readonly tuning?: Tuning;
  /** Is told how long each kernel took; then kernels run in passes of their own, a little slower. */
  readonly onKernels?: KernelListener;
}

/** The limits worth asking an adapter for, all of which the engine can do without. */
export function wantedLimits(adapter: GPUAdapter): Record<string, number> {
  const names = [
    'maxBufferSize',
    'maxStorageBufferBindingSize',
    'maxComputeWorkgroupStorageSize',
    'maxComputeInvocationsPerWorkgroup',
    'maxComputeWorkgroupSizeX',
    'maxStorageBuffersPerShaderStage',
  ] as const;
  return Object.fromEntries(names.map((name) => [name, adapter.limits[name]]));
}

/** The features the engine uses where the adapter has them. */
export const wantedFeatures = [
  'shader-f16',
  'timestamp-query',
  'subgroups',
  'chromium-experimental-subgroup-matrix' as GPUFeatureName,
] as const;

export function createGpu(device: GPUDevice, options: GpuOptions = {}): Gpu {
  const hasF16 = device.features.has('shader-f16');
  if (options.precision === 'f16' && !hasF16) {
    throw new AdapterError(
      'Precision f16 was asked for, but this device has no shader-f16. Use --precision f32 (or auto).',
      { precision: 'f16', features: [...device.features] },
    );
  }
  const precision = options.precision === 'f32' || !hasF16 ? 'f32' : 'f16';
  const memory = createMemory(options.budget);
  const failures = watch(device);
  const lanes = lanesOf(device);
  const tiles = options.tiles ?? !isSoftware(device.adapterInfo);

  return {
    device,
    precision,
    residual: precision,
    tiles,
    lanes,
    subgroup: tiles || lanes > NARROW ? 1 : lanes,
    matrixUnits:
      precision === 'f16'
        ? (options.matrixUnits ?? (hasMatrixUnits(device, options.adapterInfo) ? 'all' : 'none'))
        : 'none',
    tuning: options.tuning,
    memory,
    onKernels: options.onKernels,
    pipelines: new Map(),
    activations: [],
    async settled(promise, doing) {
      const result = await Promise.race([promise.catch(failures.explain(doing)), failures.lost(doing)]);
      failures.raise(doing);
      return result;
    },
    createBuffer(size, usage, label) {
      if (size > device.limits.maxBufferSize) {
        throw new DeviceError(
          `${label} needs a buffer of ${size} bytes; this device allows ${device.limits.maxBufferSize}. ` +
            'Make a smaller picture or fewer at once.',
          { failure: 'limit', label, size, limit: device.limits.maxBufferSize },
        );
      }
      memory.reserve(size, label);
      return device.createBuffer({ size, usage, label });
    },
    destroyBuffer(buffer) {
      memory.release(buffer.size);
      buffer.destroy();
    },
  };
}

/** The same device for a network that stores or computes otherwise; what is set on the device later counts for it too. */
export const withTier = (
  gpu: Gpu,
  tier: Partial<Pick<Gpu, 'precision' | 'residual' | 'tiles' | 'matrixUnits' | 'tuning'>>,
): Gpu => Object.assign(Object.create(gpu) as Gpu, tier);

/** Whether an adapter is the processor, as lavapipe and SwiftShader are. */
export function isSoftware(info: Partial<GPUAdapterInfo> = {}): boolean {
  const all = `${info.vendor} ${info.architecture} ${info.device} ${info.description}`;
  return info.isFallbackAdapter === true || /llvmpipe|lavapipe|swiftshader|software/i.test(all);
}

/** Processors do not read one address for all lanes at once, and hand numbers round quickly among so many. */
const NARROW = 8;

function lanesOf({ features, adapterInfo }: GPUDevice): number {
  const { subgroupMinSize = 0, subgroupMaxSize = 0, architecture } = adapterInfo ?? {};
  // The software adapter of browsers is no faster with them, and compiles such kernels for minutes.
  if (architecture === 'swiftshader') return 1;
  const isFixed = features.has('subgroups') && subgroupMinSize === subgroupMaxSize;
  return isFixed ? Math.max(1, subgroupMinSize) : 1;
}

/** The form of matrices that tensor-tile.wgsl is written for. */
const MATRIX_FORM = { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 };
const MATRIX_LANES = 32;
/** Of workgroup memory; the largest tiles take more where there is more. */
const MATRIX_WORKGROUP_BYTES = 32768;

/** The feature is not in the standard yet, so its types are not in @webgpu/types. */
type MatrixInfo = GPUAdapterInfo & { readonly subgroupMatrixConfigs?: readonly Record<string, string | number>[] };

/** Whether a device, of this adapter, multiplies the matrices that the kernels are written for. */
export function hasMatrixUnits({ features, limits }: GPUDevice | GPUAdapter, info?: GPUAdapterInfo): boolean {
  if (!features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName)) return false;
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = (info ?? {}) as Partial<MatrixInfo>;
  if (subgroupMinSize !== MATRIX_LANES || subgroupMaxSize !== MATRIX_LANES) return false;
  if (limits.maxComputeWorkgroupStorageSize < MATRIX_WORKGROUP_BYTES) return false;
  return [...subgroupMatrixConfigs].some((config) =>
    Object.entries(MATRIX_FORM).every(([name, value]) => config[name] === value),
  );
}

/** Remembers what the device says went wrong, and turns it into errors at the next wait. */
function watch(device: GPUDevice) {
  let reported: GPUError | undefined;
  let lost: GPUDeviceLostInfo | undefined;
  device.addEventListener('uncapturederror', (event) => {
    event.preventDefault();
    reported ??= event.error;
  });
  const loss = device.lost.then((info) => {
    lost = info;
    return info;
  });

  const lostError = (doing: string, info: GPUDeviceLostInfo) =>
    new DeviceError(
      `The GPU device was lost while ${doing}: ${info.message || info.reason}. ` +
        'Nothing that was finished is lost; start the command again, with a smaller picture if it happens again.',
      { failure: 'lost', doing, reason: info.reason },
    );

  return {
    async lost(doing: string): Promise<never> {
      throw lostError(doing, await loss);
    },
    explain:
      (doing: string) =>
      (error: unknown): never => {
        if (lost) throw lostError(doing, lost);
        throw error;
      },
    raise(doing: string) {
      if (!reported) return;
      const error = reported;
      reported = undefined;
      const outOfMemory = error.constructor.name === 'GPUOutOfMemoryError';
      throw new DeviceError(
        outOfMemory
          ? `The GPU ran out of memory while ${doing}. Make a smaller picture or fewer at once.`
          : `The GPU refused a command while ${doing}: ${error.message}`,
        { failure: outOfMemory ? 'out-of-memory' : 'refused', doing },
      );
    },
  };
}
