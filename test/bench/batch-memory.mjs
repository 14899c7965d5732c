/**
 * What a long batch keeps in memory: pictures of two soups by the real engine, and every so many of them the process, its
 * heap and what is allocated on the GPU. node --expose-gc test/bench/batch-memory.mjs [--count 500] [--every 50] [--size 32]
 * [--format webp]: PNGs are made in a thread, whose garbage counts here until that thread collects it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  createOutput,
  expand,
  folderStore,
  gpuEngine,
  openGpu,
  prepareBatch,
  readManifest,
  soupOpener,
} from '@diffusion-soup/cli';

const text = /** @type {const} */ ({ type: 'string' });
const { values } = parseArgs({
  options: {
    count: text,
    every: text,
    size: text,
    steps: text,
    guidance: text,
    format: text,
    json: { type: 'boolean' },
  },
});
const [count, every] = [Number(values.count ?? 500), Number(values.every ?? 50)];
const { size = '32', steps = '1', guidance = '7', json = false } = values;
const format = values.format === 'webp' ? 'webp' : 'png';
// Weights that change as well: from one soup to the next the engine blends anew.
const model = ['noto', 'noto+ink', 'noto:2+ink:1', 'noto:1+ink:2'];
const manifest = {
  axes: { model, seed: `1..${Math.ceil(count / model.length)}` },
  defaults: { prompt: 'x', steps, size, guidance },
};

const folder = mkdtempSync(join(tmpdir(), 'soup-bench-'));
const output = createOutput({
  ...{ stdout: { write() {} }, stderr: process.stderr, signal: new AbortController().signal },
  env: { ...process.env, XDG_CACHE_HOME: folder },
});
const opened = await openGpu();
const engine = await gpuEngine({ open: async () => opened, output });
const batch = await prepareBatch({
  items: (await expand(readManifest(JSON.stringify(manifest), 'manifest'))).slice(0, count),
  ...{ engine, soupOf: soupOpener({ output, gpu: opened.gpu }), store: folderStore(join(folder, 'pictures')), format },
});
const MiB = (/** @type {number} */ bytes) => Number((bytes / 2 ** 20).toFixed(1));
/** @type {Record<string, number>[]} */
const samples = [];
const sample = (/** @type {number} */ pictures) => {
  globalThis.gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  const found = { rss: MiB(rss), heap: MiB(heapUsed), buffers: MiB(arrayBuffers), gpu: MiB(opened.gpu.memory.used) };
  samples.push({ pictures, ...found });
  if (!json) console.log(`${String(pictures).padStart(6)} pictures`, JSON.stringify(found));
};
if (!json) console.log(`on ${engine.machine.adapter}, in MiB`);
let done = 0;
const begun = performance.now();
const summary = await batch.run({
  async onResult() {
    if (++done % every === 0) sample(done);
  },
});
const seconds = Number(((performance.now() - begun) / 1000).toFixed(1));
if (json) console.log(JSON.stringify({ ...summary, seconds, adapter: engine.machine.adapter, samples }));
else console.log(`${summary.done} pictures in ${seconds} s`);
await engine.close();
rmSync(folder, { recursive: true, force: true });
process.exit(summary.done === count ? 0 : 1); // Dawn keeps the process alive
