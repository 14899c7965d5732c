/** The part of kernels that reads stored numbers: every 16-bit pattern, and differences rounded as IEEE 754 says. */
import type { Gpu } from '@diffusion-soup/core';
import { beforeAll, expect, test } from 'vitest';
import { bf16BitsToF32, f16BitsToF32 } from '../../packages/core/src/checkpoint/dtype.ts';
import { Usage } from '../../packages/core/src/gpu/flags.ts';
import { readBuffer } from '../../packages/core/src/gpu/read-buffer.ts';
import { shaders } from '../../packages/core/src/gpu/shaders.gen.ts';
import { testGpu } from '../support/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

/** y[i] = expression, for each i below `count`. */
async function run(words: Uint32Array<ArrayBuffer>, expression: string, count: number): Promise<Uint32Array> {
  const { device } = gpu;
  const code = `@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
${shaders['stored-number']}
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  if (i < ${count}) { y[i] = ${expression}; }
}`;
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module, entryPoint: 'main' } });
  const x = gpu.createBuffer(words.byteLength, Usage.STORAGE | Usage.COPY_DST, 'x');
  const y = gpu.createBuffer(count * 4, Usage.STORAGE | Usage.COPY_SRC, 'y');
  device.queue.writeBuffer(x, 0, words);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(pipeline);
  const entries = [x, y].map((buffer, binding) => ({ binding, resource: { buffer } }));
  pass.setBindGroup(0, device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries }));
  pass.dispatchWorkgroups(Math.ceil(count / 64));
  pass.end();
  device.queue.submit([encoder.finish()]);
  const result = new Uint32Array(await readBuffer(gpu, y, count * 4, 'test'));
  for (const buffer of [x, y]) gpu.destroyBuffer(buffer);
  return result;
}

const bitsOf = (value: number): number => new Uint32Array(Float32Array.of(value).buffer)[0]!;
const numberOf = (bits: number): number => new Float32Array(Uint32Array.of(bits).buffer)[0]!;

test.each([
  ['STORED_F16', f16BitsToF32],
  ['STORED_BF16', bf16BitsToF32],
] as const)('every %s is the f32 of the same value', async (format, toNumber) => {
  const all = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const found = await run(new Uint32Array(all.buffer), `stored_bits(0, ${format}, i)`, 65536);
  const wrong = [...all].filter((bits) => !Object.is(numberOf(found[bits]!), toNumber(bits)));
  expect(wrong).toEqual([]);
});

test('distances are those of IEEE 754, at all distances of exponents, ties, carries and subnormals', async () => {
  const mantissas = [0, 1, 2, 3, 0x3fffff, 0x400000, 0x400001, 0x7ffffe, 0x7fffff, 0x2aaaaa, 0x555555];
  const exponents = [0, 1, 2, 3, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 33, 34, 60, 253, 254, 255];
  const sizes = exponents.flatMap((exponent) => mantissas.map((mantissa) => exponent * 2 ** 23 + mantissa));
  const pairs = sizes.flatMap((a) => sizes.flatMap((b) => [a, b, a, (b | (2 ** 31)) >>> 0]));
  const count = pairs.length / 2;
  const found = await run(Uint32Array.from(pairs), 'distance_bits(x[2 * i], x[2 * i + 1])', count);
  const wrong: number[][] = [];
  for (let i = 0; i < count; i++) {
    const [a, b] = [numberOf(pairs[2 * i]!), numberOf(pairs[2 * i + 1]!)];
    const areFinite = Number.isFinite(a) && Number.isFinite(b);
    // f64 has more than twice the bits of f32, so that rounding a difference twice is rounding it once.
    const expected = areFinite ? bitsOf(Math.fround(Math.abs(a - b))) : 0x7f800000;
    if (found[i] !== expected) wrong.push([pairs[2 * i]!, pairs[2 * i + 1]!, found[i]!, expected]);
  }
  expect(wrong).toEqual([]);
});
