/** Batches whose process is killed, as a machine that loses its power does: every item once, and no torn file. */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { isWholePng } from '../../packages/cli/src/batch/verify.ts';
import { built, bundle, support } from '../support/bundle.ts';
import { buildCli, scratch, startSoup } from '../support/cli.ts';

vi.setConfig({ testTimeout: 600_000 });

let program = '';
const ITEMS = 200;
const KILLS = 100;
const DELAY_MS = 4; // of each batch of four
const MOST_BEFORE = 40; // pictures of a run before it is killed

const rooms: ReturnType<typeof scratch>[] = [];
const room = () => {
  const one = scratch();
  rooms.push(one);
  return one.path;
};
beforeAll(async () => {
  buildCli();
  const input = { child: support('batch-child.mjs'), 'encode-worker': built('batch/encode-worker.js') };
  program = (await bundle(room(), input))('child');
});
afterAll(() => {
  for (const one of rooms) one.remove();
});

function start(out: string) {
  const child = spawn(process.execPath, [program, out, String(ITEMS), String(DELAY_MS)]);
  let [stdout, stderr] = ['', ''];
  let onSaid = () => {};
  child.stdout.on('data', (text) => {
    stdout += text;
    onSaid();
  });
  child.stderr.on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
  /** That many pictures of this run are there, or it has ended. */
  const drew = (count: number) =>
    new Promise<void>((resolve) => {
      onSaid = () => void (stdout.split('\n').length - 2 >= count && resolve());
      onSaid();
      child.on('exit', () => resolve());
    });
  const summary = async () => JSON.parse((await ended).stdout.trim().split('\n').at(-1)!);
  return { child, drew, ended, summary };
}

const pictures = (out: string): string[] =>
  existsSync(out) ? readdirSync(out).filter((name) => name.endsWith('.png')) : [];

function checkWhole(out: string): void {
  for (const name of pictures(out)) expect(isWholePng(readFileSync(join(out, name))), name).toBe(true);
}

function checkComplete(out: string): void {
  checkWhole(out);
  const lines = readFileSync(join(out, 'results.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(lines).toHaveLength(ITEMS);
  expect(new Set(lines.map(({ id }) => id)).size).toBe(ITEMS);
  expect(new Set(lines.map(({ index }) => index)).size).toBe(ITEMS);
  expect(lines.every(({ status }) => status === 'done')).toBe(true);
  expect(lines.map(({ path }) => path).sort()).toEqual(pictures(out).sort());
}

test(`killed at ${KILLS} random points, a batch of ${ITEMS} is drawn once and whole`, async () => {
  let random = 12345;
  const next = () => {
    random = (random * 1103515245 + 12345) % 2 ** 31;
    return random / 2 ** 31;
  };
  let out = room();
  let [kills, finished, midway] = [0, 0, 0];
  while (kills < KILLS) {
    const { child, drew, ended } = start(out);
    // From before the first picture to after the last, and anywhere between two.
    await drew(Math.floor(next() * MOST_BEFORE));
    await sleep(next() * 10);
    child.kill('SIGKILL');
    const { code, stderr } = await ended;
    expect(stderr).toBe('');
    kills++;
    checkWhole(out);
    const there = pictures(out).length;
    if (there > 0 && there < ITEMS) midway++;
    if (code === 0 || there === ITEMS) {
      // Done, though perhaps not noted: the next run notes it, draws nothing and leaves a clean log.
      expect(await start(out).summary()).toMatchObject({ done: 0, skipped: ITEMS, failed: 0 });
      checkComplete(out);
      finished++;
      out = room();
    }
  }
  const { done, skipped } = await start(out).summary();
  expect(done + skipped).toBe(ITEMS);
  checkComplete(out);
  // The kills were where they count.
  expect(midway).toBeGreaterThan(KILLS / 2);
  expect(finished).toBeGreaterThan(1);
});

test('the same with the engine: killed three times, 8 pictures are drawn once and whole', async () => {
  const folder = room();
  const [manifest, out] = [join(folder, 'm.yaml'), join(folder, 'p')];
  writeFileSync(
    manifest,
    'axes: {model: [noto, ink], seed: 1..4}\ndefaults: {prompt: x, steps: 1, size: 64, guidance: 1}\n',
  );
  const args = ['batch', manifest, '-o', out];
  for (const more of [1, 2, 1]) {
    const before = pictures(out).length;
    const { child, ended } = startSoup(args);
    while (pictures(out).length < before + more && child.exitCode === null) await sleep(2);
    child.kill('SIGKILL');
    await ended;
    checkWhole(out);
  }
  const there = pictures(out).length;
  const { code, stdout } = await startSoup([...args, '--json']).ended;
  const summary = JSON.parse(stdout.trim().split('\n').at(-1)!);
  expect([code, summary]).toMatchObject([0, { total: 8, done: 8 - there, skipped: there, failed: 0 }]);
  expect(there).toBeGreaterThanOrEqual(4);
  const noted = readFileSync(join(out, 'results.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).path);
  expect(noted.sort()).toEqual(pictures(out).sort());
  expect(noted).toHaveLength(8);
  checkWhole(out);
});
