/** A blend as weights: every tensor is averaged when it is read. For what takes weights and changes them further. */
import { DTYPE_BITS, tensorBytes } from '../checkpoint/dtype.js';
import type { TensorInfo, Weights } from '../checkpoint/weights.js';
import type { Gpu } from '../gpu/gpu.js';
import { averagePieces, STAGING_BYTES } from './averager.js';
import { averageOf, type Blend, checkBlend, isFloat } from './blend.js';
import { cut } from './merge.js';

export function blendAsWeights(gpu: Gpu, blend: Blend): Weights {
  checkBlend(blend);
  const [first] = blend.ingredients;
  const entries = [...first!.tensors].map(([key, info]): [string, TensorInfo] => [
    key,
    isFloat(info) ? averaged(gpu, blend, info) : info,
  ]);
  const name = blend.ingredients.map((one) => one.name).join(' + ');
  return { name, tensors: new Map(entries), metadata: first!.metadata };
}

function averaged(gpu: Gpu, blend: Blend, { name, shape }: TensorInfo): TensorInfo {
  const { result } = averageOf(blend, name);
  const byteLength = tensorBytes(result, shape)!;
  const elementBytes = DTYPE_BITS[result] / 8;
  const source = {
    name: blend.ingredients.map((one) => one.name).join(' + '),
    size: byteLength,
    async readInto(target: Uint8Array, offset: number) {
      const first = Math.floor(offset / elementBytes);
      const last = Math.ceil((offset + target.byteLength) / elementBytes);
      let at = first * elementBytes - offset;
      const pieces = cut(blend, name, 0, STAGING_BYTES, first, last);
      for await (const { bytes } of averagePieces(gpu, pieces)) {
        for (const some of bytes) {
          const wanted = some.subarray(Math.max(0, -at), Math.max(0, target.byteLength - at));
          target.set(wanted, Math.max(0, at));
          at += some.byteLength;
        }
      }
    },
  };
  return { name, dtype: result, shape, source, offset: 0, byteLength };
}
