/** Waiting for plans on processors: resting changes neither results nor that failures are told. */
import { expect, test } from 'vitest';
import type { Gpu } from '../../packages/core/src/gpu/gpu.ts';
import { createPlan } from '../../packages/core/src/gpu/plan.ts';
import { record } from '../../packages/core/src/gpu/recording.ts';
import { createRest } from '../../packages/core/src/gpu/rest.ts';
import { silu } from '../../packages/core/src/ops/elementwise.ts';
import { random, testGpu } from '../support/gpu.ts';

const processor = { subgroup: 8 } as Gpu;

test('rests for most of the shorter of two runs, less what is over', async () => {
  const rest = createRest(processor);
  expect(rest.most(Date.now())).toBeUndefined();
  rest.took(9000);
  expect(rest.most(Date.now())).toBeUndefined();
  rest.took(100);
  const begun = Date.now();
  await rest.most(begun);
  const rested = Date.now() - begun;
  expect(rested).toBeGreaterThan(70);
  expect(rest.most(begun - 100)).toBeUndefined();
  rest.took(9000);
  rest.took(1);
  expect(rest.most(Date.now())).toBeUndefined(); // too short for a timer
});

test('never on graphics cards', () => {
  const rest = createRest({ subgroup: 1 } as Gpu);
  rest.took(100);
  rest.took(100);
  expect(rest.most(Date.now())).toBeUndefined();
});

test('a plan gives the same every time', async () => {
  const gpu = await testGpu();
  const x = random([1, 2 ** 20], 1);
  const plan = createPlan(
    gpu,
    record(gpu, { x: x.shape }, ({ x }) => ({ y: silu(x!) })),
    'test',
  );
  const first = (await plan.run({ x: x.data })).y!;
  for (let i = 0; i < 5; i++) expect((await plan.run({ x: x.data })).y!).toEqual(first);
  plan.destroy();
});
