/**
 * How fast `soup batch` is against the same pictures by calls of `soup generate`, and how the GPU's share grows with the size
 * of a batch. Whole processes, with loading: node test/bench/batch.mjs [--count N] [--steps N] [--size N] [--sizes 1,2,4,8]
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const text = /** @type {const} */ ({ type: 'string' });
const { values } = parseArgs({ options: { count: text, steps: text, size: text, sizes: text, model: text } });
const { count = '8', steps = '2', size = '64', sizes = '', model = 'noto' } = values;
const root = new URL('../..', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'soup-bench-'));

const soup = (/** @type {string[]} */ ...args) => {
  const begun = performance.now();
  const main = join(root, 'packages/cli/dist/main.js');
  execFileSync(process.execPath, [main, ...args], { cwd: root, stdio: ['ignore', 'ignore', 'ignore'] });
  return (performance.now() - begun) / 1000;
};

try {
  const manifest = join(folder, 'm.yaml');
  writeFileSync(
    manifest,
    `axes: {seed: 1..${count}}\ndefaults: {model: ${model}, prompt: red apple, steps: ${steps}, size: ${size}}\n`,
  );
  const rate = (/** @type {number} */ seconds) => Number((Number(count) / seconds).toFixed(3));
  soup('generate', model, '-p', 'warm-up', '--steps', '1', '--size', size, '-o', join(folder, 'warm.png'));
  const batch = soup('batch', manifest, '-o', join(folder, 'batch'));
  let alone = 0;
  for (let seed = 1; seed <= Number(count); seed++) {
    alone += soup(
      'generate',
      model,
      '-p',
      'red apple',
      '--seed',
      String(seed),
      '--steps',
      steps,
      '--size',
      size,
      '-o',
      join(folder, 'alone/'),
    );
  }
  const bySize = sizes
    .split(',')
    .filter(Boolean)
    .map((most) => {
      const seconds = soup('batch', manifest, '-o', join(folder, `batch-${most}`), '--batch', most);
      return { batch: Number(most), picturesPerSecond: rate(seconds) };
    });
  const result = {
    count: Number(count),
    steps: Number(steps),
    size: Number(size),
    batch: rate(batch),
    alone: rate(alone),
  };
  console.log(JSON.stringify({ ...result, faster: Number((alone / batch).toFixed(2)), bySize }, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
