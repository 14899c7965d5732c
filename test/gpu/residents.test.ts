/** Averages of ingredients on the device, bit for bit as whole numbers say: layouts, cuts, weights, and devices' floats. */
import { createGpu, type Gpu, type Mix } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import { TILES, TILES_OF_TAPS } from '../../packages/core/src/soup/bounded-kernel.ts';
import { proveHalves, proven, type Unpack } from '../../packages/core/src/soup/halves.ts';
import { testGpu } from '../support/gpu.ts';
import { difference, residentsOf, type Tensor, tensorOf } from '../support/residents.ts';

vi.setConfig({ testTimeout: 300_000 });

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu();
});

async function check(on: Gpu, tensors: readonly Tensor[], mixes: readonly Mix[]): Promise<void> {
  const residents = await residentsOf(on, tensors);
  for (const mix of mixes) {
    await residents.average(mix);
    for (const [i, tensor] of tensors.entries()) {
      expect(difference(tensor, mix, await residents.read(i)), `tensor ${i}, ${JSON.stringify(mix)}`).toBeUndefined();
    }
  }
  residents.destroy();
}

const MIXES: Mix[] = [
  { p: [1, 1, 1, 1], q: 4 },
  { p: [1, 2, 3, 4], q: 10 },
  { p: [7, 0, -3, 1], q: 5 },
  { p: [0, 0, 1, 0], q: 1 },
];

describe('every layout, with tensors that share a buffer', () => {
  test.each<[string, Tensor[]]>([
    [
      'matrices for the matrix units',
      [
        tensorOf(33, 64, 1, { width: 32 }),
        tensorOf(1, 32, 1, { width: 32 }),
        tensorOf(70, 96, 1, { width: 32, cut: 20 }),
      ],
    ],
    [
      'convolutions for them',
      [
        tensorOf(17, 32, 9, { width: 32 }),
        tensorOf(40, 64, 9, { width: 32, cut: 6 }),
        tensorOf(1, 96, 9, { width: 32 }),
      ],
    ],
    [
      'four taps, and more than a tile holds',
      [tensorOf(18, 64, 4, { width: 32 }), tensorOf(6, 32, 25, { width: 32, cut: 4 })],
    ],
    [
      'by fours, eight at a time',
      [
        tensorOf(9, 8, 1, { width: 4 }),
        tensorOf(70, 72, 1, { width: 4, cut: 32 }),
        tensorOf(35, 40, 9, { width: 4, cut: 18 }),
      ],
    ],
    [
      'by fours',
      [tensorOf(9, 12, 1, { width: 4 }), tensorOf(9, 24, 4, { width: 4 }), tensorOf(31, 12, 9, { width: 4, cut: 4 })],
    ],
    [
      'one by one, in f32',
      [tensorOf(5, 3, 9, { width: 1, packed: false }), tensorOf(4, 7, 1, { width: 1, packed: false, cut: 2 })],
    ],
    ['vectors', [1, 2, 65, 320, 1000].map((rows) => tensorOf(rows, 1, 1, { width: 0, packed: false }))],
    ['vectors in parts', [tensorOf(701, 1, 1, { width: 0, packed: false, cut: 100 })]],
    [
      'all at once',
      [
        tensorOf(33, 64, 1, { width: 32 }),
        tensorOf(17, 32, 9, { width: 32 }),
        tensorOf(9, 8, 1, { width: 4 }),
        tensorOf(77, 1, 1, { width: 0, packed: false }),
      ],
    ],
  ])('%s', async (_, tensors) => {
    await check(gpu, tensors, MIXES);
  });

  test.each([
    { workgroup: 64, rows: 8, depth: 3 },
    { workgroup: 96, rows: 16, depth: 2 },
    { workgroup: 128, rows: 12, depth: 5 },
  ])('tiles of $rows rows, by $workgroup threads, $depth at once', async (shape) => {
    const usual = [{ ...TILES }, { ...TILES_OF_TAPS }];
    for (const tiles of [TILES, TILES_OF_TAPS]) Object.assign(tiles, shape);
    const matrices = ([32, 4] as const).map((width) => tensorOf(33, 96, 1, { width }));
    const convolutions = ([32, 4] as const).map((width) => tensorOf(21, 64, 9, { width, cut: 10 }));
    await check(gpu, [...matrices, ...convolutions], MIXES);
    Object.assign(TILES, usual[0]);
    Object.assign(TILES_OF_TAPS, usual[1]);
  });

  test('only what is wanted is written', async () => {
    const tensors = [3, 40, 5].map((rows) => tensorOf(rows, 64, 1, { width: 32 }));
    const residents = await residentsOf(gpu, tensors);
    const [before, after] = [MIXES[0]!, MIXES[1]!];
    await residents.average(before);
    await residents.average(after, [1]);
    for (const [i, mix] of [before, after, before].entries()) {
      expect(difference(tensors[i]!, mix, await residents.read(i))).toBeUndefined();
    }
    residents.destroy();
  });

  test.each([2, 3, 5, 8, 9])('%i ingredients', async (ingredients) => {
    const p = Array.from({ length: ingredients }, (_, i) => i + 1);
    const mixes = [
      { p, q: p.reduce((a, b) => a + b) },
      { p: p.map((n) => (n > 2 ? 0 : n)), q: 3 },
    ];
    await check(
      gpu,
      [tensorOf(20, 64, 1, { width: 32, ingredients }), tensorOf(20, 8, 1, { width: 4, ingredients })],
      mixes,
    );
  });
});

