/** `soup batch` and `soup grid`: real pictures, resumed, sharded and stopped; what fails is noted and stops nothing. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DeviceError, MemoryError, UsageError } from '@diffusion-soup/core';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { prepareBatch } from '../../packages/cli/src/batch/batch.ts';
import type { Engine } from '../../packages/cli/src/batch/engine.ts';
import { expand } from '../../packages/cli/src/batch/expand.ts';
import { readManifest } from '../../packages/cli/src/batch/read-manifest.ts';
import { knownResults } from '../../packages/cli/src/batch/results.ts';
import type { SoupOf } from '../../packages/cli/src/batch/soups.ts';
import { folderStore } from '../../packages/cli/src/batch/store.ts';
import { marksOf } from '../../packages/cli/src/batch/verify.ts';
import { buildCli, scratch, soup } from '../support/cli.ts';
import { fakeEngine, fakeSoupOf } from '../support/fake-engine.mjs';
import { PANTRY } from '../support/files.ts';

// On a machine that has never run them, drivers take minutes to compile the shaders.
vi.setConfig({ testTimeout: 900_000 });

let out: ReturnType<typeof scratch>;
let env: Record<string, string>;
beforeEach(() => {
  out = scratch();
  env = { XDG_CACHE_HOME: out.in('cache') };
});
afterEach(() => out.remove());

const lines = (text: string) =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const write = (text: string, name = 'm.yaml') => {
  writeFileSync(out.in(name), text);
  return out.in(name);
};
const TINY = 'defaults: {steps: 1, size: 64, model: noto, guidance: 1}\n';

describe('with the engine', () => {
  test('draws, notes, skips what is there, and lays it out', async () => {
    const manifest = write(
      `${TINY}axes: {model: [noto, "noto:2+ink:1"], seed: 1..2}\nitems:\n  - prompt: red apple\n  - {prompt: x, size: 65, seed: 1, model: noto}\n`,
    );
    const args = ['batch', manifest, '-o', out.in('p'), '--json'];
    const dry = await soup([...args, '--dry-run'], { env });
    expect(dry.code).toBe(9);
    const planned = lines(dry.stdout).filter(({ status }) => status === 'draw');
    expect(planned.map(({ model }) => model)).toEqual(['noto', 'noto', 'noto:2 + ink:1', 'noto:2 + ink:1']);
    expect(lines(dry.stdout).at(-1)).toMatchObject({
      type: 'plan',
      draw: 4,
      skip: 0,
      failed: 1,
      bytes: expect.any(Number),
    });

    const first = await soup(args, { env });
    expect(first.code).toBe(9);
    const results = lines(first.stdout);
    expect(results.at(-1)).toMatchObject({ type: 'summary', total: 5, done: 4, skipped: 0, failed: 1 });
    const done = results.filter(({ status }) => status === 'done');
    // The dry run told the truth.
    expect(done.map(({ id, address, path }) => ({ id, address, path }))).toEqual(
      planned.map(({ id, address, path }) => ({ id, address, path })),
    );
    expect(results.find(({ status }) => status === 'failed')).toMatchObject({
      index: 4,
      error: { name: 'UsageError' },
    });
    for (const { path, id, address } of done) expect(await marksOf(readFileSync(path), 'png')).toEqual({ id, address });

    // A batch and `soup generate` draw the same pixels; the texts differ.
    const [one] = done;
    const alone = await soup([
      'generate',
      'noto',
      '-p',
      'red apple',
      '--seed',
      '1',
      '--steps',
      '1',
      '--size',
      '64',
      '-g',
      '1',
      '-o',
      out.in('one.png'),
    ]);
    expect(alone.code).toBe(0);
    const pixels = (path: string): Promise<Buffer> => sharp(path).raw().toBuffer();
    expect((await pixels(one.path)).equals(await pixels(out.in('one.png')))).toBe(true);

    // One is damaged, one is gone: just these are drawn again, as they were.
    const [a, b] = [readFileSync(done[1].path), readFileSync(done[2].path)];
    writeFileSync(done[1].path, a.subarray(0, a.length - 20));
    writeFileSync(done[2].path, '');
    const second = await soup(args, { env });
    expect(lines(second.stdout).at(-1)).toMatchObject({ done: 2, skipped: 2, failed: 1 });
    expect([readFileSync(done[1].path).equals(a), readFileSync(done[2].path).equals(b)]).toEqual([true, true]);
    // Now it is known how long it takes.
    expect(lines((await soup([...args, '--dry-run', '--force'], { env })).stdout).at(-1)).toMatchObject({
      draw: 4,
      seconds: expect.any(Number),
    });

    for (const file of ['grid.png', 'grid.html']) {
      const grid = await soup(['grid', out.in('p'), '-o', out.in(file), '--json']);
      expect(lines(grid.stdout).at(-1)).toMatchObject({ rows: 'model', columns: 'seed', pictures: 4, sheets: 1 });
    }
    const html = readFileSync(out.in('grid.html'), 'utf8');
    expect(html.match(/src="data:image\/png;base64,/g)).toHaveLength(4);
    expect(html).not.toMatch(/<script|src="(?!data:)|href=/);
  });

  test('from a picture as "soup generate" does', async () => {
    const start = out.in('start.png');
    const how = ['-p', 'x', '--seed', '2', '--steps', '2', '--size', '32', '-g', '1'];
    expect((await soup(['generate', 'noto', ...how, '-o', start])).code).toBe(0);
    const alone = ['generate', 'ink', ...how, '--image', start, '--strength', '0.5', '-o', out.in('alone.png')];
    expect((await soup(alone)).code).toBe(0);
    const manifest = write(
      'defaults: {model: ink, prompt: x, steps: 2, size: 32, guidance: 1, image: start.png}\n' +
        'items: [{seed: 2, strength: 0.5, name: half}, {seed: 2, strength: 1, name: most}]',
    );
    const { stdout } = await soup(['batch', manifest, '-o', out.in('p'), '--json'], { env });
    expect(lines(stdout).at(-1)).toMatchObject({ done: 2, failed: 0 });
    const pixels = (path: string): Promise<Buffer> => sharp(path).raw().toBuffer();
    expect((await pixels(out.in('p/half.png'))).equals(await pixels(out.in('alone.png')))).toBe(true);
    expect((await pixels(out.in('p/most.png'))).equals(await pixels(out.in('alone.png')))).toBe(false);
    // Another picture in its place is another picture asked for.
    copyFileSync(out.in('p/most.png'), start);
    const again = await soup(['batch', manifest, '-o', out.in('p'), '--json', '--dry-run'], { env });
    expect(lines(again.stdout).at(-1)).toMatchObject({ type: 'plan', draw: 2, skip: 0 });
  });

  test('keeps no more memory for more pictures', () => {
    buildCli();
    const bench = new URL('../bench/batch-memory.mjs', import.meta.url).pathname;
    // Four soups; the last three are of the same models, blended anew.
    const run = ['--count', '48', '--every', '3', '--size', '64', '--guidance', '1', '--format', 'webp', '--json'];
    const said = execFileSync(process.execPath, ['--expose-gc', bench, ...run], {
      env: { ...process.env, SOUP_PANTRY: PANTRY },
      encoding: 'utf8',
    });
    const { done, samples } = JSON.parse(said) as { done: number; samples: Record<string, number>[] };
    expect([done, samples.length]).toEqual([48, 16]);
    // While it blends it is more for a moment: the least of each soup.
    const [, second, third, fourth] = [0, 4, 8, 12].map(
      (from) => (of: string) => Math.min(...samples.slice(from, from + 4).map((sample) => sample[of]!)),
    );
    expect([third!('gpu'), fourth!('gpu')]).toEqual([second!('gpu'), second!('gpu')]);
    // MiB that 24 pictures may add: their pixels alone, kept, would be 0.4, and activations far more.
    expect(fourth!('buffers') - second!('buffers')).toBeLessThan(0.25);
    expect(fourth!('rss') - second!('rss')).toBeLessThan(40);
  });

  test('is stopped and goes on', async () => {
    const manifest = write(`${TINY}axes: {seed: 1..30}\nitems: [{prompt: x}]`);
    const stop = new AbortController();
    const args = ['batch', manifest, '-o', out.in('p'), '--json'];
    const onStderr = (all: string) => {
      if (/[1-9] of 30 pictures/.test(all)) stop.abort('SIGTERM');
    };
    const stopped = await soup(args, { env, stop, onStderr, terminal: true });
    expect(stopped.code).toBe(143);
    const summary = lines(stopped.stdout).find(({ type }) => type === 'summary');
    expect(summary).toMatchObject({ isStopped: true, failed: 0 });
    expect(summary.done + summary.left).toBe(30);
    expect((await knownResults(out.in('p'))).size).toBe(summary.done);
    expect(out.files().filter((name) => name.endsWith('.soup-tmp'))).toEqual([]);
  });
});

const soupOf = fakeSoupOf as unknown as SoupOf;
type FakeOptions = Parameters<typeof fakeEngine>[0];
async function draw(text: string, options: FakeOptions = {}, more: object = {}) {
  const store = folderStore(out.in('p'));
  const items = await expand(readManifest(text, 'm.yaml'));
  const engine = fakeEngine(options) as unknown as Engine;
  return (await prepareBatch({ items, engine, soupOf, store, env, ...more })).run();
}
const SEEDS = (count: number) => `axes: {seed: 1..${count}}\ndefaults: {model: a, prompt: "seed {seed}"}`;

describe('with a fake engine', () => {
  test('loads each soup once, however items are ordered', async () => {
    const log: string[] = [];
    await draw('axes: {seed: 1..5, prompt: [x, y], model: [a, "b:1+c:2", d]}', { log });
    expect(log).toEqual(['a', 'b:1+c:2', 'd']);
  });

  test('shards share the work and the folder', async () => {
    const counts: number[] = [];
    for (const index of [1, 2, 3]) counts.push((await draw(SEEDS(10), {}, { shard: { index, count: 3 } })).done);
    expect(counts).toEqual([3, 3, 4]);
    expect((await knownResults(out.in('p'))).size).toBe(10);
    expect(await draw(SEEDS(10))).toMatchObject({ done: 0, skipped: 10 });
  });

  test('a bad item in a batch is found, noted, not tried again, and tried again on request', async () => {
    const fail = (items: { settings: { seed: bigint } }[]) =>
      items.some(({ settings: { seed } }) => seed === 3n) && new UsageError('no threes');
    expect(await draw(SEEDS(8), { batch: 4, fail })).toMatchObject({ done: 7, failed: 1 });
    const known = [...(await knownResults(out.in('p'))).values()];
    expect(known.filter(({ status }) => status === 'failed')).toMatchObject([
      { seed: '3', error: { name: 'UsageError', message: 'no threes' } },
    ]);
    expect(await draw(SEEDS(8))).toMatchObject({ done: 0, skipped: 7, failed: 1 });
    expect(await draw(SEEDS(8), {}, { retryFailed: true })).toMatchObject({ done: 1, skipped: 7, failed: 0 });
    expect(readFileSync(out.in('p/results.jsonl'), 'utf8').trim().split('\n')).toHaveLength(8);
    expect(await draw(SEEDS(8), {}, { force: true })).toMatchObject({ done: 8, skipped: 0 });
  });

  test('makes batches smaller when memory runs out, and says so when one picture is too much', async () => {
    const sizes: number[] = [];
    const fail = (items: unknown[]) => {
      sizes.push(items.length);
      return items.length > 2 ? new MemoryError('no room') : undefined;
    };
    expect(await draw(SEEDS(8), { batch: 4, fail })).toMatchObject({ done: 8, failed: 0 });
    expect(sizes).toEqual([4, 2, 2, 2, 2]);
    const none = () => new MemoryError('no room');
    expect(await draw(SEEDS(3), { batch: 4, fail: none }, { force: true })).toMatchObject({ done: 0, failed: 3 });
  });

  test('the next pictures are drawn while the last ones are encoded and written', async () => {
    let drawn = 0;
    let third = () => {};
    const isDrawing = new Promise<void>((resolve) => {
      third = resolve;
    });
    const fail = () => void (++drawn === 3 && third());
    const store = folderStore(out.in('p'));
    // The disk has time: nothing is written before the third is drawn. A batch that waited for it would wait for ever.
    const put: typeof store.put = async (...args) => isDrawing.then(() => store.put(...args));
    expect(await draw(SEEDS(5), { fail }, { store: { ...store, put } })).toMatchObject({ done: 5, failed: 0 });
  }, 30_000);

  test('a lost device is replaced; one that is lost again and again ends it', async () => {
    const log: string[] = [];
    let calls = 0;
    const once = () => (++calls === 2 ? new DeviceError('lost') : undefined);
    expect(await draw(SEEDS(5), { fail: once, log })).toMatchObject({ done: 5, failed: 0 });
    expect(log).toContain('reset');
    await expect(draw(SEEDS(5), { fail: () => new DeviceError('lost') }, { force: true })).rejects.toThrow('lost');
  });

  test('overwrites nothing that is not its own', async () => {
    await draw(SEEDS(1), {}, { name: 'a' });
    writeFileSync(out.in('p/b.png'), 'mine');
    expect(await draw(SEEDS(1), {}, { name: 'b' })).toMatchObject({ done: 0, failed: 1 });
    expect(readFileSync(out.in('p/b.png'), 'utf8')).toBe('mine');
  });

  test.each(['webp', 'jpeg'])('%s is skipped when it is there', async (format) => {
    expect(await draw(SEEDS(2), {}, { format })).toMatchObject({ done: 2 });
    writeFileSync(out.in('p/results.jsonl'), '{"torn');
    expect(await draw(SEEDS(2), {}, { format })).toMatchObject({ done: 0, skipped: 2 });
  });

  test('memory stays flat over 500 pictures', async () => {
    const heap: number[] = [];
    let calls = 0;
    const fail = () => {
      if (++calls % 50 === 0) {
        globalThis.gc?.();
        heap.push(process.memoryUsage().rss);
      }
      return undefined;
    };
    await draw(`axes: {seed: 1..500}\ndefaults: {model: a, prompt: x, size: 128}`, { fail });
    expect(heap).toHaveLength(10);
    const [early, late] = [Math.max(...heap.slice(1, 4)), Math.min(...heap.slice(-3))];
    expect(late - early).toBeLessThan(48 * 2 ** 20);
  });
});

test.each([
  [['batch', 'nowhere.yaml', '-o', 'x'], 3, 'ConfigError'],
  [['batch', 'm.yaml', '-o', 'x', '--shard', '3/2'], 2, 'UsageError'],
  [['batch', 'm.yaml', '-o', 'x', '--default', 'stps=2'], 2, 'UsageError'],
  [['batch', 'm.yaml', '-o', 'ftp://x'], 2, 'UsageError'],
  [['batch', 'm.yaml', '-o', ''], 2, 'UsageError'],
  [['batch', 'm.yaml', '-o', 'x', '--quality', '3'], 2, 'UsageError'],
  [['batch', 'm.yaml'], 2, 'UsageError'],
  [['grid', 'nowhere', '-o', 'x.png'], 3, 'ConfigError'],
  [['grid', 'm.yaml', '-o', 'x.gif'], 2, 'UsageError'],
])('%j exits with %i, in JSON alone', async (args, code, name) => {
  const file = write('- {model: noto, prompt: x}');
  const result = await soup(
    [...args.map((arg) => (arg === 'm.yaml' ? file : arg === 'x' ? join(out.path, 'x') : arg)), '--json'],
    { env },
  );
  expect(result.code).toBe(code);
  expect(lines(result.stdout)).toMatchObject([{ error: { name, exitCode: code } }]);
});
