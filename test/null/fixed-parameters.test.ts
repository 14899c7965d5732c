/** What graphics cards compile in, and processors are told. */
import { createGpu, type Gpu } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { cast } from '../../packages/core/src/gpu/graph.ts';
import { compile } from '../../packages/core/src/gpu/plan.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { concat, timestepEmbedding } from '../../packages/core/src/ops/elementwise.ts';
import { asGraphicsCard, nullGpu } from '../support/gpu.ts';

/** What is compiled, by the kernel, where 8 and `other` channels are put side by side, and for a kernel that has nothing fixed. */
async function compiled(gpu: Gpu, other: number): Promise<Record<string, string>> {
  const codes: Record<string, string> = {};
  const create = gpu.device.createShaderModule.bind(gpu.device);
  gpu.device.createShaderModule = (descriptor) => {
    codes[descriptor.label!.split(' ')[0]!] = descriptor.code;
    return create(descriptor);
  };
  const recording = record(gpu, { a: [2, 8], b: [2, other], t: [2] }, ({ a, b, t }) => ({
    y: concat(cast(a!, 'f32'), cast(b!, 'f32')),
    z: timestepEmbedding(t!, { channels: 4, flip: false, freqShift: 0 }),
  }));
  await compile(gpu, recording);
  Reflect.deleteProperty(gpu.device, 'createShaderModule');
  return codes;
}

test('a graphics card compiles in what is fixed, and again for other numbers', async () => {
  const gpu = asGraphicsCard(await nullGpu('f32'));
  const first = await compiled(gpu, 4);
  expect(first.concat).toContain('let channels = u32(2) + u32(1);');
  expect(first.concat).not.toContain('params.');
  expect(first['timestep-embedding']).toContain('params.channels');
  const second = await compiled(gpu, 12);
  expect(second.concat).toContain('let channels = u32(2) + u32(3);');
  expect(second).not.toHaveProperty('timestep-embedding');
});

test('a processor is told everything', async () => {
  const { device } = await nullGpu('f32');
  const gpu = createGpu(device, { precision: 'f32', tiles: false });
  const { concat: code } = await compiled(gpu, 4);
  expect(code).toContain('let channels = params.x_channels + params.b_channels;');
  expect(await compiled(gpu, 12)).toEqual({});
});