/** Every half that sums of these weights allow, with others of all sizes. */
const EVERY: Mix[] = [
  { p: [1, 1], q: 2 },
  { p: [1, 1], q: 1 },
  { p: [3, 1], q: 4 },
  { p: [2, 1], q: 3 },
  { p: [7, 4], q: 11 },
  { p: [5, -4], q: 1 },
  { p: [-9, 2], q: 49 },
  { p: [5, 1018], q: 1023 },
  { p: [1023, 1021], q: 2044 },
  { p: [1, 999_982], q: 999_983 },
  { p: [1, 1], q: 2 ** 20 },
  { p: [-524_288, 524_287], q: 2 ** 20 },
];

describe.each<[string, Unpack[]]>([
  ['integers', []],
  ['floats in two parts', [2]],
  ['floats where they suffice', [1, 2]],
])('by %s, every half', (_, forms) => {
  test.each(EVERY)('averaged with any other, $p / $q', async (mix) => {
    const on = createGpu(gpu.device);
    proven.set(gpu.device, Promise.resolve(forms));
    // A half with exponent field e is below 2^(10 + e) steps; sums must be below 2^30.
    const most = 20 - Math.ceil(Math.log2(mix.p.reduce((sum, p) => sum + Math.abs(p), 0)));
    for (const field of new Set([most, Math.min(most, 12)])) {
      const rows = Math.ceil(((field + 1) * 2048) / 64);
      const tensor = tensorOf(rows, 64, 1, { width: 32, field, ingredients: 2 });
      await check(on, [tensor], [mix]);
    }
    proven.delete(gpu.device);
    const unpack = forms[0] ?? 0;
    expect(
      [...on.pipelines.keys()].some((key) => key.includes('average-tiles') && key.includes(`"UNPACK":${unpack}`)),
    ).toBe(true);
    expect([...on.pipelines.keys()].every((key) => !key.startsWith('average '))).toBe(true);
  });
});

/** A device that takes halves below 2^-14 for 0, as WGSL lets it. */
function flushing(device: GPUDevice): GPUDevice {
  const flushed = `fn flushed(pair: u32) -> vec2f {
    let halves = unpack2x16float(pair);
    return select(halves, vec2f(0), abs(halves) < vec2f(6.103515625e-5));
  }`;
  return new Proxy(device, {
    get(target, name) {
      const value = Reflect.get(target, name, target);
      if (name === 'createShaderModule') {
        return (descriptor: GPUShaderModuleDescriptor) =>
          target.createShaderModule({
            ...descriptor,
            code: `${descriptor.code.replaceAll('unpack2x16float', 'flushed')}\n${flushed}`,
          });
      }
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

test('a device proves its floats, and one that flushes small halves uses integers', async () => {
  expect(await proveHalves(gpu)).toEqual([1, 2]);
  const on = createGpu(flushing(gpu.device));
  expect(await proveHalves(on)).toEqual([]);
  await check(on, [tensorOf(416, 64, 1, { width: 32 }), tensorOf(40, 32, 9, { width: 32 })], MIXES);
  expect([...on.pipelines.keys()].some((key) => key.includes('average-tiles') && key.includes('"UNPACK":0'))).toBe(
    true,
  );
});

test('sums that may be large are averaged as well', async () => {
  const mixes = [...MIXES, { p: [999, 1, 1, 1], q: 1002 }];
  const tensors = [
    tensorOf(40, 64, 9, { width: 32, field: 30, cut: 10 }),
    tensorOf(300, 1, 1, { width: 0, packed: false, field: 30 }),
  ];
  await check(gpu, tensors, mixes);
});
