/** What fine-tuning changed of one weight, as a matrix on the GPU that can be multiplied. */

import { DTYPE_BITS } from '../checkpoint/dtype.js';
import { printable } from '../checkpoint/printable.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { DeviceError, IncompatibleError } from '../errors.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import type { Operator } from './randomized-svd.js';
import type { Columns } from './small-svd.js';

const FORMATS = { F32: 0, F16: 1, BF16: 2 } as const;

export interface Difference extends Operator {
  destroy(): void;
}

/** tuned - base, seen as (rows, everything else). Sums of products are f32. */
export async function openDifference(gpu: Gpu, tuned: TensorInfo, base: TensorInfo): Promise<Difference> {
  const rows = tuned.shape[0]!;
  const columns = tuned.shape.reduce((a, b) => a * b, 1) / rows;
  const bytes = await Promise.all([tuned, base].map(read));
  const starts = [0, Math.ceil(bytes[0]!.length / 4)];
  const size = starts[1]! * 4 + Math.ceil(bytes[1]!.length / 4) * 4;
  const limit = gpu.device.limits.maxStorageBufferBindingSize;
  if (size > limit) {
    throw new DeviceError(
      `${printable(tuned.name)} has ${size} bytes in both models; this device binds at most ${limit} at once.`,
      { failure: 'limit', label: tuned.name, size, limit },
    );
  }
  const data = new Uint8Array(size);
  data.set(bytes[0]!);
  data.set(bytes[1]!, starts[1]! * 4);
  const x = gpu.createBuffer(size, Usage.STORAGE | Usage.COPY_DST, `difference of ${tuned.name}`);
  gpu.device.queue.writeBuffer(x, 0, data);
  const [a, b] = [formatOf(tuned), formatOf(base)];
  const common = { a: 0, b: starts[1]!, a_format: a, b_format: b };
  return {
    rows,
    columns,
    times: (z) => product(gpu, x, z, { ...common, rows, inner: columns, row_stride: columns, inner_stride: 1 }),
    transposeTimes: (z) =>
      product(gpu, x, z, { ...common, rows: columns, inner: rows, row_stride: 1, inner_stride: columns }),
    destroy: () => gpu.destroyBuffer(x),
  };
}

function formatOf({ name, dtype, source }: TensorInfo): number {
  if (dtype in FORMATS) return FORMATS[dtype as keyof typeof FORMATS];
  throw new IncompatibleError(
    `${printable(name)} in ${printable(source.name, 1000)} is ${dtype}; differences are taken of F16, BF16 and F32. ` +
      'Convert the checkpoint first.',
    { tensor: name, dtype },
  );
}

function read(info: TensorInfo): Promise<Uint8Array> {
  formatOf(info);
  return readBytes(info.source, info.offset, (info.shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[info.dtype]) / 8);
}

type Values = Readonly<Record<'rows' | 'inner' | 'row_stride' | 'inner_stride', number>>;

async function product(gpu: Gpu, x: GPUBuffer, z: Columns, values: Values): Promise<Columns> {
  const { rows, inner } = values;
  const columns = z.length;
  const flat = new Float32Array(inner * columns);
  for (const [c, column] of z.entries()) for (let k = 0; k < inner; k++) flat[k * columns + c] = column[k]!;
  const made: GPUBuffer[] = [];
  const make = (size: number, usage: number, label: string) => {
    const buffer = gpu.createBuffer(size, usage, label);
    made.push(buffer);
    return buffer;
  };
  try {
    const { pipeline, layout, source } = getPipeline(gpu, 'difference-product');
    const params = new Uint8Array(Math.ceil((source.params.length * 4) / 16) * 16);
    packParams(source, { ...values, columns }, new DataView(params.buffer));
    const buffers = [
      make(params.length, Usage.UNIFORM | Usage.COPY_DST, 'difference parameters'),
      x,
      make(flat.byteLength, Usage.STORAGE | Usage.COPY_DST, 'difference factor'),
      make(rows * columns * 4, Usage.STORAGE | Usage.COPY_SRC, 'difference product'),
    ];
    gpu.device.queue.writeBuffer(buffers[0]!, 0, params);
    gpu.device.queue.writeBuffer(buffers[2]!, 0, flat);
    const encoder = gpu.device.createCommandEncoder({ label: 'difference product' });
    const pass = encoder.beginComputePass({ label: 'difference product' });
    pass.setPipeline(pipeline);
    const entries = buffers.map((buffer, binding) => ({ binding, resource: { buffer } }));
    pass.setBindGroup(0, gpu.device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...spread(rows * Math.ceil(columns / 4), 64));
    pass.end();
    gpu.device.queue.submit([encoder.finish()]);
    const y = new Float32Array(await readBuffer(gpu, buffers[3]!, rows * columns * 4, 'multiplying a difference'));
    return z.map((_, c) => Float64Array.from({ length: rows }, (_, row) => y[row * columns + c]!));
  } finally {
    for (const buffer of made) gpu.destroyBuffer(buffer);
  }
}
