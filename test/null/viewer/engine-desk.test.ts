/** Which order the engine does when, with work that ends when the test says so. */
import { CancelledError, UsageError } from '@diffusion-soup/core';
import { beforeEach, expect, test, vi } from 'vitest';
import { Desk, type Doing, type Work } from '../../../packages/viewer/src/engine/desk.ts';
import type { EngineEvent, Order } from '../../../packages/viewer/src/messages.ts';

interface UnderWay {
  readonly order: Work;
  readonly doing: Doing;
  finish(error?: unknown): Promise<void>;
}

let said: string[];
let underWay: Map<number, UnderWay>;
let begun: number[];
let lost: number;
let desk: Desk;

const settled = () => new Promise((resolve) => setTimeout(resolve));

beforeEach(() => {
  [said, underWay, begun, lost] = [[], new Map(), [], 0];
  desk = new Desk(
    {
      work: (order, doing) =>
        new Promise((resolve, reject) => {
          begun.push(order.id);
          // As generate does: at the next step.
          const finish = (error?: unknown) => {
            if (error) reject(error);
            else if (doing.signal.aborted) reject(new CancelledError('stopped on request'));
            else resolve();
            return settled() as Promise<void>;
          };
          underWay.set(order.id, { order, doing, finish });
        }),
      lose: () => void lost++,
    },
    (event: EngineEvent) => said.push(`${event.id} ${event.type}`),
  );
});

const blend = { portions: [{ name: 'ink', weight: '1' }] };
const picture = { prompt: '', negative: '', seed: '1', steps: 1, sampler: 'euler', guidance: 1 } as const;
const draw = (id: number): Order => {
  return { type: 'draw', id, key: `${id}`, blend, picture, quality: 'full', previewEvery: 0 };
};
const merge = (id: number): Order => ({ type: 'merge', id, blend });
const models = (id: number): Order => ({ type: 'models', id, models: [] });
const release = (id: number): Order => ({ type: 'release', id });
const survey = (id: number): Order => ({ type: 'survey', id, blend });
const cancel = (id: number, target: number): Order => ({ type: 'cancel', id, target });

async function take(...orders: Order[]): Promise<void> {
  for (const order of orders) desk.take(order);
  await settled();
}
const finish = (id: number, error?: unknown) => underWay.get(id)!.finish(error);

test('the newest drawing wins: the one under way ends at its next step, those that wait at once', async () => {
  await take(draw(1));
  await take(draw(2), draw(3), draw(4));
  expect(begun).toEqual([1]);
  expect(said).toEqual(['2 cancelled', '3 cancelled']);
  expect(underWay.get(1)!.doing.signal.aborted).toBe(true);
  await finish(1);
  expect(said.slice(2)).toEqual(['1 cancelled']);
  expect(begun).toEqual([1, 4]);
  underWay.get(4)!.doing.tell({ type: 'step', key: '4', step: 1, steps: 1 });
  await finish(4);
  expect(said.slice(3)).toEqual(['4 step', '4 done']);
});

test('a merge waits for the drawing under way, goes before those that wait, and is not replaced', async () => {
  await take(draw(1));
  await take(merge(2), merge(3));
  expect(underWay.get(1)!.doing.signal.aborted).toBe(false);
  await finish(1);
  expect(begun).toEqual([1, 2]);
  await take(draw(4), merge(5), draw(6));
  expect(underWay.get(2)!.doing.signal.aborted).toBe(false);
  expect(said).toEqual(['1 done', '4 cancelled']);
  for (const id of [2, 3, 5, 6]) await finish(id);
  expect(begun).toEqual([1, 2, 3, 5, 6]);
  expect(said.slice(2)).toEqual(['2 done', '3 done', '5 done', '6 done']);
});

test('releasing ends drawings and lets merges finish', async () => {
  await take(merge(1), draw(2), release(3));
  expect(said).toEqual(['2 cancelled']);
  await finish(1);
  expect(begun).toEqual([1, 3]);
  await take(draw(4));
  await finish(3);
  await take(release(5));
  expect(underWay.get(4)!.doing.signal.aborted).toBe(true);
  await finish(4);
  await finish(5);
  expect(said.slice(1)).toEqual(['1 done', '3 done', '4 cancelled', '5 done']);
});

