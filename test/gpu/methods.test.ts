/** Every method from its name to the bytes of a file: against plain arithmetic, in any order, with what it refuses. */
import {
  bytesSource,
  type Gpu,
  layOutFile,
  mergeSafetensors,
  openSafetensors,
  outputsOf,
  parseFraction,
  type Weights,
} from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { applyMethod, type Method, type MethodRequest, methods } from '../../packages/core/src/methods/index.ts';
import { random, testGpu } from '../support/gpu.ts';
import { numbersOf, tensor, weightsOf } from '../support/weights.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const NAMES = ['a', 'b', 'c'];
const SHAPES = { 'conv.weight': [5, 3, 3, 3], 'norm.weight': [7], scale: [] as number[] };
const count = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Fine-tuned from one base: nearby, but in other directions. One tensor is the same everywhere. */
function model(name: string, seed: number): Weights {
  const entries = Object.entries(SHAPES).map(([key, shape], i) => {
    const from = random(shape, 50 + i).data;
    const away = random(shape, seed * 10 + i).data;
    return [
      key,
      tensor(
        'F32',
        from.map((v, j) => v + 0.3 * away[j]!),
        shape,
      ),
    ] as const;
  });
  const frozen = tensor('F32', random([11], 77).data);
  const ids = { dtype: 'I64' as const, shape: [2], bytes: new Uint8Array(16).fill(3) };
  return weightsOf(name, { ...Object.fromEntries(entries), frozen, ids });
}

/** Of an f32 below 2: what one rounding may change. */
const HALF_STEP = 2 ** -24 * (1 + 1e-9);

const base = model('base', 0);
const ingredients = NAMES.map((name, i) => model(name, i + 1));

async function soup(request: Omit<MethodRequest, 'ingredients'> & Partial<MethodRequest>): Promise<Weights> {
  const applied = await applyMethod(gpu, { ingredients, base, ...request });
  const pieces: Uint8Array[] = [];
  for await (const piece of mergeSafetensors(gpu, layOutFile(outputsOf(applied.blend)))) pieces.push(piece.slice());
  applied.destroy();
  return openSafetensors(bytesSource(new Uint8Array(Buffer.concat(pieces)), 'soup'));
}

type Numbers = readonly number[];
const dot = (a: Numbers, b: Numbers) => a.reduce((sum, v, i) => sum + v * b[i]!, 0);
const minus = (a: Numbers, b: Numbers) => a.map((v, i) => v - b[i]!);

/** The expected numbers of a tensor, from those of the ingredients and the base. */
async function expectNear(result: Weights, of: (all: Numbers[], base: Numbers) => Numbers, bound = 3e-6) {
  for (const key of Object.keys(SHAPES)) {
    const all = await Promise.all(ingredients.map(async (weights) => [...(await numbersOf(weights, key))]));
    const expected = of(all, [...(await numbersOf(base, key))]);
    const actual = await numbersOf(result, key);
    expect(actual.length).toBe(count(SHAPES[key as keyof typeof SHAPES]));
    for (const [i, v] of expected.entries()) expect(Math.abs(actual[i]! - v), `${key} ${i}`).toBeLessThanOrEqual(bound);
  }
  expect(await numbersOf(result, 'frozen')).toEqual(await numbersOf(base, 'frozen'));
  expect(await numbersOf(result, 'ids')).toEqual(await numbersOf(base, 'ids'));
}

const fractions = (...weights: (number | string)[]) => weights.map(parseFraction);
const weigh = (all: Numbers[], weights: Numbers): Numbers =>
  all[0]!.map((_, i) => all.reduce((sum, numbers, j) => sum + weights[j]! * numbers[i]!, 0));

