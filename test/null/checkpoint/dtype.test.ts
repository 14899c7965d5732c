/** Exact conversions, over every 16-bit pattern. */
import { describe, expect, it } from 'vitest';
import {
  bf16BitsToF32,
  DTYPE_BITS,
  type DType,
  f16BitsToF32,
  f32ToBf16Bits,
  f32ToF16Bits,
  fromFloat32,
  tensorBytes,
  toFloat32,
} from '../../../packages/core/src/checkpoint/dtype.ts';
import { CheckpointError } from '../../../packages/core/src/errors.ts';

const ALL_16_BITS = Array.from({ length: 1 << 16 }, (_, bits) => bits);
const isNan16 = (bits: number, infinity: number) => (bits & 0x7fff) > infinity;

describe('f16', () => {
  it.each([
    [0x0000, 0],
    [0x8000, -0],
    [0x0001, 2 ** -24], // the least
    [0x03ff, 1023 * 2 ** -24], // the largest subnormal
    [0x0400, 2 ** -14],
    [0x3c00, 1],
    [0x3555, 0.333251953125],
    [0xc000, -2],
    [0x7bff, 65504], // the largest
    [0x7c00, Infinity],
    [0xfc00, -Infinity],
    [0x7e00, NaN],
  ])('%i is %d', (bits, value) => {
    expect(f16BitsToF32(bits)).toBe(value);
    expect(f32ToF16Bits(value)).toBe(bits);
  });

  it('returns every one of the 65536 patterns unchanged', () => {
    const wrong = ALL_16_BITS.filter((bits) => !isNan16(bits, 0x7c00) && f32ToF16Bits(f16BitsToF32(bits)) !== bits);
    expect(wrong).toEqual([]);
    const notNan = ALL_16_BITS.filter((bits) => isNan16(bits, 0x7c00) && !Number.isNaN(f16BitsToF32(bits)));
    expect(notNan).toEqual([]);
  });

  it('rounds to nearest, ties to even, between every two neighbours', () => {
    const wrong: number[] = [];
    for (let low = 0; low < 0x7bff; low++) {
      const a = f16BitsToF32(low);
      const b = f16BitsToF32(low + 1);
      const middle = (a + b) / 2; // exact in f32
      const even = low % 2 === 0 ? low : low + 1;
      const nudge = middle * 2 ** -23; // at least one f32 above or below
      const right = f32ToF16Bits(middle) === even;
      if (!right || f32ToF16Bits(middle - nudge) !== low || f32ToF16Bits(middle + nudge) !== low + 1) wrong.push(low);
    }
    expect(wrong).toEqual([]);
  });

  it.each([
    [65519.996, 0x7bff],
    [65520, 0x7c00], // the tie above the largest goes to infinity
    [1e38, 0x7c00],
    [-1e38, 0xfc00],
    [2 ** -25, 0], // a tie with zero, which is even
    [2 ** -25 * 1.0001, 1],
    [1e-40, 0],
    [-1e-40, 0x8000],
  ])('%d rounds to %i', (value, bits) => expect(f32ToF16Bits(value)).toBe(bits));

  it('keeps NaN NaN, signalling ones too', () => {
    const signalling = new Float32Array(new Uint32Array([0x7f800001]).buffer);
    expect(isNan16(f32ToF16Bits(signalling[0]!), 0x7c00)).toBe(true);
    expect(isNan16(f32ToBf16Bits(signalling[0]!), 0x7f80)).toBe(true);
  });
});

describe('bf16', () => {
  it('returns every one of the 65536 patterns unchanged', () => {
    const wrong = ALL_16_BITS.filter((bits) => !isNan16(bits, 0x7f80) && f32ToBf16Bits(bf16BitsToF32(bits)) !== bits);
    expect(wrong).toEqual([]);
  });

  it.each([
    [1, 0x3f80],
    [1 + 2 ** -8, 0x3f80], // tie, down to even
    [1 + 3 * 2 ** -8, 0x3f82], // tie, up to even
    [1 + 2 ** -8 + 2 ** -20, 0x3f81],
    [3.4028234663852886e38, 0x7f80], // the largest f32 is nearest to infinity
    [-0, 0x8000],
  ])('%d rounds to %i', (value, bits) => expect(f32ToBf16Bits(value)).toBe(bits));
});

