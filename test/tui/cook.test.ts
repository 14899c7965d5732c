/** What is done when: newest first, one thing at a time, and how it is stopped. On a stove that only pretends. */
import { CancelledError, UsageError } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { Cook, type Doing, type Stove } from '../../packages/cli/src/tui/engine/cook.ts';
import type { EngineEvent, Job, KeepTask, Order } from '../../packages/cli/src/tui/engine/protocol.ts';
import { FIRST_PICTURE } from '../../packages/cli/src/tui/state/picture.ts';
import { drawn } from './support.tsx';

const job = (key: string, effort: Job['effort'] = 'full'): Job => ({
  key,
  effort,
  soup: { portions: [] },
  picture: FIRST_PICTURE,
});
const order = (...jobs: Job[]): Order => ({ jobs, restMs: 20 });
const task = (folder: string): KeepTask => ({ type: 'merge', soup: { portions: [] }, folder });

/** Takes a step whenever it is told to, and looks at its signal at each. */
function fakeKitchen() {
  const told: string[] = [];
  const steps: (() => void)[] = [];
  const begun: string[] = [];
  let atOnce = 0;
  let most = 0;
  const work = async (name: string, { signal }: Doing) => {
    begun.push(name);
    most = Math.max(most, ++atOnce);
    try {
      for (let i = 0; i < 3; i++) {
        await new Promise<void>((resolve) => steps.push(resolve));
        if (signal.aborted) throw new CancelledError('stopped on request');
      }
      if (name.includes('bad')) throw new UsageError('that has no meaning');
      if (name.includes('bug')) throw new TypeError('x is undefined');
    } finally {
      atOnce--;
    }
  };
  const stove: Stove = {
    async draw({ key, effort }, doing) {
      await work(key, doing);
      return drawn(key, { effort });
    },
    async keep({ folder }, doing) {
      await work(folder, doing);
      return { what: 'saved', path: folder };
    },
    async inspect(ids) {
      return ids.map((id) => ({ id }));
    },
  };
  const nameOf = (event: EngineEvent): string => {
    if (event.type === 'picture') return `picture ${event.picture.key}`;
    if (event.type === 'kept') return `kept ${event.kept.path}`;
    return event.type === 'failed' ? `failed: ${event.message}` : event.type;
  };
  const cook = new Cook(stove, (event) => told.push(nameOf(event)));
  const settle = () => new Promise((resolve) => setTimeout(resolve, 1));
  return {
    cook,
    told,
    begun,
    most: () => most,
    async step(times = 1) {
      for (let i = 0; i < times; i++) {
        await settle();
        for (const go of steps.splice(0)) go();
        await settle();
      }
    },
    async finish() {
      for (let i = 0; i < 60; i++) await this.step();
    },
  };
}

test('draws what is ordered, one after the other', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a'), job('b')));
  await kitchen.finish();
  expect(kitchen.told).toEqual(['picture a', 'picture b', 'idle']);
  expect(kitchen.most()).toBe(1);
});

test('the newest order ends the work of the one before at its next step, and those between are never begun', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a')));
  await kitchen.step();
  kitchen.cook.order(order(job('b')));
  kitchen.cook.order(order(job('c')));
  kitchen.cook.order(order(job('d')));
  expect(kitchen.begun).toEqual(['a']);
  await kitchen.step();
  expect(kitchen.begun).toEqual(['a', 'd']);
  await kitchen.finish();
  expect(kitchen.told).toEqual(['picture d', 'idle']);
  expect(kitchen.most()).toBe(1);
});

test('after a sketch there is a rest, in which a newer order comes without waiting', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order({ jobs: [job('a', 'sketch'), job('A')], restMs: 60_000 });
  await kitchen.step(3);
  expect(kitchen.told).toEqual(['picture a']);
  kitchen.cook.order(order(job('b')));
  await kitchen.finish();
  expect(kitchen.told).toEqual(['picture a', 'picture b', 'idle']);
});

test('an order for nothing only ends what is being done', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a')));
  await kitchen.step();
  kitchen.cook.order(order());
  await kitchen.finish();
  expect(kitchen.told).toEqual(['idle']);
});

test('what is to be kept goes before pictures, is not ended by them, and they begin again behind it', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a')));
  await kitchen.step();
  kitchen.cook.keep(task('soup'));
  await kitchen.step();
  expect(kitchen.begun).toEqual(['a', 'soup']);
  kitchen.cook.order(order(job('b')));
  await kitchen.finish();
  expect(kitchen.told).toEqual(['kept soup', 'picture b', 'idle']);
  kitchen.cook.order(order(job('c')));
  await kitchen.step();
  kitchen.cook.keep(task('again'));
  await kitchen.finish();
  expect(kitchen.told.slice(3)).toEqual(['kept again', 'picture c', 'idle']);
});

test('stopping ends everything, and says so', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a'), job('b')));
  kitchen.cook.keep(task('soup'));
  await kitchen.step();
  kitchen.cook.stop();
  await kitchen.finish();
  expect(kitchen.told).toEqual(['stopped', 'idle']);
  kitchen.cook.stop();
  expect(kitchen.told.at(-1)).toBe('stopped');
  kitchen.cook.order(order(job('c')));
  await kitchen.step();
  kitchen.cook.order(order());
  kitchen.cook.stop();
  await kitchen.finish();
  expect(kitchen.told.slice(-2)).toEqual(['stopped', 'idle']);
  kitchen.cook.order(order(job('d')));
  await kitchen.finish();
  expect(kitchen.told.slice(-2)).toEqual(['picture d', 'idle']);
});

test('a failure is told, and does not keep the next order from being done', async () => {
  const kitchen = fakeKitchen();
  const log = console.error;
  const logged: unknown[] = [];
  console.error = (...what) => logged.push(...what);
  kitchen.cook.order(order(job('bad'), job('never')));
  await kitchen.finish();
  kitchen.cook.order(order(job('bug')));
  await kitchen.finish();
  kitchen.cook.order(order(job('good')));
  await kitchen.finish();
  console.error = log;
  expect(kitchen.told).toEqual([
    ...['failed: that has no meaning', 'idle'],
    ...['failed: internal error: x is undefined; the log has more', 'idle'],
    ...['picture good', 'idle'],
  ]);
  expect(logged).toEqual([expect.any(TypeError)]);
});

test('looking at models goes on beside the work', async () => {
  const kitchen = fakeKitchen();
  kitchen.cook.order(order(job('a')));
  await kitchen.step();
  await kitchen.cook.inspect(['x'], []);
  expect(kitchen.told).toEqual(['inspected']);
  await kitchen.finish();
});