describe('against plain arithmetic', () => {
  test('linear, and a part of the way from the base', async () => {
    const weights = fractions(1, 2, 1);
    await expectNear(await soup({ method: 'linear', weights }), (all) => weigh(all, [0.25, 0.5, 0.25]), HALF_STEP);
    const parameters = { strength: parseFraction('0.6') };
    const result = await soup({ method: 'linear', weights, parameters });
    await expectNear(result, (all, from) => weigh([...all, from], [0.15, 0.3, 0.15, 0.4]), HALF_STEP);
    const sum = await soup({ method: 'linear', weights: fractions(1, -1, 1), normalize: false });
    expect((await numbersOf(sum, 'frozen'))[0]).toBe((await numbersOf(base, 'frozen'))[0]);
  });

  test('task arithmetic', async () => {
    const parameters = { lambda: parseFraction('0.5') };
    const result = await soup({ method: 'task_arithmetic', weights: fractions(1, -1, 0.5), parameters });
    await expectNear(result, (all, from) => weigh([...all, from], [0.5, -0.5, 0.25, 0.75]), HALF_STEP);
  });

  test('slerp, on weights and on differences', async () => {
    const arc = (a: Numbers, b: Numbers, t: number): Numbers => {
      const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      const angle = Math.acos(cosine);
      if (Math.abs(cosine) > 0.9995) return weigh([a, b], [1 - t, t]);
      return weigh([a, b], [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)]);
    };
    const two = { method: 'slerp' as const, ingredients: ingredients.slice(0, 2) };
    await expectNear(await soup({ ...two, parameters: { t: 0.3 } }), ([a, b]) => arc(a!, b!, 0.3));
    await expectNear(await soup({ ...two, weights: fractions(3, 1) }), ([a, b]) => arc(a!, b!, 0.25));
    const deltas = await soup({ ...two, parameters: { t: 0.3, deltas: true } });
    await expectNear(deltas, ([a, b], from) => weigh([arc(minus(a!, from), minus(b!, from), 0.3), from], [1, 1]));
  });

  test('Model Stock', async () => {
    await expectNear(await soup({ method: 'model_stock' }), (all, from) => {
      const deltas = all.map((numbers) => minus(numbers, from));
      const cosines = [
        [0, 1],
        [0, 2],
        [1, 2],
      ].map(([i, j]) => {
        const [a, b] = [deltas[i!]!, deltas[j!]!];
        return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
      });
      const mean = cosines.reduce((a, b) => a + b) / 3;
      const t = Math.max(0, (3 * mean) / (1 + 2 * mean));
      return weigh([...all, from], [t / 3, t / 3, t / 3, 1 - t]);
    });
  });

  test('the geometric median, which nothing nearby improves', async () => {
    const size = (a: Numbers) => Math.sqrt(dot(a, a));
    const weights = fractions(2, 3, 2);
    const cost = (at: Numbers, all: Numbers[]) =>
      all.reduce((sum, numbers, i) => sum + [2, 3, 2][i]! * size(minus(numbers, at)), 0);
    for (const scope of ['tensor', 'model'] as const) {
      const result = await soup({ method: 'geometric_median', weights, parameters: { scope } });
      const keys = Object.keys(SHAPES);
      const read = async (of: Weights, names: string[]) =>
        (await Promise.all(names.map(async (key) => [...(await numbersOf(of, key))]))).flat();
      for (const names of scope === 'tensor' ? keys.map((key) => [key]) : [keys]) {
        const all = await Promise.all(ingredients.map((of) => read(of, names)));
        const at = await read(result, names);
        const least = cost(at, all);
        for (const to of all) expect(least).toBeLessThanOrEqual(cost(weigh([at, to], [0.99, 0.01]), all) * (1 + 1e-6));
        for (const to of all) expect(least).toBeLessThanOrEqual(cost(weigh([at, to], [1.01, -0.01]), all) * (1 + 1e-6));
      }
    }
  });

  test('TIES of everything, and DARE that drops nothing', async () => {
    const ties = await soup({ method: 'ties', parameters: { density: 1 } });
    await expectNear(ties, (all, from) =>
      from.map((origin, i) => {
        const deltas = all.map((numbers) => numbers[i]! - origin);
        const sign = Math.sign(deltas.reduce((a, b) => a + b));
        const agreeing = deltas.filter((delta) => Math.sign(delta) === sign);
        return origin + agreeing.reduce((a, b) => a + b, 0) / Math.max(1, agreeing.length);
      }),
    );
    const dare = await soup({ method: 'dare_linear', parameters: { drop: 0 }, weights: fractions(0.5, 0.25, 1) });
    await expectNear(dare, (all, from) => weigh([...all, from], [0.5, 0.25, 1, -0.75]));
  });
});

