/**
 * Element types of safetensors, their sizes, and exact conversions to and from f32.
 * Bytes are little-endian, as the format says and as every machine with WebGPU is.
 */
import { CheckpointError } from '../errors.js';

/**
 * Bits per element. The order is the reference implementation's, by growing alignment: its writer sorts tensors by
 * it, largest first, and so does ours.
 */
export const DTYPE_BITS = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

export type DType = keyof typeof DTYPE_BITS;

export const DTYPES = Object.keys(DTYPE_BITS) as readonly DType[];

/** Types that hold weights and can be averaged; the others (BOOL, integers, ...) are copied or refused. */
export const FLOAT_DTYPES = ['F64', 'F32', 'F16', 'BF16', 'F8_E4M3', 'F8_E5M2'] as const satisfies DType[];

export type FloatDType = (typeof FLOAT_DTYPES)[number];

export function isDType(text: string): text is DType {
  return Object.hasOwn(DTYPE_BITS, text);
}

export function isFloatDType(dtype: DType): dtype is FloatDType {
  return (FLOAT_DTYPES as readonly DType[]).includes(dtype);
}

/**
 * Bytes of a tensor, or undefined when that is no whole number of bytes (F4, F6) or some product on the way passes
 * 2^53, where counting stops being exact (the reference stops at 2^64; no disk holds either).
 */
