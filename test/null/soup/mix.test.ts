/** Weights as fractions, and fractions as integers over one denominator. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  add,
  divide,
  formatFraction,
  fraction,
  fractionToNumber,
  multiply,
  parseFraction,
} from '../../../packages/core/src/soup/fraction.ts';
import { isAffine, LARGEST_MIX, mixOf } from '../../../packages/core/src/soup/mix.ts';

describe('fractions', () => {
  test.each<[number | string, string]>([
    [0.3, '3/10'],
    [0.1 + 0.2, '7500000000000001/25000000000000000'],
    [2, '2'],
    [-0, '0'],
    [1e-7, '1/10000000'],
    ['1/3', '1/3'],
    [' 2/-4 ', '-1/2'],
    ['.5', '1/2'],
    ['5.', '5'],
    ['+1e2', '100'],
    ['0.25/0.5', '1/2'],
  ])('%j is %s', (value, expected) => {
    expect(formatFraction(parseFraction(value))).toBe(expected);
  });

  test.each([
    '',
    ' ',
    '.',
    'e5',
    'abc',
    '1/',
    '/3',
    '1/0',
    '1/2/3',
    'NaN',
    'Infinity',
    '0x10',
    '1e999',
    '1_000',
    `1${'0'.repeat(100)}`,
    Number.NaN,
    Number.POSITIVE_INFINITY,
  ])('%j is refused', (value) => {
    expect(() => parseFraction(value)).toThrow(/weight/);
  });

  test('a fraction is the nearest double', () => {
    expect(fractionToNumber(fraction(1n, 3n))).toBe(1 / 3);
    expect(fractionToNumber(fraction(-2n * 10n ** 30n, 10n ** 30n))).toBe(-2);
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -1e6, max: 1e6 }), (x) => {
        const value = Math.abs(x) < 1e-6 ? 0 : x;
        expect(fractionToNumber(parseFraction(value))).toBeCloseTo(value, 9);
      }),
    );
  });

  test('arithmetic keeps to the laws', () => {
    const any = fc.tuple(fc.bigInt(-1000n, 1000n), fc.bigInt(1n, 1000n)).map(([n, d]) => fraction(n, d));
    fc.assert(
      fc.property(any, any, any, (a, b, c) => {
        expect(multiply(a, add(b, c))).toEqual(add(multiply(a, b), multiply(a, c)));
        if (b.n !== 0n) expect(multiply(divide(a, b), b)).toEqual(a);
      }),
    );
  });
});

const mix = (weights: (number | string)[], normalize?: boolean) =>
  mixOf(weights.map(parseFraction), normalize === undefined ? {} : { normalize });

describe('mixes', () => {
  test.each<[(number | string)[], boolean, number[], number]>([
    [[1, 1, 1, 1], true, [1, 1, 1, 1], 4],
    [[2, 1], true, [2, 1], 3],
    [[0.5, 0.25, 0.25], true, [2, 1, 1], 4],
    [[0.3, 0.7], true, [3, 7], 10],
    [['1/3', '2/3'], true, [1, 2], 3],
    [[0.3, 0.6, 0], true, [1, 2, 0], 3],
    [[-1, -1], true, [1, 1], 2],
    [[2, -1], true, [2, -1], 1],
    [[5], true, [1], 1],
    [[1, 1], false, [1, 1], 1],
    [[0.4, 0.4, 0.4, -0.2], false, [2, 2, 2, -1], 5],
  ])('%j (normalized: %s) is %j / %i', (weights, normalize, p, q) => {
    expect(mix(weights, normalize)).toEqual({ p, q });
  });

  test.each([[[]], [[0, 0]], [[1, -1]]])('%j adds up to nothing', (weights) => {
    expect(() => mix(weights)).toThrow(/add up to 0/);
  });

  test('finer weights are rounded to a millionth, equal ones alike, and still add up to 1', () => {
    const fine = mix([Math.PI, Math.E, Math.PI]);
    expect(fine.p[0]).toBe(fine.p[2]);
    expect(isAffine(fine)).toBe(true);
    expect(fine.q).toBeLessThanOrEqual(LARGEST_MIX);
    expect(fine.p[0]! / fine.q).toBeCloseTo(Math.PI / (2 * Math.PI + Math.E), 6);
  });

  test('whatever the weights: within bounds, near what was asked for, and the same in every order', () => {
    const weight = fc.oneof(fc.integer({ min: 0, max: 9 }), fc.double({ min: 0.001, max: 1000, noNaN: true }));
    fc.assert(
      fc.property(fc.array(weight, { minLength: 1, maxLength: 12 }), fc.boolean(), (weights, normalize) => {
        const sum = weights.reduce((a, b) => a + b, 0);
        fc.pre(sum > 0);
        const { p, q } = mix(weights, normalize);
        expect(p.every(Number.isInteger) && Number.isInteger(q) && q > 0).toBe(true);
        expect(p.reduce((a, b) => a + Math.abs(b), 0)).toBeLessThanOrEqual(LARGEST_MIX);
        expect(q).toBeLessThanOrEqual(LARGEST_MIX);
        const largest = Math.max(sum, 1);
        for (const [i, n] of p.entries()) {
          const wanted = normalize ? weights[i]! / sum : weights[i]!;
          expect(Math.abs(n / q - wanted)).toBeLessThan(normalize ? 1e-5 : 1e-5 * largest * largest);
        }
        const reversed = mix(weights.toReversed(), normalize);
        expect(reversed).toEqual({ p: p.toReversed(), q });
      }),
    );
  });
});
