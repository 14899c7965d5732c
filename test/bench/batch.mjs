/**
 * How fast `soup batch` is against the same pictures by calls of `soup generate`, each a process of its own, with loading; and
 * how pictures per second grow with the pictures that are drawn at once.
 *   node test/bench/batch.mjs [--count N] [--steps N] [--size N] [--sizes 1,2,4,8] [--model NAME] [--adapter NAME] [--json]
 * It imports nothing but Node; SOUP_MAIN names a command line that was built elsewhere.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const text = /** @type {const} */ ({ type: 'string' });
const { values } = parseArgs({
  options: {
    ...{ count: text, steps: text, size: text, sizes: text, model: text, adapter: text, precision: text },
    json: { type: 'boolean' },
  },
});
const { count = '8', steps = '2', size = '64', sizes = '', model = 'noto', json = false } = values;
const { adapter = '', precision = 'auto' } = values;
const main = process.env.SOUP_MAIN ?? fileURLToPath(new URL('../../packages/cli/dist/main.js', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'soup-bench-'));
const say = (/** @type {string} */ line) => void (json ? process.stderr : process.stdout).write(`${line}\n`);

/** Seconds of a whole process. */
function soup(/** @type {string[]} */ ...args) {
  const all = [main, ...args, '--precision', precision, ...(adapter === '' ? [] : ['--adapter', adapter])];
  const begun = performance.now();
  const { status, stderr, error } = spawnSync(process.execPath, all, { stdio: ['ignore', 'ignore', 'pipe'] });
  if (error) throw error;
  if (status !== 0) throw new Error(`soup ${args.join(' ')} ended with ${status}:\n${stderr}`);
  return (performance.now() - begun) / 1000;
}

const round = (/** @type {number} */ value) => Number(value.toPrecision(4));

/** A batch of `many` pictures: of its whole process, and of drawing alone, without the first batch, which compiles shaders. */
function batch(/** @type {string} */ name, /** @type {number} */ many, /** @type {number} */ atOnce) {
  const manifest = join(folder, `${name}.yaml`);
  const what = { model, prompt: 'red apple', steps: Number(steps), size };
  writeFileSync(manifest, JSON.stringify({ axes: { seed: `1..${many}` }, defaults: what }));
  const out = join(folder, name);
  const most = Number.isFinite(atOnce) ? ['--batch', String(atOnce)] : [];
  const seconds = soup('batch', manifest, '-o', out, ...most);
  const results = readFileSync(join(out, 'results.jsonl'), 'utf8').trim().split('\n');
  const drawn = results.map((line) => Number(JSON.parse(line).seconds)).slice(Number.isFinite(atOnce) ? atOnce : 1);
  const drawing = drawn.length === 0 ? undefined : drawn.length / drawn.reduce((sum, each) => sum + each, 0);
  return { seconds, rate: round(many / seconds), drawing: drawing && round(drawing) };
}

try {
  const generate = (/** @type {string} */ seed, /** @type {string} */ out) =>
    soup(
      'generate',
      model,
      '-p',
      'red apple',
      '--seed',
      seed,
      '--steps',
      steps,
      '--size',
      size,
      '-o',
      join(folder, out),
    );
  generate('0', 'warm-up.png');
  const together = batch('batch', Number(count), Number.POSITIVE_INFINITY);
  let alone = 0;
  for (let seed = 1; seed <= Number(count); seed++) alone += generate(String(seed), 'alone/');
  const faster = round(alone / together.seconds);
  say(
    `${count} pictures of ${size} pixels, ${steps} steps: ${together.rate}/s in a batch, ${round(Number(count) / alone)}/s alone`,
  );
  say(`${faster} times as fast`);
  const bySize = sizes
    .split(',')
    .filter(Boolean)
    .map(Number)
    .map((atOnce) => {
      // Enough for a few batches after the first.
      const { rate, drawing } = batch(`by-${atOnce}`, Math.max(Number(count), 4 * atOnce), atOnce);
      say(`${String(atOnce).padStart(3)} at once: ${drawing} pictures/s drawing, ${rate}/s with loading`);
      return { batch: atOnce, picturesPerSecond: drawing, withLoading: rate };
    });
  const settings = { count: Number(count), steps: Number(steps), size: Number(size), model };
  const result = { ...settings, batch: together.rate, alone: round(Number(count) / alone), faster, bySize };
  if (json) console.log(JSON.stringify(result, null, 2));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
