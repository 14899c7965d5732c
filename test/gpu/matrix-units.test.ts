/** The kernels of the matrix units against the others, the units themselves being emulated. */
import { checkMatrixUnits, judgeMatrixUnits } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { withTier } from '../../packages/core/src/gpu/gpu.ts';
import { cast, graphOf } from '../../packages/core/src/gpu/graph.ts';
import { tensorAttention } from '../../packages/core/src/ops/attention-tensor.ts';
import { foldLinears } from '../../packages/core/src/ops/fold-linears.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { matrix, random, relativeL2, runOp, vector } from '../support/gpu.ts';
import { emulatedGpu } from '../support/matrix-emulation.ts';
import * as reference from '../support/reference.ts';

const hasF16 = process.env.SOUP_TEST_F16 !== 'no'; // SwiftShader has none

// One by one, since each has minutes to compile where no cache has its kernels yet.
test.runIf(hasF16).each([
  [
    'products, convolutions and attention',
    /joint|matmul 1 |matmul 3 |matmul 130|matmul 33|matmul 40 |conv2d (1 x 5|3 x 3)|attention 2 x 70|matmul 21/,
    11,
  ],
  ['large tiles', /gated, (256x160|128x128x32)|conv2d.*, (128x128x32|128x16)/, 5],
  ['sums of two products', /a shortcut of 128|70 x 64 of a sum/, 2],
])('%s are what the other kernels compute', async (_, only, count) => {
  const results = await checkMatrixUnits(await emulatedGpu(), { all: true, only });
  expect([results.length, judgeMatrixUnits(results)], JSON.stringify(results)).toEqual([count, 'all']);
});

test.runIf(hasF16)('a unit that reads beside a matrix is found out', async () => {
  const gpu = await emulatedGpu((code) =>
    code.replaceAll('subgroupMatrixLoad<Left, row_major>(&panel, ', 'subgroupMatrixLoad<Left, row_major>(&panel, 1 + '),
  );
  expect(judgeMatrixUnits(await checkMatrixUnits(gpu, { only: /matmul 130/ }))).toBe('none');
});

test.runIf(hasF16).each([
  // images, queries, keys, heads, of a width, by how much later keys score higher
  [2, 170, 64, 2, 40, 1],
  [1, 48, 48, 1, 64, 1],
  [1, 33, 16, 1, 16, 1],
  [1, 20, 80, 1, 16, 40], // once more, relative to the highest
])(
  'attention over long rows: %i x %i x %i, %i heads of %i, %i',
  async (images, queries, keys, heads, width, growth) => {
    const gpu = await emulatedGpu();
    const channels = heads * width;
    const [q, k, v] = [
      random([images, queries, channels], 1),
      random([images, keys, channels], 2),
      random([images, keys, channels], 3),
    ];
    for (let i = k.data.length / 2; i < k.data.length; i++) k.data[i]! *= growth;
    const y = await runOp(gpu, { q, k, v }, ({ q, k, v }) => {
      const y = tensorAttention({ q: q!, k: k!, v: v!, heads, causal: false }, { subgroups: 2, keyBlocks: 1 })!;
      expect(y.storage.producer?.kernel).toBe('attention-tensor-long');
      return y;
    });
    const sizes = { images, queries, keys, channels, heads, causal: false };
    // What is multiplied are halves, and with scores of 100 and more that is seen.
    expect(relativeL2(y, reference.attention(q.data, k.data, v.data, sizes))).toBeLessThan(growth > 1 ? 2e-2 : 2e-3);
  },
);

test.runIf(hasF16)('parts of a sum are of x, of what is beside it, or of both', async () => {
  const device = await emulatedGpu();
  const [rows, inner, other, columns] = [70, 64, 128, 36];
  const [x, w, bias] = [random([rows, inner], 1), random([columns, inner], 2), random([columns], 3)];
  const [beside, v] = [random([rows, other], 4), random([columns, other], 5)];
  const ofX = reference.matmul(x.data, w.data, rows, columns, inner, bias.data);
  const expected = reference.matmul(beside.data, v.data, rows, columns, other).map((sum, i) => sum + ofX[i]!);
  for (const splits of [1, 2, 6]) {
    const gpu = withTier(device, { tuning: () => ({ tile: '64x64x32/2x2', splits }) });
    const y = await runOp(gpu, { x, beside }, ({ x, beside }) =>
      matmul(x!, matrix(gpu, w, 1, true, 32), vector(gpu, bias), {
        beside: { x: beside!, w: matrix(gpu, v, 1, true, 32) },
      }),
    );
    expect(relativeL2(y, expected)).toBeLessThan(2e-3);
  }
});

test.runIf(hasF16)('weights of two linear layers are multiplied as a slow product does it', async () => {
  const gpu = await emulatedGpu();
  // Rows that do not fill the last workgroup.
  const [inner, middle, rows] = [64, 96, 160];
  const [w, v] = [random([middle, inner], 1), random([rows, middle], 2)];
  const [wBias, vBias] = [random([middle], 3), random([rows], 4)];
  const results = { weight: [inner * rows], bias: [rows] };
  for (const [name, shape] of Object.entries(results)) {
    const y = await runOp(gpu, { x: random([1, 4], 5) }, ({ x }) => {
      const first = { weight: matrix(gpu, w, 1, true, 32), bias: vector(gpu, wBias) };
      const second = { weight: matrix(gpu, v, 1, true, 32), bias: vector(gpu, vBias) };
      const { weight, bias } = foldLinears(graphOf(x!), first, second);
      return cast({ ...(name === 'weight' ? weight.data : bias!), shape }, 'f32');
    });
    const product = transposed(reference.matmul(transposed(w.data, middle), v.data, inner, rows, middle), inner);
    const expected =
      name === 'weight'
        ? inBlocks(product, rows, inner)
        : reference.matmul(wBias.data, v.data, 1, rows, middle, vBias.data);
    expect(relativeL2(y, expected)).toBeLessThan(1e-3);
  }
});

/** (rows, columns) -> (columns, rows). */
const transposed = (x: ArrayLike<number>, rows: number) =>
  Float32Array.from(x, (_, i) => x[(i % rows) * (x.length / rows) + Math.floor(i / rows)]!);

/** (rows, columns) -> (columns / 32, rows, 32). */
const inBlocks = (x: ArrayLike<number>, rows: number, columns: number) =>
  Array.from(x, (_, i) => x[(Math.floor(i / 32) % rows) * columns + Math.floor(i / 32 / rows) * 32 + (i % 32)]!);