const REQUESTS: Record<Method, Partial<MethodRequest>> = {
  linear: { weights: fractions(1, 2, 3) },
  task_arithmetic: { weights: fractions(1, 2, 3) },
  slerp: { ingredients: ingredients.slice(0, 2), weights: fractions(1, 3) },
  ties: { weights: fractions(1, 2, 3), parameters: { density: 0.5 } },
  dare_linear: { weights: fractions(1, 2, 3), parameters: { seed: 5 } },
  dare_ties: { weights: fractions(1, 2, 3), parameters: { drop: 0.5, seed: 5n } },
  model_stock: {},
  geometric_median: { weights: fractions(2, 2, 3) },
};

describe.each(methods)('%s', (method) => {
  const request = REQUESTS[method];

  test('does not depend on the order of ingredients', async () => {
    const { ingredients: some = ingredients, weights } = request;
    const swapped = { ...request, ingredients: some.toReversed(), weights: weights?.toReversed() };
    const [plain, other] = [await soup({ method, ...request }), await soup({ method, ...swapped })];
    for (const key of plain.tensors.keys()) expect(await numbersOf(other, key)).toEqual(await numbersOf(plain, key));
  });

  test('of equal ingredients is that ingredient', async () => {
    const same = ingredients[0]!;
    const equal = (request.ingredients ?? ingredients).map(() => same);
    const isSum = method === 'task_arithmetic' || method === 'dare_linear';
    const weights = isSum ? fractions('1/2', '1/3', '1/6') : request.weights;
    const parameters = method.startsWith('dare') ? { drop: 0 } : method === 'ties' ? { density: 1 } : {};
    const result = await soup({ method, ingredients: equal, weights, parameters });
    const bound = method === 'model_stock' ? 2e-6 : 0; // its ratio is measured, and 1 only nearly
    for (const key of result.tensors.keys()) {
      const [actual, expected] = [await numbersOf(result, key), await numbersOf(same, key)];
      for (const [i, v] of expected.entries()) expect(Math.abs(actual[i]! - v)).toBeLessThanOrEqual(bound);
    }
  });
});

describe('refusals', () => {
  test.each<[string, Omit<MethodRequest, 'ingredients'> & Partial<MethodRequest>, RegExp]>([
    ['no base', { method: 'ties', base: undefined }, /ties needs the base: the model/],
    [
      'no base for a strength',
      { method: 'linear', base: undefined, parameters: { strength: parseFraction(1) } },
      /linear needs the base/,
    ],
    [
      'a parameter of others',
      { method: 'linear', parameters: { density: 1 } },
      /linear has no parameter "density"; it has strength/,
    ],
    ['a parameter', { method: 'model_stock', parameters: { t: 1 } }, /model_stock has no parameter "t"; it has none/],
    ['weights', { method: 'model_stock', weights: fractions(1, 2, 1) }, /weighs its ingredients alike/],
    ['three', { method: 'slerp' }, /give two ingredients, not 3/],
    ['one', { method: 'model_stock', ingredients: ingredients.slice(0, 1) }, /at least two ingredients, not 1/],
    ['none', { method: 'linear', ingredients: [] }, /at least one ingredient/],
    ['too few weights', { method: 'ties', weights: fractions(1) }, /3 ingredients but 1 weights/],
    ['negative weights', { method: 'geometric_median', weights: fractions(1, 1, -1) }, /0 or more/],
  ])('%s', async (_, request, message) => {
    await expect(soup(request)).rejects.toThrow(message);
  });

  test('other shapes, before anything is measured', async () => {
    const other = weightsOf('other', { w: tensor('F16', [1]) });
    await expect(soup({ method: 'geometric_median', ingredients: [base, other] })).rejects.toThrow(/base has a tensor/);
  });

  test('an abort, while measuring', async () => {
    const options = { signal: AbortSignal.abort() };
    await expect(applyMethod(gpu, { method: 'model_stock', ingredients, base }, options)).rejects.toThrow(
      'stopped on request',
    );
  });
});
