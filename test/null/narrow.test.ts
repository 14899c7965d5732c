/** What is stored in halves because nobody reads more of it, and what is not. */
import { beforeAll, expect, test } from 'vitest';
import { type Gpu, withTier } from '../../packages/core/src/gpu/gpu.ts';
import { cast, type Node, repeat, type Tensor } from '../../packages/core/src/gpu/graph.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { add, concat, silu } from '../../packages/core/src/ops/elementwise.ts';
import { nullGpu } from '../support/gpu.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = withTier(await nullGpu('f16'), { residual: 'f32', matrixUnits: 'all' });
});

const stored = (forward: (sum: Tensor) => Tensor, on = gpu) => {
  const { graph } = record(on, { a: [2, 4], b: [2, 4] }, ({ a, b }) => ({ y: forward(add(a!, b!)) }));
  return graph.nodes.map(({ kernel, output }: Node) => `${kernel} ${output.storage.type}`);
};

test('a sum that is rounded by all who read it is rounded once', () => {
  // One concatenates it, one casts it: neither the cast nor f32 is needed.
  const forward = (sum: Tensor) => concat(concat(sum, sum), silu(cast(sum, 'f16')));
  expect(stored(forward)).toEqual(['add f16', 'concat f16', 'unary f16', 'concat f16', 'cast f32']);
});

test('a copy rounds if those who read the copy do', () => {
  expect(stored((sum) => concat(repeat(sum, 4), repeat(sum, 4))).slice(0, 3)).toEqual([
    'add f16',
    'cast f16',
    'cast f16',
  ]);
});

test('what somebody reads as it is stays as it is', () => {
  expect(stored((sum) => concat(sum, silu(sum)))[0]).toBe('add f32');
  expect(stored((sum) => sum)[0]).toBe('add f32'); // the caller
  const exact = withTier(gpu, { precision: 'f32', matrixUnits: 'none' });
  expect(stored((sum) => concat(sum, sum), exact)).toEqual(['add f32', 'concat f32']);
});
