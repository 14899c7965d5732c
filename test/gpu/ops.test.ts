/** Every kernel against its slow reference, at sizes of one, primes, and real ones; in f32 and f16 storage. */
import type { Gpu, Precision } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { activations } from '../../packages/core/src/gpu/activate.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { attention } from '../../packages/core/src/ops/attention.ts';
import { conv2d } from '../../packages/core/src/ops/conv2d.ts';
import {
  activate,
  add,
  addPerImage,
  concat,
  geglu,
  silu,
  timestepEmbedding,
} from '../../packages/core/src/ops/elementwise.ts';
import { matmul } from '../../packages/core/src/ops/matmul.ts';
import { groupNorm, layerNorm } from '../../packages/core/src/ops/norms.ts';
import { matrix, random, relativeL2, runOp, testGpu, vector } from '../support/gpu.ts';
import * as reference from '../support/reference.ts';

// f32: rounding of sums of up to a few thousand terms. f16: inputs and results rounded to 11 bits, weights too.
const TOLERANCE: Record<Precision, number> = { f32: 2e-6, f16: 2e-3 };

const hasF16 = process.env.SOUP_TEST_F16 !== 'no'; // SwiftShader has none

describe.each<Precision>(hasF16 ? ['f32', 'f16'] : ['f32'])('%s', (precision) => {
  let gpu: Gpu;
  const close = (result: Float32Array, expected: ArrayLike<number>) =>
    expect(relativeL2(result, expected)).toBeLessThan(TOLERANCE[precision]);
  beforeAll(async () => {
    gpu = await testGpu(precision);
  });

  test.each([
    // rows, inner, columns
    [1, 1, 1],
    [1, 4, 3],
    [7, 13, 5],
    [9, 20, 130],
    [64, 320, 320],
    [77, 768, 77],
  ])('matmul %i x %i x %i', async (rows, inner, columns) => {
    const [x, w, bias] = [random([rows, inner], 1), random([columns, inner], 2), random([columns], 3)];
    for (const packed of inner % 4 === 0 ? [false, true] : [false]) {
      const weight = matrix(gpu, w, 1, packed);
      const y = await runOp(gpu, { x }, ({ x }) => matmul(x!, weight, vector(gpu, bias)));
      const expected = reference.matmul(x.data, w.data, rows, columns, inner, bias.data);
      // f16 weights have 11 bits, whatever the activations have
      expect(relativeL2(y, expected)).toBeLessThan(packed ? TOLERANCE.f16 : TOLERANCE[precision]);
    }
  });

  test('matmul with more than 65535 groups of rows', async () => {
    const rows = 65535 * 4 + 9;
    const [x, w] = [random([rows, 4]), random([2, 4], 2)];
    const y = await runOp(gpu, { x }, ({ x }) => matmul(x!, matrix(gpu, w, 1, false)));
    close(y, reference.matmul(x.data, w.data, rows, 2, 4));
  });

  const same = (k: number): [number, number, number, number] => [(k - 1) / 2, (k - 1) / 2, (k - 1) / 2, (k - 1) / 2];
  test.each([
    // images, height, width, channels, outChannels, kernel, stride, padding
    [1, 1, 1, 1, 1, 3, 1, same(3)],
    [2, 5, 7, 3, 6, 3, 1, same(3)],
    [1, 6, 9, 8, 5, 3, 2, same(3)],
    [1, 5, 4, 4, 4, 3, 2, [0, 1, 1, 0]],
    [3, 4, 4, 12, 133, 3, 1, same(3)],
    [1, 9, 8, 4, 3, 5, 1, same(5)],
    [1, 16, 16, 64, 64, 3, 1, same(3)],
  ] as const)(
    'conv2d of %i images %i x %i, %i -> %i, kernel %i, stride %i',
    async (images, height, width, channels, outChannels, kernel, stride, padding) => {
      const x = random([images, height, width, channels], 1);
      const w = random([outChannels, channels, kernel, kernel], 2);
      const bias = random([outChannels], 3);
      const y = await runOp(gpu, { x }, ({ x }) =>
        conv2d(x!, matrix(gpu, w, kernel, false), vector(gpu, bias), { stride, padding }),
      );
      const conv = { images, height, width, channels, outChannels, kernel, stride, padding };
      close(y, reference.conv2d(x.data, w.data, bias.data, conv));
    },
  );

  test.each([
    [
      [1, 3, 5, 4],
      [6, 10],
    ],
    [
      [2, 3, 2, 3],
      [5, 3],
    ],
    [
      [2, 3, 7, 20],
      [6, 14],
    ],
    [
      [2, 7, 3, 3],
      [14, 6],
    ],
  ] as const)('conv2d of %j scaled to %j first', async (shape, upsampleTo) => {
    const [images, , , channels] = shape;
    const [x, w, bias] = [random(shape, 1), random([5, channels, 3, 3], 2), random([5], 3)];
    const y = await runOp(gpu, { x }, ({ x }) =>
      conv2d(x!, matrix(gpu, w, 3, false), vector(gpu, bias), { upsampleTo }),
    );
    const [height, width] = upsampleTo;
    const conv = { images, height, width, channels, outChannels: 5, kernel: 3, stride: 1, padding: same(3) };
    close(y, reference.conv2d(reference.upsample(x.data, shape, upsampleTo), w.data, bias.data, conv));
  });

  test('weights are folded where they can be bound, and the input is scaled by exactly two', () => {
    const weight = matrix(gpu, random([8, 8, 3, 3], 2), 3, false); // folded they have 4096 bytes
    const kernels = (upsampleTo: readonly [number, number], most = 4096) => {
      const device = { limits: { maxStorageBufferBindingSize: most, maxComputeWorkgroupStorageSize: 16384 } };
      const limited: Gpu = Object.assign(Object.create(gpu), { device });
      const { graph } = record(limited, { x: [1, 3, 5, 8] }, ({ x }) => ({
        y: conv2d(x!, weight, undefined, { upsampleTo }),
      }));
      return graph.nodes.map(({ kernel }) => kernel);
    };
    expect(kernels([6, 10])).toContain('fold-taps');
    expect(kernels([6, 10], 4092)).not.toContain('fold-taps');
    expect(kernels([6, 9])).not.toContain('fold-taps');
  });

  test('what a convolution adds as it stores equals adding it afterwards', async () => {
    const [x, w, bias] = [random([2, 4, 5, 8], 1), random([8, 8, 3, 3], 2), random([8], 3)];
    const [shift, residual] = [random([2, 8], 4), random([2, 4, 5, 8], 5)];
    const [weight, b] = [matrix(gpu, w, 3, false), vector(gpu, bias)];
    const y = await runOp(gpu, { x, shift, residual }, ({ x, shift, residual }) =>
      add(residual!, silu(addPerImage(conv2d(x!, weight, b), shift!))),
    );
    const conv = {
      images: 2,
      height: 4,
      width: 5,
      channels: 8,
      outChannels: 8,
      kernel: 3,
      stride: 1,
      padding: same(3),
    };
    const plain = reference.conv2d(x.data, w.data, bias.data, conv);
    close(
      y,
      plain.map(
        (v, i) => residual.data[i]! + reference.activation.silu(v + shift.data[Math.floor(i / 160) * 8 + (i % 8)]!),
      ),
    );
  });

  test.each([
    // images, pixels, channels, groups
    [1, 1, 2, 1],
    [2, 35, 64, 32],
    [1, 7, 15, 5],
    [1, 4096, 40, 4],
    [1, 14000, 40, 4], // more than one workgroup gets through, by one number at a time
    [2, 8200, 32, 2], // and by four
    [2, 1031, 320, 32],
    [1, 6600, 160, 32], // five channels to a group, so that vectors reach over two
  ])('group norm of %i x %i x %i in %i groups', async (images, pixels, channels, groups) => {
    // As it is for processors, and for graphics cards, whose workgroups are wider.
    for (const tiles of [false, true]) await checkGroupNorm({ ...gpu, tiles }, images, pixels, channels, groups);
  });

  async function checkGroupNorm(gpu: Gpu, images: number, pixels: number, channels: number, groups: number) {
    // far from zero, where a naive variance cancels
    const raw = random([images, pixels, 1, channels], 1);
    const x = { ...raw, data: raw.data.map((v) => v + 8) };
    const [gamma, beta] = [random([channels], 2), random([channels], 3)];
    const eps = 1e-5;
    const y = await runOp(gpu, { x }, ({ x }) =>
      silu(groupNorm(x!, { gamma: vector(gpu, gamma), beta: vector(gpu, beta), groups, eps })),
    );
    const expected = reference.groupNorm(x.data, gamma.data, beta.data, { images, pixels, channels, groups, eps });
    // x has lost 3 of its bits to the offset of 8
    expect(relativeL2(y, expected.map(reference.activation.silu))).toBeLessThan(TOLERANCE[precision] * 10);
  }

  test.each([
    [1, 1],
    [3, 5],
    [77, 768],
    [2, 1280],
    [8200, 36],
  ])('layer norm of %i x %i', async (rows, channels) => {
    const [x, gamma, beta] = [random([rows, channels], 1), random([channels], 2), random([channels], 3)];
    for (const tiles of [false, true]) {
      const y = await runOp({ ...gpu, tiles }, { x }, ({ x }) =>
        layerNorm(x!, { gamma: vector(gpu, gamma), beta: vector(gpu, beta), eps: 1e-5 }),
      );
      close(y, reference.layerNorm(x.data, gamma.data, beta.data, rows, channels, 1e-5));
    }
  });

  test.each([
    // images, queries, keys, channels, heads, causal
    [1, 1, 1, 4, 1, false],
    [2, 7, 5, 12, 3, false],
    [1, 11, 13, 15, 3, false],
    [2, 77, 77, 64, 4, true],
    [1, 65, 77, 80, 2, false],
    [1, 9, 9, 160, 1, false],
    [1, 16, 24, 384, 1, false], // too wide for registers
    [2, 5, 7, 362, 2, false], // and odd
    [1, 701, 643, 40, 1, false], // enough for several queries to a lane
    [1, 4101, 4097, 16, 1, false], // and for more
  ])(
    'attention: %i images, %i queries, %i keys, %i channels, %i heads, causal %s',
    async (images, queries, keys, channels, heads, causal) => {
      const q = random([images, queries, channels], 1);
      const k = random([images, keys, channels], 2);
      const v = random([images, keys, channels], 3);
      const y = await runOp(gpu, { q, k, v }, ({ q, k, v }) => attention(q!, k!, v!, { heads, causal }));
      close(y, reference.attention(q.data, k.data, v.data, { images, queries, keys, channels, heads, causal }));
    },
  );

  test('attention survives scores that overflow exp', async () => {
    const scale = precision === 'f32' ? 300 : 60;
    const big = (seed: number) => ({ shape: [1, 9, 8], data: random([1, 9, 8], seed).data.map((v) => v * scale) });
    const [q, k, v] = [big(1), big(2), random([1, 9, 8], 3)];
    const y = await runOp(gpu, { q, k, v }, ({ q, k, v }) => attention(q!, k!, v!, { heads: 1 }));
    const options = { images: 1, queries: 9, keys: 9, channels: 8, heads: 1, causal: false };
    expect(relativeL2(y, reference.attention(q.data, k.data, v.data, options))).toBeLessThan(
      precision === 'f32' ? 2e-3 : 0.5,
    );
    expect(y.every(Number.isFinite)).toBe(true);
  });

  test.each(activations.filter((name) => name !== 'none'))('%s', async (name) => {
    const raw = random([1, 1001], 1);
    const x = { ...raw, data: raw.data.map((v) => v * 12) };
    close(await runOp(gpu, { x }, ({ x }) => activate(name, x!)), Array.from(x.data, reference.activation[name]));
  });

  test('activations at the ends of the range are finite', async () => {
    const x = { shape: [1, 4], data: Float32Array.from([-60000, -100, 100, 60000]) };
    for (const name of activations) {
      if (name === 'none') continue;
      const y = await runOp(gpu, { x }, ({ x }) => activate(name, x!));
      close(y, [0, 0, 100, precision === 'f16' ? 59968 + 32 : 60000]);
    }
  });

  test.each([
    [
      [2, 3, 5],
      [2, 3, 5],
    ],
    [
      [2, 3, 5],
      [3, 5],
    ],
    [
      [2, 3, 2, 5],
      [2, 5],
    ],
  ])('add %j and %j', async (aShape, bShape) => {
    const [a, b] = [random(aShape, 1), random(bShape, 2)];
    const expected = Array.from(a.data, (v, i) => v + b.data[i % b.data.length]!);
    close(await runOp(gpu, { a, b }, ({ a, b }) => add(a!, b!)), expected);
  });

  test('add one row of channels per image, of as many images as the picture is wide', async () => {
    const [a, b] = [random([2, 3, 2, 5], 1), random([2, 5], 2)];
    const expected = Array.from(a.data, (v, i) => v + b.data[Math.floor(i / 30) * 5 + (i % 5)]!);
    close(await runOp(gpu, { a, b }, ({ a, b }) => addPerImage(a!, b!)), expected);
  });

  test('geglu', async () => {
    const x = random([3, 22], 1);
    const expected = Array.from({ length: 33 }, (_, i) => {
      const at = Math.floor(i / 11) * 22 + (i % 11);
      return x.data[at]! * reference.activation.gelu(x.data[at + 11]!);
    });
    close(await runOp(gpu, { x }, ({ x }) => geglu(x!)), expected);
  });

  test('concat', async () => {
    const [a, b] = [random([1, 2, 3, 3], 1), random([1, 2, 3, 5], 2)];
    const expected = Array.from({ length: 6 }, (_, row) => [
      ...a.data.subarray(row * 3, row * 3 + 3),
      ...b.data.subarray(row * 5, row * 5 + 5),
    ]).flat();
    close(await runOp(gpu, { a, b }, ({ a, b }) => concat(a!, b!)), expected);
  });
});

describe('timestep embedding', () => {
  // in f32 whatever the tier: an f16 timestep of 999.5 would be 999 or 1000
  test.each([
    [320, true, 0],
    [33, false, 1],
    [2, true, 0],
  ])('of %i channels, flip %s, shift %i', async (channels, flip, freqShift) => {
    const gpu = await testGpu('f32');
    const t = { shape: [4], data: Float32Array.from([0, 1, 500.25, 999]) };
    const y = await runOp(gpu, { t }, ({ t }) => timestepEmbedding(t!, { channels, flip, freqShift }));
    const expected = [...t.data].flatMap((value) => reference.timestepEmbedding(value, channels, flip, freqShift));
    // exp may be off by a few ulp, which an angle of 999 turns into 1e-4
    expect(Math.max(...y.map((v, i) => Math.abs(v - expected[i]!)))).toBeLessThan(3e-4);
  });
});
