/** Changes to a pantry's index: read, changed and replaced as a whole, by one process at a time. */
import { open, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { DiskError, formatLedger, type PantryEntry, pantryIndex } from '@diffusion-soup/core';
import { diskError, writeFileAtomic } from '../atomic-file.js';
import { makeFolder } from '../picture-file.js';
import { printable } from '../text.js';
import { INDEX_FILE, readIndex } from './find.js';

/** A change takes milliseconds, so a lock of this age is a dead process's. */
const STALE_MS = 10_000;
const PAUSE_MS = 20;

export async function changeIndex(
  folder: string,
  change: (models: readonly PantryEntry[]) => readonly PantryEntry[],
): Promise<void> {
  await makeFolder(folder);
  const unlock = await lock(join(folder, `${INDEX_FILE}.lock`));
  try {
    const models = change(readIndex(folder)?.models ?? []);
    await writeFileAtomic(join(folder, INDEX_FILE), formatLedger(pantryIndex(models)));
  } finally {
    await unlock();
  }
}

async function lock(file: string): Promise<() => Promise<void>> {
  const until = Date.now() + 2 * STALE_MS;
  for (;;) {
    try {
      await (await open(file, 'wx')).close();
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw diskError(file, error);
    }
    const facts = await stat(file).catch(() => undefined);
    if (facts && Date.now() - facts.mtimeMs > STALE_MS) await rm(file, { force: true });
    if (Date.now() > until) {
      throw new DiskError(
        `another process is changing the pantry: ${printable(file)} is there. Try again, or remove it.`,
        {
          path: file,
        },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
