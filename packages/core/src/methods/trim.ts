/** The trimming of TIES: how large a task vector's element must be to belong to the top part of its tensor. */
import type { TensorInfo } from '../checkpoint/weights.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { elementCount, spread } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import type { Fraction } from '../soup/fraction.js';
import { elementsThatFit, type Stage } from './stage.js';

const DIGITS = 2 ** 16;
const BINS_BYTES = DIGITS * 4;
const PARAMS_PITCH = 256;
const WORKGROUP = 256;

/**
 * For each ingredient's tensor the bits of the smallest |ingredient - base| (rounded to f32) that is kept, when
 * max(1, floor(density * elements)) of its elements are. Elements as large as the smallest are all kept, as in the
 * authors' code: of halves many differ from the base by the same amount, and to choose among equals would be chance.
 *
 * `tensors` are the ingredients', then the base's.
 */
export async function thresholds(
  gpu: Gpu,
  stage: Stage,
  stageBytes: number,
  tensors: readonly TensorInfo[],
  density: Fraction,
): Promise<number[]> {
  const ingredients = tensors.length - 1;
  const elements = elementCount(tensors[0]!.shape);
  if (density.n >= density.d || elements === 0) return Array(ingredients).fill(0);
  const wanted = Math.max(1, Number((density.n * BigInt(elements)) / density.d));
  const bins = gpu.createBuffer(
    ingredients * BINS_BYTES,
    Usage.STORAGE | Usage.COPY_SRC | Usage.COPY_DST,
    'histogram of magnitudes',
  );
  const params = gpu.createBuffer(ingredients * PARAMS_PITCH, Usage.UNIFORM | Usage.COPY_DST, 'histogram parameters');
  try {
    const most = elementsThatFit(tensors, stageBytes);
    let table: number | undefined;
    const count = async (prefixes?: readonly number[]): Promise<Uint32Array> => {
      clear(gpu, bins);
      for (let first = 0; first < elements; first += most) {
        const some = Math.min(most, elements - first);
        // What fits at once is read once, for both digits.
        if (table === undefined || some < elements) {
          table = await stage.add(tensors, first, some);
          stage.upload();
        }
        submit(gpu, { stage, bins, params, table, elements: some, ingredients, prefixes });
        await gpu.settled(gpu.device.queue.onSubmittedWorkDone(), 'sorting differences by size');
      }
      return new Uint32Array(await readBuffer(gpu, bins, ingredients * BINS_BYTES, 'sorting differences by size'));
    };
    const highs = select(await count(), Array(ingredients).fill(wanted));
    const lows = select(
      await count(highs.map(({ digit }) => digit)),
      highs.map(({ rank }) => rank),
    );
    return highs.map(({ digit }, i) => digit * DIGITS + lows[i]!.digit);
  } finally {
    for (const buffer of [bins, params]) gpu.destroyBuffer(buffer);
  }
}

/** Of each ingredient the digit of the `rank`-th largest, and its rank among those of this digit; 0 when there are fewer. */
function select(bins: Uint32Array, ranks: readonly number[]): { digit: number; rank: number }[] {
  return ranks.map((wanted, i) => {
    let rank = wanted;
    for (let digit = DIGITS - 1; digit >= 0; digit--) {
      const count = bins[i * DIGITS + digit]!;
      if (count >= rank) return { digit, rank };
      rank -= count;
    }
    return { digit: 0, rank };
  });
}

function clear(gpu: Gpu, buffer: GPUBuffer): void {
  const encoder = gpu.device.createCommandEncoder({ label: 'clear' });
  encoder.clearBuffer(buffer);
  gpu.device.queue.submit([encoder.finish()]);
}

interface Counting {
  readonly stage: Stage;
  readonly bins: GPUBuffer;
  readonly params: GPUBuffer;
  readonly table: number;
  readonly elements: number;
  readonly ingredients: number;
  /** The high digits within which low ones are counted. */
  readonly prefixes?: readonly number[];
}

function submit(gpu: Gpu, { stage, bins, params, table, elements, ingredients, prefixes }: Counting): void {
  const { device } = gpu;
  const constants = { WORKGROUP, LOW: prefixes !== undefined };
  const { source, pipeline, layout } = getPipeline(gpu, 'magnitude-histogram', { constants });
  const packed = new ArrayBuffer(ingredients * PARAMS_PITCH);
  const encoder = device.createCommandEncoder({ label: 'magnitude-histogram' });
  const pass = encoder.beginComputePass({ label: 'magnitude-histogram' });
  pass.setPipeline(pipeline);
  for (let i = 0; i < ingredients; i++) {
    const values = { elements, table, ingredient: i, ingredients, prefix: prefixes?.[i] ?? 0 };
    packParams(source, values, new DataView(packed, i * PARAMS_PITCH, PARAMS_PITCH));
    const entries = [
      { binding: 0, resource: { buffer: params, offset: i * PARAMS_PITCH, size: PARAMS_PITCH } },
      { binding: 1, resource: { buffer: stage.buffer } },
      { binding: 2, resource: { buffer: bins } },
    ];
    pass.setBindGroup(0, device.createBindGroup({ layout, entries }));
    pass.dispatchWorkgroups(...spread(elements, WORKGROUP));
  }
  pass.end();
  device.queue.writeBuffer(params, 0, packed);
  device.queue.submit([encoder.finish()]);
}