describe('toFloat32', () => {
  const bytesOf = (array: { buffer: ArrayBufferLike }) => new Uint8Array(array.buffer as ArrayBuffer);
  it.each<[DType, Uint8Array, number[]]>([
    ['F32', bytesOf(Float32Array.of(1.5, -2)), [1.5, -2]],
    ['F64', bytesOf(Float64Array.of(1 / 3, 1e300)), [Math.fround(1 / 3), Infinity]],
    ['F16', bytesOf(Uint16Array.of(0x3c00, 0x0001)), [1, 2 ** -24]],
    ['BF16', bytesOf(Uint16Array.of(0x3f80, 0xc000)), [1, -2]],
    ['F8_E4M3', Uint8Array.of(0x38, 0x7e, 0x01, 0x7f), [1, 448, 2 ** -9, NaN]],
    ['F8_E5M2', Uint8Array.of(0x3c, 0x7b, 0x01, 0xfc), [1, 57344, 2 ** -16, -Infinity]],
    ['I64', bytesOf(BigInt64Array.of(-7n, 2n ** 62n + 2n ** 38n + 1n)), [-7, 2 ** 62 + 2 ** 39]],
    ['U64', bytesOf(BigUint64Array.of(2n ** 64n - 1n, 2n ** 62n + 2n ** 38n)), [2 ** 64, 2 ** 62]],
    ['I32', bytesOf(Int32Array.of(-1, 16777217)), [-1, 16777216]],
    ['U32', bytesOf(Uint32Array.of(0xffffffff)), [4294967296]],
    ['I16', bytesOf(Int16Array.of(-32768)), [-32768]],
    ['U16', bytesOf(Uint16Array.of(65535)), [65535]],
    ['I8', Uint8Array.of(0x80), [-128]],
    ['U8', Uint8Array.of(255), [255]],
    ['BOOL', Uint8Array.of(0, 1), [0, 1]],
  ])('reads %s', (dtype, bytes, values) => {
    expect([...toFloat32(bytes, dtype)]).toEqual(values);
    const odd = new Uint8Array(bytes.length + 1);
    odd.set(bytes, 1);
    expect([...toFloat32(odd.subarray(1), dtype)], 'at an odd address').toEqual(values);
  });

  it.each<DType>(['C64', 'F4', 'F6_E2M3', 'F8_E8M0', 'F8_E4M3FNUZ'])('refuses %s', (dtype) => {
    expect(() => toFloat32(new Uint8Array(24), dtype)).toThrow(CheckpointError);
  });

  it.each(['F32', 'F16', 'BF16'] as const)('is undone by fromFloat32 as %s', (dtype) => {
    const values = Float32Array.of(0, -1, 0.5, Infinity, 2 ** -14);
    expect(toFloat32(fromFloat32(values, dtype), dtype)).toEqual(values);
  });
});

describe('tensorBytes', () => {
  it.each<[DType, number[], number | undefined]>([
    ['F16', [3, 5], 30],
    ['F64', [], 8],
    ['F4', [2, 3], 3],
    ['F4', [3], undefined],
    ['F6_E2M3', [4], 3],
    ['U8', [0, 2 ** 52], 0],
    ['U8', [2 ** 27, 2 ** 27], undefined],
    ['F32', [2 ** 51], undefined],
  ])('%s %j has %s bytes', (dtype, shape, bytes) => expect(tensorBytes(dtype, shape)).toBe(bytes));

  it('knows the 22 types of the reference', () => expect(Object.keys(DTYPE_BITS)).toHaveLength(22));
});
