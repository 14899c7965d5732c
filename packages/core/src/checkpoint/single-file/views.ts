/** Tensors of a single file under their diffusers names. Nothing is read or copied: views share the file's bytes. */
import { tensorBytes } from '../dtype.js';
import { printableShape } from '../printable.js';
import type { TensorInfo } from '../weights.js';
import type { KeyPair } from './key-map.js';
import { refuseTensor } from './part.js';

/** The tensor that `pair` describes, as diffusers has it: q of q, k and v; a matrix for a convolution of one pixel. */
export function viewOf(file: string, info: TensorInfo, pair: KeyPair): TensorInfo {
  const named = { ...info, name: pair.diffusers };
  if (pair.third !== undefined) return third(file, info, named, pair.third);
  if (pair.conv) return matrix(file, info, named);
  return named;
}

function third(file: string, info: TensorInfo, named: TensorInfo, index: number): TensorInfo {
  const [rows, ...rest] = info.shape;
  const shape = [(rows ?? 0) / 3, ...rest];
  const byteLength = info.byteLength / 3;
  if (!Number.isInteger(shape[0]) || tensorBytes(info.dtype, shape) !== byteLength) {
    refuseTensor(file, info.name, `is ${printableShape(info.shape)}; expected q, k and v with as many rows each`);
  }
  return { ...named, shape, byteLength, offset: info.offset + index * byteLength };
}

/** Old files have a convolution of one pixel in two dimensions or in one; some tools save matrices. */
function matrix(file: string, info: TensorInfo, named: TensorInfo): TensorInfo {
  const [rows, channels, ...kernel] = info.shape;
  if (rows === undefined || channels === undefined || kernel.length > 2 || kernel.some((size) => size !== 1)) {
    refuseTensor(file, info.name, `is ${printableShape(info.shape)}; expected [C, C], [C, C, 1] or [C, C, 1, 1]`);
  }
  return { ...named, shape: [rows, channels] };
}
