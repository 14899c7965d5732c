/** Rows of a table that is too large to keep on the GPU: the token embeddings. */

import type { TensorInfo } from '../checkpoint/weights.js';
import type { Gpu } from '../gpu/gpu.js';
import { averagePieces } from './averager.js';
import { averageOf, type Blend } from './blend.js';
import { type Piece, pieceBytes } from './staging.js';

/** The rows of tensor `key` (all rows, channels) that `rows` names, averaged like any weight: (rows, channels). */
export async function gatherRows(gpu: Gpu, blend: Blend, key: string, rows: readonly number[]): Promise<Float32Array> {
  const channels = blend.ingredients[0]!.tensors.get(key)!.shape[1]!;
  const average = averageOf(blend, key);
  const terms = average.terms.map(({ info, p }) => ({ info: rowsOf(info, rows, channels), p }));
  const count = rows.length * channels;
  const piece: Piece = {
    average: { ...average, terms },
    firstRow: 0,
    rows: count,
    allRows: count,
    channels: 1,
    taps: 1,
    width: 0,
    packed: false,
  };
  for await (const { bytes } of averagePieces(gpu, [piece], { stagingBytes: pieceBytes(piece) })) {
    return new Float32Array(bytes[0]!.slice().buffer);
  }
  return new Float32Array(0);
}

/** A tensor made of some rows of another, read row by row. */
function rowsOf(info: TensorInfo, rows: readonly number[], channels: number): TensorInfo {
  const rowBytes = channels * (info.byteLength / info.shape.reduce((a, b) => a * b, 1));
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
