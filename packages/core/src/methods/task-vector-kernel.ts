/** Runs task-vectors.wgsl over runs of a tensor's elements, one after the other. */
import type { TensorInfo } from '../checkpoint/weights.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { spread } from '../gpu/graph.js';
import { getPipeline, packParams } from '../gpu/kernel.js';
import { readBuffer } from '../gpu/read-buffer.js';
import type { ResultType } from '../soup/blend.js';
import type { Fraction } from '../soup/fraction.js';
import { align4, FORMATS } from '../soup/staging.js';
import type { IntegerWeights } from './integer-weights.js';
import { createStage, elementsThatFit } from './stage.js';
import { thresholds } from './trim.js';

export interface TaskVectorRule extends IntegerWeights {
  readonly elect: boolean;
  readonly density: Fraction;
  /** Of 2^32. */
  readonly drop: number;
  readonly stageBytes: number;
}

/** One tensor of each ingredient and of the base, in this order. */
export interface TaskVectors {
  readonly key: string;
  readonly result: ResultType;
  readonly tensors: readonly TensorInfo[];
  /** Of each ingredient's random numbers. */
  readonly keys: readonly (readonly [number, number])[];
}

export interface TaskVectorKernel {
  /** Computes elements `first` to `first + count` and hands out their bytes, in order, with the element they begin at. */
  run(of: TaskVectors, first: number, count: number, take: (bytes: Uint8Array, from: number) => void): Promise<void>;
  destroy(): void;
}

const PARAMS_BYTES = 256;
const WORKGROUP = 64;

export function createTaskVectorKernel(gpu: Gpu, rule: TaskVectorRule): TaskVectorKernel {
  const { device } = gpu;
  const stage = createStage(gpu, rule.stageBytes + (rule.p.length + 1) * 64);
  const params = gpu.createBuffer(PARAMS_BYTES, Usage.UNIFORM | Usage.COPY_DST, 'task vector parameters');
  // A result has at most twice the bytes of the one input that there is beside the base.
  const output = gpu.createBuffer(align4(rule.stageBytes) + 64, Usage.STORAGE | Usage.COPY_SRC, 'merged task vectors');
  const trimmed = new Map<string, readonly number[]>();
  /** Readers take turns, since all use the same memory. */
  let turn: Promise<unknown> = Promise.resolve();

  async function thresholdsOf({ key, tensors }: TaskVectors): Promise<readonly number[]> {
    let found = trimmed.get(key);
    if (!found) {
      found = await thresholds(gpu, stage, rule.stageBytes, tensors, rule.density);
      trimmed.set(key, found);
    }
    return found;
  }

  async function compute(of: TaskVectors, first: number, count: number): Promise<Uint8Array> {
    const limits = await thresholdsOf(of);
    const entries = [...rule.p.map((p, i) => [p, limits[i]!, ...of.keys[i]!]), [0, 0, 0, 0]];
    const table = await stage.add(of.tensors, first, count, entries);
    stage.upload();
    const constants = { WORKGROUP, ELECT: rule.elect, RESULT: FORMATS[of.result] };
    const { source, pipeline, layout } = getPipeline(gpu, 'task-vectors', { constants });
    const values = {
      elements: count,
      table,
      ingredients: rule.p.length,
      numerator: rule.n,
      denominator: rule.d,
      q: rule.q,
      drop: rule.drop,
      first_low: first % 2 ** 32,
      first_high: Math.floor(first / 2 ** 32),
    };
    const packed = new ArrayBuffer(PARAMS_BYTES);
    packParams(source, values, new DataView(packed));
    device.queue.writeBuffer(params, 0, packed);
    const encoder = device.createCommandEncoder({ label: 'task-vectors' });
    const pass = encoder.beginComputePass({ label: 'task-vectors' });
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout,
        entries: [params, stage.buffer, output].map((buffer, binding) => ({ binding, resource: { buffer } })),
      }),
    );
    const bytes = count * (of.result === 'F32' ? 4 : 2);
    pass.dispatchWorkgroups(...spread(Math.ceil(bytes / 4), WORKGROUP));
    pass.end();
    device.queue.submit([encoder.finish()]);
    return new Uint8Array(await readBuffer(gpu, output, align4(bytes), `merging ${of.key}`), 0, bytes);
  }

  return {
    run(of, first, count, take) {
      const most = elementsThatFit(of.tensors, rule.stageBytes);
      const mine = turn.then(async () => {
        for (let from = first; from < first + count; from += most) {
          take(await compute(of, from, Math.min(most, first + count - from)), from);
        }
      });
      turn = mine.catch(() => {});
      return mine;
    },
    destroy() {
      stage.destroy();
      for (const buffer of [params, output]) gpu.destroyBuffer(buffer);
    },
  };
}
