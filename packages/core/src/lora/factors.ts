/** A LoRA's matrices as numbers, scaled and ready to multiply. */

import { toFloat32 } from '../checkpoint/dtype.js';
import { printable } from '../checkpoint/printable.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import type { LoraModule } from './read.js';

/** A module, and how strongly it is applied. */
export interface Applied {
  readonly module: LoraModule;
  readonly strength: number;
}

/** The change up @ down of a weight (rows, columns), the window of a convolution being part of the columns. */
export interface Factors {
  readonly rank: number;
  readonly columns: number;
  /** (rows, rank), scaled by strength * alpha / rank. */
  readonly up: Float32Array<ArrayBuffer>;
  /** (rank, columns). */
  readonly down: Float32Array<ArrayBuffer>;
}

/** All changes of one weight as one product: the ranks lie one after the other. */
export async function readFactors(applied: readonly Applied[]): Promise<Factors> {
  const parts = [];
  for (const { module, strength } of applied) parts.push(await factorsOf(module, strength));
  const [first] = parts;
  if (parts.length === 1) return first!;
  const rank = parts.reduce((total, part) => total + part.rank, 0);
  const { columns } = first!;
  const rows = first!.up.length / first!.rank;
  const up = new Float32Array(rows * rank);
  const down = new Float32Array(rank * columns);
  let at = 0;
  for (const part of parts) {
    for (let row = 0; row < rows; row++) {
      up.set(part.up.subarray(row * part.rank, (row + 1) * part.rank), row * rank + at);
    }
    down.set(part.down, at * columns);
    at += part.rank;
  }
  return { rank, columns, up, down };
}

async function factorsOf({ up, mid, down, rank, alpha }: LoraModule, strength: number): Promise<Factors> {
  const scale = (strength * alpha) / rank;
  const scaled = (await numbersOf(up)).map((x) => x * scale);
  const lower = await numbersOf(down);
  if (!mid) return { rank, columns: lower.length / rank, up: scaled, down: lower };
  return withMiddle(scaled, await numbersOf(mid), lower, mid.shape);
}

/** Σ_j mid[i, j, k] * down[j, c] -> (i, c, k): two convolutions, the second with a window, as one. */
function withMiddle(
  up: Float32Array<ArrayBuffer>,
  mid: Float32Array,
  down: Float32Array,
  [outer, inner, ...kernel]: readonly number[],
): Factors {
  const taps = kernel.reduce((a, b) => a * b, 1);
  const channels = down.length / inner!;
  const columns = channels * taps;
  const folded = new Float32Array(outer! * columns);
  for (let i = 0; i < outer!; i++) {
    for (let c = 0; c < channels; c++) {
      for (let k = 0; k < taps; k++) {
        let sum = 0;
        for (let j = 0; j < inner!; j++) sum += mid[(i * inner! + j) * taps + k]! * down[j * channels + c]!;
        folded[i * columns + c * taps + k] = sum;
      }
    }
  }
  return { rank: outer!, columns, up, down: folded };
}

async function numbersOf(info: TensorInfo): Promise<Float32Array<ArrayBuffer>> {
  const numbers = toFloat32(await readBytes(info.source, info.offset, info.byteLength), info.dtype);
  const at = numbers.findIndex((x) => !Number.isFinite(x));
  if (at < 0) return numbers;
  throw new CheckpointError(
    `${printable(info.source.name, 1000)}: tensor "${printable(info.name)}" is ${numbers[at]} at element ${at}. ` +
      'The LoRA is damaged, or its training diverged.',
    { file: info.source.name, tensor: info.name, element: at },
  );
}
