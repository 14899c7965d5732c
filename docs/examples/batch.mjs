/**
 * A batch from a program: two soups, two seeds each. Install @diffusion-soup/cli, then
 *   node batch.mjs OUT MODEL...
 */
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

const [out = 'pictures', ...models] = process.argv.slice(2);
const manifest = JSON.stringify({
  axes: { model: models, seed: '1..2' },
  defaults: { prompt: 'red apple', steps: 2, size: 64 },
});

const stop = new AbortController();
process.on('SIGINT', () => stop.abort('SIGINT'));
const output = createOutput({ stdout: process.stdout, stderr: process.stderr, env: process.env, signal: stop.signal });
const opened = await openGpu();
const engine = await gpuEngine({ open: async () => opened, output });
const batch = await prepareBatch({
  items: await expand(readManifest(manifest, 'manifest')),
  engine,
  soupOf: soupOpener({ output, gpu: opened.gpu }),
  store: folderStore(out),
  signal: stop.signal,
});
const summary = await batch.run({
  async onResult({ status, path, error }) {
    console.log(status, path ?? error?.message);
  },
});
await engine.close();
console.log(`${summary.done} drawn, ${summary.skipped} there before, ${summary.failed} failed`);
process.exit(summary.failed > 0 ? 9 : 0); // Dawn keeps the process alive
