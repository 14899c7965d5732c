/**
 * Products by tiles on lanes, as graphics cards without matrix units compute them (lane-tile.wgsl), against slow references: every
 * tile, edges that fill none, splits of the inner dimension, weights in halves and in f32, and all that is added before y is
 * stored. The software adapter is asked to do as a graphics card would.
 */
import type { Gpu, Precision } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { Usage } from '../../packages/core/src/gpu/flags.ts';
import { withTier } from '../../packages/core/src/gpu/gpu.ts';
import { attention } from '../../packages/core/src/ops/attention.ts';
import { conv2d } from '../../packages/core/src/ops/conv2d.ts';
import { add, addPerImage, concat, geglu, silu } from '../../packages/core/src/ops/elementwise.ts';
import { jointMatmul, matmul } from '../../packages/core/src/ops/matmul.ts';
import { groupNorm, layerNorm } from '../../packages/core/src/ops/norms.ts';
import { TILES } from '../../packages/core/src/ops/tiles.ts';
import { asGraphicsCard, matrix, type Numbers, random, relativeL2, runOp, testGpu, vector } from '../support/gpu.ts';
import * as reference from '../support/reference.ts';

// As in ops.test.ts.
const TOLERANCE: Record<Precision, number> = { f32: 2e-6, f16: 2e-3 };

/** Memory that plans share, full of ones, more or less. */
function soil(gpu: Gpu): void {
  const usage = Usage.STORAGE | Usage.COPY_SRC | Usage.COPY_DST;
  const soiled = gpu.activations.map(({ size }) => gpu.createBuffer(size, usage, 'soiled'));
  for (const buffer of soiled) gpu.device.queue.writeBuffer(buffer, 0, new Uint8Array(buffer.size).fill(0x3f));
  for (const buffer of gpu.activations.splice(0, soiled.length, ...soiled)) gpu.destroyBuffer(buffer);
}

const hasF16 = process.env.SOUP_TEST_F16 !== 'no';