test('what follows a list of models waits for it, also when it fails', async () => {
  await take(models(1), models(2), draw(3), survey(4));
  expect(begun).toEqual([1]);
  await finish(1, new UsageError('no such model'));
  expect(begun).toEqual([1, 2]);
  await finish(2);
  expect(begun.slice(2).sort()).toEqual([3, 4]);
  expect(said).toEqual(['1 failed', '2 done']);
  await take(survey(5)); // waits for no drawing
  await finish(5);
  expect(said.slice(2)).toEqual(['5 done']);
});

test('cancelling: under way, waiting, waiting for a list, over, unknown', async () => {
  await take(draw(1), merge(2), cancel(10, 2));
  expect(said).toEqual(['2 cancelled', '10 done']);
  await take(cancel(11, 1));
  expect(said.slice(2)).toEqual(['11 done']);
  await finish(1);
  expect(said.slice(3)).toEqual(['1 cancelled']);
  await take(cancel(12, 1), cancel(13, 99), models(3), draw(4), survey(5), cancel(14, 4), cancel(15, 5));
  expect(said.slice(4)).toEqual(['12 done', '13 done', '14 done', '5 cancelled', '15 done', '4 cancelled']);
  await finish(3);
  await take(merge(6));
  expect(begun).toEqual([1, 3, 6]);
  await take(cancel(16, 6));
  await finish(6);
  expect(said.slice(10)).toEqual(['3 done', '16 done', '6 cancelled']);
});

test('work that was cancelled and failed is cancelled; after the end nothing is told', async () => {
  await take(draw(1));
  await take(draw(2));
  await finish(1, new Error('the device went away'));
  expect(said).toEqual(['1 cancelled']);
  underWay.get(1)!.doing.tell({ type: 'memory', used: 1, peak: 1 });
  await finish(2, new UsageError('broken'));
  expect(said.slice(1)).toEqual(['2 failed']);
  await take(draw(3)); // and it goes on
  await finish(3);
  expect(said.slice(2)).toEqual(['3 done']);
});

test('our own mistakes go to the console with all that is known of them, those of others do not', async () => {
  const log = vi.spyOn(console, 'error').mockImplementation(() => {});
  const ours = new TypeError('x is not a function');
  await take(survey(1), survey(2));
  await finish(1, new UsageError('no'));
  expect(log).not.toHaveBeenCalled();
  await finish(2, ours);
  expect(log.mock.calls).toEqual([[ours]]);
  expect(said).toEqual(['1 failed', '2 failed']);
  log.mockRestore();
});

test('losing the device is not an order that waits', async () => {
  await take(draw(1), { type: 'lose', id: 2 });
  expect([lost, ...said]).toEqual([1, '2 done']);
});

test('any crowd of orders: each ends once, and one at a time has the GPU', async () => {
  const types = [draw, merge, release, models, survey];
  let state = 1;
  const random = (below: number) => {
    state = (Math.imul(state, 48271) >>> 0) % 2147483647;
    return state % below;
  };
  const ids: number[] = [];
  for (let id = 1; id <= 300; id++) {
    ids.push(id);
    desk.take(random(6) === 5 ? cancel(id, 1 + random(id)) : types[random(5)]!(id));
    if (random(3) === 0) await settled();
    const now = [...underWay.values()];
    const onGpu = now.filter(({ order }) => ['draw', 'merge', 'release'].includes(order.type));
    expect(onGpu.length).toBeLessThanOrEqual(1);
    if (now.length > 0 && random(2) === 0) await end(now[random(now.length)]!);
  }
  while (underWay.size > 0) await end([...underWay.values()][0]!);
  const ends = said.filter((line) => /done|failed|cancelled/.test(line)).map((line) => Number(line.split(' ')[0]));
  expect(ends.sort((a, b) => a - b)).toEqual(ids);

  async function end({ order, finish }: UnderWay): Promise<void> {
    underWay.delete(order.id);
    await finish(random(4) === 0 ? new UsageError('no') : undefined);
  }
});
