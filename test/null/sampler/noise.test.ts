/** Noise against torch.randn: the CPU generator to the last bit, CUDA's as near as its approximate sine allows. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../../packages/core/src/errors.ts';
import { fma } from '../../../packages/core/src/sampler/float32.ts';
import { noiseStream, randn } from '../../../packages/core/src/sampler/noise.ts';
import { REFERENCE } from '../../support/files.ts';
import { worst } from './analytic.ts';

interface Case {
  seed: number;
  shape: number[];
  cpu_first16: number[];
  cpu_last4: number[];
  cpu_sum: number;
  cuda_first16: number[];
  cuda_last4: number[];
  cuda_sum: number;
}

const { cases } = JSON.parse(readFileSync(`${REFERENCE}/torch-randn.json`, 'utf8')) as { cases: Case[] };
const sum = (values: Float32Array) => values.reduce((total, value) => total + value, 0);

describe.each(cases)('torch.randn($shape) of seed $seed', ({ seed, shape, ...expected }) => {
  it('is that of the CPU, bit for bit', () => {
    const noise = randn(seed, shape);
    expect([...noise.subarray(0, 16)]).toEqual(expected.cpu_first16);
    expect([...noise.subarray(-4)]).toEqual(expected.cpu_last4);
    // Equal up to the order of additions in double, so no value in the middle is off by a bit either.
    expect(Math.abs(sum(noise) - expected.cpu_sum)).toBeLessThan(1e-11);
  });

  it('is that of CUDA', () => {
    const noise = randn(seed, shape, 'cuda');
    expect(worst(noise.subarray(0, 16), expected.cuda_first16)).toBeLessThan(1e-6);
    expect(worst(noise.subarray(-4), expected.cuda_last4)).toBeLessThan(1e-6);
    expect(Math.abs(sum(noise) - expected.cuda_sum)).toBeLessThan(1e-4);
  });
});

describe('a stream of noise', () => {
  it.each(['cpu', 'cuda'] as const)('%s: starts as randn does and goes on', (kind) => {
    const stream = noiseStream(7, kind);
    const first = stream.normal([4, 8]);
    expect(first).toEqual(randn(7, [4, 8], kind));
    expect(stream.normal([4, 8])).not.toEqual(first);
  });

  it('cpu: small draws share the pairs that the generator makes, as in torch', () => {
    const stream = noiseStream(42);
    const parts = [3, 4, 5].flatMap((size) => [...stream.normal([size])]);
    expect(parts).toEqual([...randn(42, [12])]);
  });

  it('cpu: a length that is no multiple of 16 keeps all but its last 16 values', () => {
    const [long, odd] = [randn(5, [64]), randn(5, [61])];
    expect([...odd.subarray(0, 45)]).toEqual([...long.subarray(0, 45)]);
    expect([...odd.subarray(45)]).not.toEqual([...long.subarray(45, 61)]);
    // Those come from the 16 numbers after the first 61, which begin a block of their own.
    const stream = noiseStream(5);
    stream.normal([61]);
    expect(odd.length).toBe(61);
    expect(stream.normal([16])).not.toEqual(odd.subarray(45));
  });

  it('cpu and cuda: is normal', () => {
    for (const kind of ['cpu', 'cuda'] as const) {
      const noise = randn(2n ** 63n + 1n, [100_000], kind);
      const variance = noise.reduce((total, value) => total + value * value, 0) / noise.length;
      expect(Math.abs(sum(noise) / noise.length)).toBeLessThan(0.01);
      expect(Math.abs(variance - 1)).toBeLessThan(0.02);
    }
  });

  it('takes seeds of 64 bits: the CPU looks at the low 32, CUDA at all, and -1 is the largest', () => {
    expect(randn(2n ** 32n + 5n, [16])).toEqual(randn(5, [16]));
    expect(randn(2n ** 32n + 5n, [16], 'cuda')).not.toEqual(randn(5, [16], 'cuda'));
    expect(randn(-1, [16], 'cuda')).toEqual(randn(2n ** 64n - 1n, [16], 'cuda'));
    expect(randn(0, [16])).toEqual(randn(0n, [16]));
    for (const seed of [0.5, Number.NaN, 2 ** 60, 2n ** 64n, -(2n ** 63n) - 1n]) {
      expect(() => randn(seed, [4])).toThrow(UsageError);
    }
  });

  it('is of any size, nothing included', () => {
    for (const size of [0, 1, 15, 16, 17, 31, 33]) expect(randn(1, [size]).length).toBe(size);
  });
});

describe('fma', () => {
  it('rounds once, where rounding the sum to double first would meet a false tie', () => {
    const unit = 2 ** -23; // in the last place of 1
    // 1 + unit + half a unit less 2^-70: in double that is a tie, which goes up to the even number.
    const [a, b, c] = [(unit / 2) * (1 - unit), 1 + unit, 1 + unit];
    expect(Math.fround(a * b + c)).toBe(1 + 2 * unit);
    expect(fma(a, b, c)).toBe(1 + unit);
    expect(fma(-a, b, -c)).toBe(-1 - unit);
    // True ties and plain sums are as they were.
    expect(fma(unit / 2, 1, 1)).toBe(1);
    expect(fma(unit / 2, 1, 1 + unit)).toBe(1 + 2 * unit);
    expect(fma(2 ** -30, 2 ** -30, 1)).toBe(1);
    expect(fma(3, 5, -15)).toBe(0);
  });
});