describe.each<Precision>(hasF16 ? ['f32', 'f16'] : ['f32'])('%s', (precision) => {
  let gpu: Gpu;
  beforeAll(async () => {
    gpu = asGraphicsCard(await testGpu(precision));
  });
  const inBlocks = (w: Numbers, kernel: number, packed: boolean) => matrix(gpu, w, kernel, packed, 32);
  const close = (result: Float32Array, expected: ArrayLike<number>, isPacked = false) =>
    expect(relativeL2(result, expected)).toBeLessThan(TOLERANCE[isPacked ? 'f16' : precision]);
  /** A device that takes this tile, and says what it was asked for. */
  const inTiles = (tile: string, splits = 1) => {
    const asked: string[] = [];
    const tuned = withTier(gpu, {
      tuning({ kernel }) {
        asked.push(kernel);
        return { tile, splits };
      },
    });
    return { tuned, asked };
  };

  const products = [
    // rows, inner, columns, tile, splits, packed
    [131, 96, 132, '64x64x16', 1, true],
    [70, 256, 66, '64x64x16', 3, false],
    [130, 64, 260, '64x128x16', 1, true],
    [129, 512, 140, '128x128x16', 2, true],
  ] as const;
  // Where y is stored number by number there is much to compile.
  const ragged = precision === 'f32' ? ([[70, 64, 67, '64x64x16', 1, true]] as const) : [];
  test.each([...products, ...ragged])(
    'matmul %i x %i x %i, with all that a product adds, in %s, %i, halves: %s',
    async (...one) => {
      const [rows, inner, columns, tile, splits, packed] = one;
      const images = rows % 2 === 0 ? 2 : 1;
      const [x, w, bias] = [
        random([images, rows / images, inner], 1),
        random([columns, inner], 2),
        random([columns], 3),
      ];
      const [shift, residual] = [random([images, columns], 4), random([images, rows / images, columns], 5)];
      const plain = reference.matmul(x.data, w.data, rows, columns, inner, bias.data);
      const { tuned, asked } = inTiles(tile, splits);
      const y = await runOp(tuned, { x, shift, residual }, ({ x, shift, residual }) =>
        add(residual!, silu(addPerImage(matmul(x!, inBlocks(w, 1, packed), vector(gpu, bias)), shift!))),
      );
      const perImage = (rows / images) * columns;
      const expected = plain.map((v, i) => {
        const shifted = v + shift.data[Math.floor(i / perImage) * columns + (i % columns)]!;
        return residual.data[i]! + reference.activation.silu(shifted);
      });
      close(y, expected, packed);
      expect(new Set(asked)).toEqual(new Set(['matmul-lanes']));
    },
  );

  test.each([
    [70, 64, 38, '64x64x16', false],
    [33, 32, 520, '64x128x16', true],
  ])('matmul %i x %i x %i, gated, in %s, halves: %s', async (rows, inner, columns, tile, packed) => {
    const [x, w, bias] = [random([1, rows, inner], 1), random([columns, inner], 2), random([columns], 3)];
    const plain = reference.matmul(x.data, w.data, rows, columns, inner, bias.data);
    const half = columns / 2;
    const expected = Float64Array.from({ length: rows * half }, (_, i) => {
      const at = Math.floor(i / half) * columns + (i % half);
      return plain[at]! * reference.activation.gelu(plain[at + half]!);
    });
    const y = await runOp(inTiles(tile).tuned, { x }, ({ x }) =>
      geglu(matmul(x!, inBlocks(w, 1, packed), vector(gpu, bias))),
    );
    close(y, expected, packed);
  });

  test.each([
    [70, 64, 36, false],
    [3, 96, 37, true], // few rows
  ])('three products of the same %i x %i, by %i columns, halves: %s', async (rows, inner, columns, packed) => {
    const [x, w, bias] = [random([1, rows, inner], 1), random([3 * columns, inner], 2), random([3 * columns], 3)];
    const y = await runOp(gpu, { x }, ({ x }) => {
      const [q, k, v] = jointMatmul(x!, inBlocks(w, 1, packed), 3, { bias: vector(gpu, bias) });
      return add(add(q!, k!), silu(v!)); // what makes them is not asked to
    });
    const part = (of: Float32Array, i: number) => of.subarray((i * of.length) / 3, ((i + 1) * of.length) / 3);
    const [q, k, v] = [0, 1, 2].map((i) =>
      reference.matmul(x.data, part(w.data, i), rows, columns, inner, part(bias.data, i)),
    );
    close(
      y,
      q!.map((sum, i) => sum + k![i]! + reference.activation.silu(v![i]!)),
      packed,
    );
  });

  test.each([
    // images, height, width, channels, outChannels, kernel, stride, upsampleTo, tile, splits
    [2, 7, 9, 32, 33, 3, 1, undefined, '64x64x16', 1, false],
    [1, 17, 19, 64, 5, 3, 2, undefined, '64x64x16', 2, true],
    [1, 9, 8, 32, 70, 5, 1, undefined, '64x128x16', 1, true],
    [2, 5, 6, 96, 130, 3, 1, [10, 12], '128x128x16', 1, false],
    [3, 7, 5, 96, 7, 3, 1, [14, 10], '64x64x16', 4, true],
    [1, 1, 1, 32, 4, 3, 1, [2, 2], '64x64x16', 1, false],
    [1, 7, 5, 32, 4, 3, 1, [9, 11], '64x64x16', 1, true],
    [1, 7, 5, 32, 4, 3, 1, [14, 11], '64x64x16', 1, true],
  ] as const)(
    'conv2d of %i images %i x %i, %i -> %i, kernel %i, stride %i, scaled to %j, in %s, %i, halves: %s',
    async (images, height, width, channels, outChannels, kernel, stride, upsampleTo, tile, splits, packed) => {
      const x = random([images, height, width, channels], 1);
      const w = random([outChannels, channels, kernel, kernel], 2);
      const bias = random([outChannels], 3);
      const pad = (kernel - 1) / 2;
      const [inHeight, inWidth] = upsampleTo ?? [height, width];
      const scaled = upsampleTo ? reference.upsample(x.data, x.shape, upsampleTo) : x.data;
      const conv = { images, height: inHeight, width: inWidth, channels, outChannels, kernel, stride };
      const expected = reference.conv2d(scaled, w.data, bias.data, { ...conv, padding: [pad, pad, pad, pad] });
      const { tuned, asked } = inTiles(tile, splits);
      const y = await runOp(tuned, { x }, ({ x }) =>
        conv2d(x!, inBlocks(w, kernel, packed), vector(gpu, bias), { stride, ...(upsampleTo && { upsampleTo }) }),
      );
      close(y, expected, packed);
      expect(new Set(asked)).toEqual(new Set(['conv2d-lanes']));
    },
  );

  test.each([
    // images, height, width, channels, groups, stride, padding
    [2, 7, 5, 32, 8, 1, [1, 1, 1, 1]],
    [3, 6, 9, 64, 32, 2, [1, 1, 1, 1]],
    [1, 9, 4, 32, 1, 2, [0, 1, 1, 0]],
    [1, 72, 64, 32, 1, 1, [1, 1, 1, 1]],
  ] as const)(
    'a norm leaves zeros around what a convolution reads: %i images %i x %i of %i channels, %i groups, stride %i, padding %j',
    async (images, height, width, channels, groups, stride, padding) => {
      const [x, gamma, beta] = [
        random([images, height, width, channels], 1),
        random([channels], 2),
        random([channels], 3),
      ];
      const [w, bias] = [random([36, channels, 3, 3], 4), random([36], 5)];
      const weights = { gamma: vector(gpu, gamma), beta: vector(gpu, beta), eps: 1e-5, groups };
      const options = { images, pixels: height * width, channels, groups, eps: 1e-5 };
      const normed = reference.groupNorm(x.data, gamma.data, beta.data, options).map(reference.activation.silu);
      const conv = { images, height, width, channels, outChannels: 36, kernel: 3, stride, padding };
      const run = () =>
        runOp(gpu, { x }, ({ x }) =>
          conv2d(silu(groupNorm(x!, weights)), inBlocks(w, 3, true), vector(gpu, bias), { stride, padding }),
        );
      const before = gpu.pipelines.size;
      await run();
      const made = [...gpu.pipelines.keys()].slice(before).filter((key) => key.includes('"BORDER":'));
      expect(made.every((key) => key.includes('"BORDER":1'))).toBe(true);
      soil(gpu); // zeros are zeros since they are stored, not since nobody has used that memory
      close(await run(), reference.conv2d(normed, w.data, bias.data, conv), true);
      // Somebody else who reads it does not expect a border.
      const both = await runOp(gpu, { x }, ({ x }) => {
        const h = silu(groupNorm(x!, weights));
        return add(
          conv2d(h, inBlocks(w, 3, true), vector(gpu, bias), { padding: [1, 1, 1, 1] }),
          conv2d(h, inBlocks(w, 3, true), vector(gpu, bias), { padding: [1, 1, 1, 1] }),
        );
      });
      const once = reference.conv2d(normed, w.data, bias.data, { ...conv, stride: 1, padding: [1, 1, 1, 1] });
      close(
        both,
        once.map((v) => 2 * v),
        true,
      );
    },
  );

  test.each([
    // norm, images, pixels, inner, channels, groups, by which kernel
    ['layer', 2, 35, 256, 68, 1, 'layer-norm'],
    ['layer', 1, 9, 256, 66, 1, 'layer-norm'],
    ['group', 2, 35, 256, 96, 4, 'group-norm-whole'],
    ['group', 1, 35, 256, 66, 3, 'group-norm-whole'],
    ['group', 2, 1031, 128, 64, 2, 'group-norm-stats'],
    ['group', 1, 1031, 128, 160, 32, 'group-norm-stats'],
  ] as const)(
    '%s norm of the splits of a product, %i x %i x %i x %i in %i groups, makes their sum and stores it: %s',
    async (norm, images, pixels, inner, channels, groups, kernel) => {
      const size = [images, pixels, channels];
      const [x, w, bias] = [random([images, pixels, inner], 1), random([channels, inner], 2), random([channels], 3)];
      const [shift, residual] = [random([images, channels], 4), random(size, 5)];
      const [gamma, beta] = [random([channels], 6), random([channels], 7)];
      const weights = { gamma: vector(gpu, gamma), beta: vector(gpu, beta), eps: 1e-5 };
      const { tuned } = inTiles('64x64x16', 3);
      const isLayer = norm === 'layer';
      const summed = reference.matmul(x.data, w.data, images * pixels, channels, inner, bias.data).map((v, i) => {
        const shifted = v + (isLayer ? 0 : shift.data[Math.floor(i / pixels / channels) * channels + (i % channels)]!);
        return reference.activation.silu(shifted) + residual.data[i]!;
      });
      const normed = isLayer
        ? reference.layerNorm(summed, gamma.data, beta.data, images * pixels, channels, 1e-5)
        : reference.groupNorm(summed, gamma.data, beta.data, { images, pixels, channels, groups, eps: 1e-5 });
      for (const isReadAgain of [false, true]) {
        const y = await runOp(tuned, { x, shift, residual }, ({ x, shift, residual }) => {
          const product = matmul(x!, inBlocks(w, 1, true), vector(gpu, bias));
          const h = add(residual!, silu(isLayer ? product : addPerImage(product, shift!)));
          const y = isLayer ? layerNorm(h, weights) : groupNorm(h, { ...weights, groups });
          return isReadAgain ? add(h, y) : y;
        });
        const made = [...gpu.pipelines.keys()].filter((key) =>
          key.includes(`"HAS_SUM":${isReadAgain || kernel === 'group-norm-stats'}`),
        );
        expect(made.some((key) => key.startsWith(`${kernel} `) && key.includes('"SPLITS":'))).toBe(true);
        const expected = isReadAgain ? normed.map((v, i) => v + summed[i]!) : normed;
        close(y, expected, true);
      }
    },
  );

  test.each([68, 66])(
    'what lies beside the splits of a product, 70 x 256 x %i, is put there by who sums them',
    async (channels) => {
      const [x, w, b] = [random([70, 256], 1), random([channels, 256], 2), random([70, 36], 3)];
      const residual = random([70, channels], 4);
      const summed = reference.matmul(x.data, w.data, 70, channels, 256).map((v, i) => v + residual.data[i]!);
      const expected = Array.from({ length: 70 * (channels + 36) }, (_, i) => {
        const [row, column] = [Math.floor(i / (channels + 36)), i % (channels + 36)];
        return column < channels ? summed[row * channels + column]! : b.data[row * 36 + column - channels]!;
      });
      const { tuned } = inTiles('64x64x16', 3);
      for (const isReadAgain of [false, true]) {
        const y = await runOp(tuned, { x, b, residual }, ({ x, b, residual }) => {
          const h = add(residual!, matmul(x!, inBlocks(w, 1, true)));
          const both = concat(h, b!);
          return isReadAgain ? add(both, concat(b!, h)) : both;
        });
        const other = Array.from({ length: 70 * (channels + 36) }, (_, i) => {
          const [row, column] = [Math.floor(i / (channels + 36)), i % (channels + 36)];
          return column < 36 ? b.data[row * 36 + column]! : summed[row * channels + column - 36]!;
        });
        close(y, isReadAgain ? expected.map((v, i) => v + other[i]!) : expected, true);
        const made = [...gpu.pipelines.keys()].filter((key) => key.startsWith('concat ') && key.includes('"SPLITS":3'));
        expect(made.some((key) => key.includes(`"HAS_SUM":${isReadAgain}`))).toBe(true);
      }
    },
  );

  test.each([
    // images, queries, keys, heads, head width
    [1, 1, 1, 1, 8],
    [2, 45, 45, 2, 40],
    [1, 33, 40, 2, 64],
    [1, 20, 41, 1, 160],
    [1, 19, 18, 3, 5],
  ])('attention %i x %i x %i, %i heads of %i', async (images, queries, keys, heads, headWidth) => {
    const channels = heads * headWidth;
    const shapes = [queries, keys, keys].map((tokens) => [images, tokens, channels]);
    const [q, k, v] = shapes.map((shape, i) => random(shape, i + 1)) as [Numbers, Numbers, Numbers];
    for (const causal of queries === keys ? [false, true] : [false]) {
      const y = await runOp(gpu, { q, k, v }, ({ q, k, v }) => attention(q!, k!, v!, { heads, causal }));
      const options = { images, queries, keys, channels, heads, causal };
      close(y, reference.attention(q.data, k.data, v.data, options));
    }
  });

  test('attention with a head as wide as the VAE has, by tiles', async () => {
    const [queries, channels] = [64, 192];
    const [q, k, v] = [1, 2, 3].map((seed) => random([1, queries, channels], seed)) as [Numbers, Numbers, Numbers];
    const { tuned, asked } = inTiles('64x64x16');
    const y = await runOp(tuned, { q, k, v }, ({ q, k, v }) => attention(q!, k!, v!, { heads: 1 }));
    const options = { images: 1, queries, keys: queries, channels, heads: 1, causal: false };
    close(y, reference.attention(q.data, k.data, v.data, options));
    expect(asked).toEqual(['matmul-lanes', 'matmul-lanes']);
  });

  test('what a tile stages fits the workgroup memory that every device has', () => {
    for (const { bytes, constants } of TILES.lanes.values()) {
      expect(bytes).toBeLessThanOrEqual(16384);
      expect(Number(constants.ROW_THREADS) * Number(constants.COLUMN_THREADS)).toBeLessThanOrEqual(256);
    }
  });
});
