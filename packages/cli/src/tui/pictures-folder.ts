/** The folder of the pictures that were drawn: what nobody kept elsewhere does not fill the disk. */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const MOST_FILES = 500;

/** Removes the oldest pictures beyond so many; another kitchen may do the same meanwhile. */
export async function forgetOldPictures(folder: string, most = MOST_FILES): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.png'));
  const facts = await Promise.all(
    names.map(async (name) => ({ name, time: (await stat(join(folder, name)).catch(() => undefined))?.mtimeMs ?? 0 })),
  );
  const old = facts.sort((a, b) => b.time - a.time).slice(most);
  await Promise.all(old.map(({ name }) => rm(join(folder, name), { force: true })));
}