export function tensorBytes(dtype: DType, shape: readonly number[]): number | undefined {
  let elements = 1;
  for (const dim of shape) {
    elements *= dim;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const bits = elements * DTYPE_BITS[dtype];
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

const float32 = new Float32Array(1);
const bits32 = new Uint32Array(float32.buffer);

/** IEEE 754 binary16 to a number; exact, every f16 is an f32. */
export function f16BitsToF32(bits: number): number {
  return smallFloat(bits, 5, 10);
}

/** bfloat16 to a number; exact, it is the upper half of an f32. */
export function bf16BitsToF32(bits: number): number {
  bits32[0] = bits << 16;
  return float32[0]!;
}

/** Rounds to the nearest f16, ties to even; what is 65520 or more becomes infinity, as IEEE 754 says. */
export function f32ToF16Bits(value: number): number {
  float32[0] = value;
  const bits = bits32[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff); // NaN, kept quiet
  if (magnitude >= 0x47800000) return sign | 0x7c00; // 65536 and more
  if (magnitude >= 0x38800000) {
    // Normal in f16: move the exponent's bias from 127 to 15 and drop 13 bits. A carry grows the exponent, rightly.
    return sign | ((roundOff(magnitude, 13) - (112 << 10)) & 0xffff);
  }
  const exponent = magnitude >>> 23;
  if (exponent < 102) return sign; // below half of the least f16, 2^-24
  return sign | roundOff((magnitude & 0x7fffff) | 0x800000, 126 - exponent);
}

/** Rounds to the nearest bf16, ties to even. */
export function f32ToBf16Bits(value: number): number {
  float32[0] = value;
  const bits = bits32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40; // NaN: rounding could make it infinity
  return roundOff(bits, 16);
}

/** Drops the lowest `count` bits, rounding to nearest, ties to even. */
function roundOff(bits: number, count: number): number {
  const odd = (bits >>> count) & 1;
  return (bits + (1 << (count - 1)) - 1 + odd) >>> count;
}

/** A float with a sign bit, `exponentBits`, `mantissaBits` and IEEE infinities, as a number. */
function smallFloat(bits: number, exponentBits: number, mantissaBits: number): number {
  const largest = (1 << exponentBits) - 1;
  const exponent = (bits >>> mantissaBits) & largest;
  const fraction = (bits & ((1 << mantissaBits) - 1)) / (1 << mantissaBits);
  const sign = bits >>> (exponentBits + mantissaBits) ? -1 : 1;
  const bias = largest >> 1;
  if (exponent === largest) return fraction === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * fraction * 2 ** (1 - bias);
  return sign * (1 + fraction) * 2 ** (exponent - bias);
}

/** F8_E4M3 of https://arxiv.org/abs/2209.05433 has no infinity: only the all-ones pattern is not a number. */
function f8E4m3(bits: number): number {
  const magnitude = bits & 0x7f;
  if (magnitude === 0x7f) return NaN;
  const exponent = magnitude >>> 3;
  const fraction = (magnitude & 7) / 8;
  const value = exponent === 0 ? fraction * 2 ** -6 : (1 + fraction) * 2 ** (exponent - 7);
  return bits & 0x80 ? -value : value;
}

/** 256 KiB: looking an f16 up is several times faster than taking it apart, and models hold a billion. */
let f16Table: Float32Array | undefined;

function f16Values(): Float32Array {
  f16Table ??= Float32Array.from({ length: 1 << 16 }, (_, bits) => f16BitsToF32(bits));
  return f16Table;
}

/**
 * The values as f32. Exact for all types but F64 and 32/64-bit integers, which are rounded to nearest, ties to even.
 * C64, F6, F4 and the rarer F8 are refused: no Stable Diffusion weight is stored in them.
 */
export function toFloat32(bytes: Uint8Array, dtype: DType): Float32Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = aligned(bytes, DTYPE_BITS[dtype] / 8);
  switch (dtype) {
    case 'F32':
      return new Float32Array(new Float32Array(buffer, byteOffset, byteLength / 4));
    case 'F16': {
      const values = f16Values();
      return mapBits(new Uint16Array(buffer, byteOffset, byteLength / 2), (bits) => values[bits]!);
    }
    case 'BF16':
      return mapBits(new Uint16Array(buffer, byteOffset, byteLength / 2), bf16BitsToF32);
    case 'F64':
      return new Float32Array(new Float64Array(buffer, byteOffset, byteLength / 8));
    case 'F8_E5M2':
      return mapBits(bytes, (bits) => smallFloat(bits, 5, 2));
    case 'F8_E4M3':
      return mapBits(bytes, f8E4m3);
    case 'BOOL':
    case 'U8':
      return new Float32Array(bytes);
    case 'I8':
      return new Float32Array(new Int8Array(buffer, byteOffset, byteLength));
    case 'I16':
      return new Float32Array(new Int16Array(buffer, byteOffset, byteLength / 2));
    case 'U16':
      return new Float32Array(new Uint16Array(buffer, byteOffset, byteLength / 2));
    case 'I32':
      return new Float32Array(new Int32Array(buffer, byteOffset, byteLength / 4));
    case 'U32':
      return new Float32Array(new Uint32Array(buffer, byteOffset, byteLength / 4));
    case 'I64':
      return bigToFloat32(new BigInt64Array(buffer, byteOffset, byteLength / 8));
    case 'U64':
      return bigToFloat32(new BigUint64Array(buffer, byteOffset, byteLength / 8));
    default:
      throw new CheckpointError(
        `Values of type ${dtype} cannot be read as numbers by this engine; it reads ${FLOAT_DTYPES.join(', ')} and ` +
          'integers. Save the model as F16 or F32.',
        { dtype },
      );
  }
}

/** f32 values as the bytes of `dtype`, each rounded once to nearest, ties to even. */
export function fromFloat32(values: Float32Array, dtype: 'F32' | 'F16' | 'BF16'): Uint8Array<ArrayBuffer> {
  if (dtype === 'F32') return new Uint8Array(new Float32Array(values).buffer);
  const convert = dtype === 'F16' ? f32ToF16Bits : f32ToBf16Bits;
  const result = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) result[i] = convert(values[i]!);
  return new Uint8Array(result.buffer);
}

// A plain loop: TypedArray.from goes through an iterator and takes ten times as long.
function mapBits(source: Uint8Array | Uint16Array, convert: (bits: number) => number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(source.length);
  for (let i = 0; i < source.length; i++) result[i] = convert(source[i]!);
  return result;
}

/** Typed arrays must start at a multiple of their element's size; tensors in a file need not. */
function aligned(bytes: Uint8Array, elementSize: number): Uint8Array {
  return bytes.byteOffset % Math.max(1, elementSize) === 0 ? bytes : Uint8Array.from(bytes);
}

/** A 64-bit integer goes to f32 by way of f64; what does not fit there keeps a sticky bit, or it would round twice. */
function bigToFloat32(values: BigInt64Array | BigUint64Array): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const exact = Number(value);
    const sticky = (value & 0xfffn) === 0n ? 0n : 0x1000n;
    result[i] = Number.isSafeInteger(exact) ? exact : Number((value & ~0xfffn) | sticky);
  }
  return result;
}
