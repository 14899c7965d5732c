/**
 * Writes a model as `soup merge` does, without a GPU, to be killed while it does (bundled first): `node writer.mjs folder|file TARGET N`
 * writes the N-th version, or all from the N-th on with `forever`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { atomicWriter } from '../../packages/cli/src/atomic-file.ts';
import { writeFolderAtomic } from '../../packages/cli/src/atomic-folder.ts';
import { modelFiles } from './versions.mjs';

const [kind, target = '', first = '1', forever] = process.argv.slice(2);
const { signal } = new AbortController();

async function* pieces(/** @type {string} */ content) {
  for (let at = 0; at < content.length; at += 4000) {
    if (forever) await sleep(1);
    yield Buffer.from(content.slice(at, at + 4000));
  }
}

/** @type {Record<string, (files: Record<string, string>) => Promise<unknown>>} */
const write = {
  folder: (files) => {
    const list = Object.entries(files).map(([path, content]) => ({ path, content: () => pieces(content) }));
    return writeFolderAtomic(target, list, { signal });
  },
  async file({ weights, ledger }) {
    const writer = await atomicWriter(target);
    for await (const piece of pieces(weights ?? '')) await writer.write(piece);
    await writer.commit({ path: `${target}.json`, content: ledger ?? '' });
  },
};

process.stdout.write('ready\n');
for (let version = Number(first); ; version++) {
  await write[kind ?? '']?.(modelFiles(kind ?? '', version));
  if (!forever) break;
}
