/** What `soup tune` found is kept for the adapter, its driver and these kernels, and used by whoever opens it. */
import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { report } from '../../packages/cli/src/commands/tune.ts';
import {
  clearTuning,
  type Entry,
  keepTuning,
  readTuning,
  tuningFile,
  tuningFor,
} from '../../packages/cli/src/tuning.ts';
import { scratch, soup } from '../support/cli.ts';

let home: ReturnType<typeof scratch>;
beforeEach(() => {
  home = scratch();
});
afterEach(() => home.remove());

const adapter = (description = 'driver 1') => ({ info: { vendor: 'x', description } }) as unknown as GPUAdapter;
const env = () => ({ XDG_CACHE_HOME: home.path });
const entry = (rows: number, tile: string): Entry => ({
  ...{ kernel: 'matmul', rows, columns: 8, inner: 16 },
  ...{ tile, splits: 1 },
});

test('is added to, looked up, and forgotten', async () => {
  const file = tuningFile(adapter(), env())!;
  expect(await tuningFor(adapter(), env())).toBeUndefined();
  const keep = (...entries: Entry[]) => keepTuning(file, entries, entries);
  await keep(entry(1, 'a'), entry(2, 'b'), entry(4, 'e'));
  await keep(entry(2, 'c'), entry(3, 'd'));
  await keepTuning(file, [entry(4, '')], []); // its own choice is as fast
  expect((await readTuning(file)).map(({ rows, tile }) => [rows, tile])).toEqual([
    [1, 'a'],
    [2, 'c'],
    [3, 'd'],
  ]);
  const tuning = (await tuningFor(adapter(), env()))!;
  expect(tuning(entry(2, ''))).toMatchObject({ tile: 'c', splits: 1 });
  expect(tuning(entry(9, ''))).toBeUndefined();
  expect(await tuningFor(adapter('driver 2'), env())).toBeUndefined();
  expect(await tuningFor(adapter(), { ...env(), SOUP_TUNING: 'off' })).toBeUndefined();
  await clearTuning(file);
  expect(await tuningFor(adapter(), env())).toBeUndefined();
});

test.each(['', '{', '{}', '[1, null, {"kernel": "matmul"}]'])('a damaged file is none: %s', async (text) => {
  const file = tuningFile(adapter(), env())!;
  await keepTuning(file, [], []);
  writeFileSync(file, text);
  expect(await tuningFor(adapter(), env())).toBeUndefined();
});

test('the command says what it wants', async () => {
  expect(await soup(['tune'])).toMatchObject({ code: 2, stderr: expect.stringContaining('soup tune base') });
  expect(await soup(['tune', '--clear', 'base'])).toMatchObject({ code: 2 });
  const { code, stdout } = await soup(['tune', '--clear', '--json'], { env: { XDG_CACHE_HOME: home.path } });
  expect([code, JSON.parse(stdout).cleared]).toEqual([0, expect.stringContaining(home.path)]);
});

test('people are told what is faster, and whether all of it is together', () => {
  const one = { product: entry(64, ''), tiling: { tile: '8x256', splits: 1 }, before: 1.936, after: 1.036 };
  const found = { measured: [one.product], products: [one] };
  const lines = (before: number, after: number) =>
    report({ ...found, whole: { before, after }, isFaster: after < before });
  expect(lines(408.5, 362.4)).toEqual([
    expect.stringMatching(/^product +tile +splits +ms before +after$/),
    expect.stringMatching(/^matmul 64 x 8 x 16 +8x256 +1 +1\.936 +1\.036$/),
    '1 product faster; a picture of 8 steps took 408.5 ms and takes 362.4 ms now',
  ]);
  expect(lines(362.4, 408.5).at(-1)).toBe(
    '1 product faster alone, but a picture of 8 steps takes 408.5 ms with them and 362.4 without: nothing is kept',
  );
  expect(report({ measured: [one.product], products: [], isFaster: false })).toEqual([
    'nothing is faster than what the kernels choose themselves',
  ]);
});
