/** Rows of a table that is too large to keep on the GPU: the token embeddings. */

import type { TensorInfo } from '../checkpoint/weights.js';
import { Usage } from '../gpu/flags.js';
import type { Gpu } from '../gpu/gpu.js';
import { readBuffer } from '../gpu/read-buffer.js';
import { createAverager, type Piece, pieceBytes, stagedBytes } from './averager.js';
import { type Blend, tensorsOf } from './blend.js';

/** The rows of tensor `key` (all rows, channels) that `rows` names, averaged like any weight: (rows, channels). */
export async function gatherRows(gpu: Gpu, blend: Blend, key: string, rows: readonly number[]): Promise<Float32Array> {
  const channels = blend[0]!.weights.tensors.get(key)!.shape[1]!;
  const tensors = tensorsOf(blend, key).map(({ info, share }) => ({ info: rowsOf(info, rows, channels), share }));
  const count = rows.length * channels;
  const target = gpu.createBuffer(Math.ceil(count / 4) * 16, Usage.STORAGE | Usage.COPY_SRC, `rows of ${key}`);
  const piece: Piece = {
    tensors,
    firstRow: 0,
    rows: count,
    allRows: count,
    channels: 1,
    taps: 1,
    target,
    width: 0,
    packed: false,
  };
  const averager = createAverager(gpu, pieceBytes(piece));
  try {
    await averager.add(piece);
    await averager.flush();
    return new Float32Array(await readBuffer(gpu, target, count * 4, `reading ${key}`));
  } finally {
    averager.destroy();
    gpu.destroyBuffer(target);
  }
}

/** A tensor made of some rows of another, read row by row. */
function rowsOf(info: TensorInfo, rows: readonly number[], channels: number): TensorInfo {
  const rowBytes = channels * (info.dtype === 'F64' ? 8 : stagedBytes(info));
  return {
    ...info,
    shape: [rows.length, channels],
    offset: 0,
    byteLength: rows.length * rowBytes,
    source: {
      name: info.source.name,
      size: rows.length * rowBytes,
      async readInto(target) {
        const read = new Map<number, Uint8Array>(); // padding repeats one token: read it once
        for (const [i, row] of rows.entries()) {
          let bytes = read.get(row);
          if (!bytes) {
            bytes = new Uint8Array(rowBytes);
            await info.source.readInto(bytes, info.offset + row * rowBytes);
            read.set(row, bytes);
          }
          target.set(bytes, i * rowBytes);
        }
      },
    },
  };
}
