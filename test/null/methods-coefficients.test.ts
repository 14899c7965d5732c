/** Coefficients from Gram matrices: SLERP, Model Stock, geometric median, against vectors in f64. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mixOfCoefficients } from '../../packages/core/src/methods/coefficients.ts';
import { geometricMedian } from '../../packages/core/src/methods/geometric-median.ts';
import { modelStockRatio } from '../../packages/core/src/methods/model-stock.ts';
import { slerpCoefficients } from '../../packages/core/src/methods/slerp.ts';

type Vector = readonly number[];
const dot = (a: Vector, b: Vector) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
const minus = (a: Vector, b: Vector) => a.map((v, i) => v - b[i]!);
const size = (a: Vector) => Math.sqrt(dot(a, a));
const gramOf = (vectors: readonly Vector[]) => vectors.map((a) => vectors.map((b) => dot(a, b)));
const distancesOf = (vectors: readonly Vector[]) =>
  vectors.map((a) => vectors.map((b) => dot(minus(a, b), minus(a, b))));
const combine = (vectors: readonly Vector[], c: readonly number[]): Vector =>
  vectors[0]!.map((_, i) => vectors.reduce((sum, vector, j) => sum + c[j]! * vector[i]!, 0));
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

const vectors = (count: { min: number; max: number }) =>
  fc.integer({ min: 1, max: 5 }).chain((dimensions) =>
    fc.array(fc.array(fc.integer({ min: -9, max: 9 }), { minLength: dimensions, maxLength: dimensions }), {
      minLength: count.min,
      maxLength: count.max,
    }),
  );

describe('slerp', () => {
  test('of orthogonal vectors goes round the circle', () => {
    const [a, b] = slerpCoefficients(
      gramOf([
        [3, 0],
        [0, 3],
      ]),
      1 / 3,
    );
    expect(a).toBeCloseTo(Math.cos(Math.PI / 6), 14);
    expect(b).toBeCloseTo(Math.sin(Math.PI / 6), 14);
  });

  test('keeps the length of vectors of equal length, and divides the angle', () => {
    const turn = (angle: number): Vector => [Math.cos(angle), Math.sin(angle)];
    for (const angle of [0.1, 1, 2, 3]) {
      const middle = combine([turn(0), turn(angle)], slerpCoefficients(gramOf([turn(0), turn(angle)]), 0.25));
      expect(middle[0]).toBeCloseTo(Math.cos(angle / 4), 12);
      expect(middle[1]).toBeCloseTo(Math.sin(angle / 4), 12);
    }
  });

  test.each([
    [
      'parallel',
      [
        [1, 0],
        [2, 0.01],
      ],
    ],
    [
      'opposite',
      [
        [1, 0],
        [-1, 0],
      ],
    ],
    [
      'zero',
      [
        [1, 0],
        [0, 0],
      ],
    ],
  ])('of %s vectors is linear', (_, pair) => {
    expect(slerpCoefficients(gramOf(pair), 0.25)).toEqual([0.75, 0.25]);
  });

  test('ends where it should, and the other way round is the same', () => {
    fc.assert(
      fc.property(vectors({ min: 2, max: 2 }), fc.integer({ min: 0, max: 8 }), (pair, eighths) => {
        const gram = gramOf(pair);
        const [a, b] = slerpCoefficients(gram, eighths / 8);
        const [c, d] = slerpCoefficients(gramOf(pair.toReversed()), 1 - eighths / 8);
        expect([a, b]).toEqual([d, c]);
        if (eighths === 0) expect([a, b]).toEqual([1, 0]);
      }),
    );
  });
});

describe('Model Stock', () => {
  test('orthogonal task vectors say nothing in common: the pretrained weights stay', () => {
    expect(
      modelStockRatio(
        gramOf([
          [1, 0],
          [0, 2],
        ]),
      ),
    ).toBe(0);
  });

  test('equal task vectors are followed to the end', () => {
    expect(
      modelStockRatio(
        gramOf([
          [1, 2],
          [1, 2],
          [1, 2],
        ]),
      ),
    ).toBeCloseTo(1, 15);
  });

  test('two at 60 degrees: t = 2 cos / (1 + cos) = 2/3', () => {
    expect(
      modelStockRatio(
        gramOf([
          [1, 0],
          [0.5, Math.sqrt(0.75)],
        ]),
      ),
    ).toBeCloseTo(2 / 3, 14);
  });

  test('the point that is found is the foot of the perpendicular from the centre', () => {
    // Three equal lengths, equal angles: the setting of the paper, where the centre is known. Task vectors are
    // μ + noise_i with noise orthogonal to μ and to each other; w_H is as near to μ as the plane of w_0, w_i comes.
    const [m, s] = [2, 3];
    const tasks = [
      [m, s, 0, 0],
      [m, 0, s, 0],
      [m, 0, 0, s],
    ];
    const t = modelStockRatio(gramOf(tasks));
    const found = combine(tasks, [t / 3, t / 3, t / 3]);
    const centre = [m, 0, 0, 0];
    for (const task of tasks) expect(dot(minus(centre, found), task)).toBeCloseTo(0, 12);
  });

  test('contradiction and zero vectors', () => {
    expect(
      modelStockRatio(
        gramOf([
          [1, 0],
          [-1, 0.1],
        ]),
      ),
    ).toBe(0);
    expect(
      modelStockRatio(
        gramOf([
          [0, 0],
          [0, 0],
        ]),
      ),
    ).toBe(0);
    expect(() => modelStockRatio([[1]])).toThrow(/at least two ingredients, not 1/);
  });

  test('does not depend on the order', () => {
    fc.assert(
      fc.property(vectors({ min: 2, max: 6 }), (some) => {
        expect(modelStockRatio(gramOf(some.toReversed()))).toBe(modelStockRatio(gramOf(some)));
      }),
    );
  });
});

describe('geometric median', () => {
  const cost = (some: readonly Vector[], weights: readonly number[], at: Vector) =>
    sum(some.map((vector, i) => weights[i]! * size(minus(vector, at))));

  test('of a triangle is the Fermat point', () => {
    const corners = [
      [0, 0],
      [1, 0],
      [0.5, Math.sqrt(0.75)],
    ];
    for (const c of geometricMedian(distancesOf(corners))) expect(c).toBeCloseTo(1 / 3, 9);
  });

  test('of a triangle with a wide angle is that corner', () => {
    expect(
      geometricMedian(
        distancesOf([
          [0, 0],
          [10, 1],
          [-10, 1],
        ]),
      ),
    ).toEqual([1, 0, 0]);
  });

  test('of four corners is where the diagonals cross', () => {
    const corners = [
      [0, 0],
      [4, 4],
      [0, 3],
      [5, 0],
    ];
    const [x, y] = combine(corners, geometricMedian(distancesOf(corners)));
    expect(x).toBeCloseTo(y!, 6);
    expect(y! / 3 + x! / 5).toBeCloseTo(1, 6);
  });

  test('of two is their middle, or the heavier one', () => {
    const pair = distancesOf([
      [0, 0],
      [1, 1],
    ]);
    expect(geometricMedian(pair)).toEqual([0.5, 0.5]);
    expect(geometricMedian(pair, [1, 2])).toEqual([0, 1]);
    expect(geometricMedian(pair, [1, 0])).toEqual([1, 0]);
  });

  test('an outlier does not move it, and equal ones share alike', () => {
    const [a, b, c, far] = geometricMedian(distancesOf([[1], [1], [1.1], [-1e6]]));
    expect([a, b]).toEqual([0.5, 0.5]);
    expect([c, far]).toEqual([0, 0]);
    expect(
      geometricMedian(
        distancesOf([
          [2, 3],
          [2, 3],
          [2, 3],
        ]),
      ),
    ).toEqual([1 / 3, 1 / 3, 1 / 3]);
  });

  test('nothing near it is cheaper', () => {
    fc.assert(
      fc.property(
        vectors({ min: 1, max: 7 }),
        fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 7, maxLength: 7 }),
        (some, w) => {
          const weights = w.slice(0, some.length);
          const c = geometricMedian(distancesOf(some), weights);
          expect(sum(c)).toBeCloseTo(1, 12);
          const at = combine(some, c);
          const least = cost(some, weights, at);
          const others = [...some, ...some.map((vector) => combine([vector, at], [1e-3, 1 - 1e-3]))];
          for (const other of others)
            expect(least).toBeLessThanOrEqual(cost(some, weights, other) * (1 + 1e-6) + 1e-12);
        },
      ),
    );
  });

  test('weights that mean nothing are refused', () => {
    expect(() =>
      geometricMedian(
        [
          [0, 1],
          [1, 0],
        ],
        [1, -1],
      ),
    ).toThrow(/0 or more, not all 0; found 1, -1/);
    expect(() => geometricMedian([[0]], [0])).toThrow(/not all 0/);
  });
});

describe('as rational weights', () => {
  test('affine coefficients add up to exactly 1, equal ones stay equal', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 1, maxLength: 64 }), (some) => {
        const coefficients = [...some, 1 - sum(some)];
        const { p, q } = mixOfCoefficients(coefficients, { affine: true });
        expect(sum(p)).toBe(q);
        expect(sum(p.map(Math.abs))).toBeLessThanOrEqual(2 ** 20);
        const scale = sum(coefficients.map(Math.abs));
        for (const [i, c] of coefficients.entries())
          expect(Math.abs(p[i]! / q - c)).toBeLessThan(100 * scale * scale * 2 ** -20);
      }),
    );
    expect(mixOfCoefficients([1 / 3, 1 / 3, 1 / 3], { affine: true })).toEqual({ p: [1, 1, 1], q: 3 });
  });

  test('others keep their sum', () => {
    const { p, q } = mixOfCoefficients([Math.SQRT1_2, Math.SQRT1_2], { affine: false });
    expect(p[0]).toBe(p[1]);
    expect(p[0]! / q).toBeCloseTo(Math.SQRT1_2, 5);
  });
});
