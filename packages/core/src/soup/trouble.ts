/** A number that cannot be averaged, found again on the CPU after the GPU has seen that there is one. */
import { toFloat32 } from '../checkpoint/dtype.js';
import { printable } from '../checkpoint/printable.js';
import { readBytes } from '../checkpoint/source.js';
import type { TensorInfo } from '../checkpoint/weights.js';
import { CheckpointError, DeviceError, IncompatibleError } from '../errors.js';
import type { Term } from './blend.js';
import { elementsOf, type Piece } from './staging.js';

/** `special`: an infinity or a NaN in an ingredient. `large`: a finite average that its type cannot hold. */
export type Trouble = 'special' | 'large';

const LARGEST = { F16: 65504, BF16: 3.3895313892515355e38, F32: 3.4028234663852886e38 } as const;

/** A running sum needs more than 32 bits; keeping it in 64 always works. */
export class SumOverflowError extends IncompatibleError {
  override name = 'SumOverflowError';
}

/** Throws what is wrong, naming the file, the tensor and the number. */
export async function explainTrouble(pieces: readonly Piece[], trouble: Trouble): Promise<never> {
  for (const piece of pieces) {
    if (trouble === 'special') await explainSpecial(piece);
    else await explainLarge(piece);
  }
  throw new DeviceError('The GPU found a number that is not finite, but the files hold none: they changed meanwhile.');
}

async function explainSpecial(piece: Piece): Promise<void> {
  for (const { info } of piece.average.terms) await refuseSpecial(info, firstOf(piece), elementsOf(piece));
}

/** Throws for the first infinity or NaN among `count` numbers of a tensor, if there is one. */
export async function refuseSpecial(info: TensorInfo, first: number, count: number): Promise<void> {
  const values = await valuesOf(info, first, count);
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const index = first + at;
  throw new CheckpointError(
    `${printable(info.source.name, 1000)}: tensor "${printable(info.name)}" holds ${values[at]} at index ${index}` +
      `${coordinates(info, index)}. Training has diverged there, or the file is damaged: use another checkpoint, or ` +
      'let such numbers through with --allow-non-finite.',
    { file: info.source.name, tensor: info.name, index, value: String(values[at]), byte: info.offset },
  );
}

async function explainLarge(piece: Piece): Promise<void> {
  const { terms, q, result } = piece.average;
  if (piece.sums) {
    const [{ info }] = terms as [Term];
    throw new SumOverflowError(
      `the sum of "${printable(info.name)}" does not fit ${piece.sums === 1 ? 'I32' : 'I64'}; keep it as I64`,
      { tensor: info.name },
    );
  }
  const parts = await Promise.all(terms.map(({ info }) => valuesOf(info, firstOf(piece), elementsOf(piece))));
  for (let at = 0; at < elementsOf(piece); at++) {
    const value = terms.reduce((sum, { p }, i) => sum + (p / q) * parts[i]![at]!, 0);
    if (Math.abs(value) < LARGEST[result]) continue;
    const { name } = terms[0]!.info;
    const index = firstOf(piece) + at;
    throw new IncompatibleError(
      `tensor "${printable(name)}" would hold ${value} at index ${index}, which ${result} cannot: its largest number ` +
        `is ${LARGEST[result]}. Use smaller weights, or store the result as F32.`,
      { tensor: name, index, value, dtype: result },
    );
  }
}

const firstOf = ({ firstRow, channels, taps }: Piece): number => firstRow * channels * taps;

async function valuesOf(info: TensorInfo, first: number, count: number): Promise<Float32Array> {
  const size = info.byteLength / info.shape.reduce((a, b) => a * b, 1);
  return toFloat32(await readBytes(info.source, info.offset + first * size, count * size), info.dtype);
}

/** " ([3, 0, 2])", for a tensor of more than one dimension. */
function coordinates({ shape }: TensorInfo, index: number): string {
  if (shape.length < 2) return '';
  const at: number[] = [];
  let rest = index;
  for (const size of shape.toReversed()) {
    at.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return ` ([${at.join(', ')}])`;
}
