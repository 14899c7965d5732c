/** A batch in a process of its own, drawn by a fake engine, to be killed: batch-child.mjs OUT ITEMS DELAY */

import { prepareBatch } from '../../packages/cli/dist/batch/batch.js';
import { readItems } from '../../packages/cli/dist/batch/read.js';
import { folderStore } from '../../packages/cli/dist/batch/store.js';
import { fakeEngine, fakeSoupOf } from './fake-engine.mjs';

const [out, count, delay] = process.argv.slice(2);
async function* manifest() {
  yield `axes: {model: [a, b], seed: 1..${Number(count) / 2}}\ndefaults: {prompt: "seed {seed}", size: 64}`;
}
const items = await readItems('-', { stdin: manifest() });
const engine = fakeEngine({ delay: Number(delay), batch: 4 });
const batch = await prepareBatch({ items, engine, soupOf: fakeSoupOf, store: folderStore(out) });
process.stdout.write('ready\n');
const onResult = async () => void process.stdout.write('.\n');
const summary = await batch.run({ onResult });
process.stdout.write(`${JSON.stringify(summary)}\n`);
process.exit(0);
