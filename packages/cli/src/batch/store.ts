/** Where pictures go: a folder, or a bucket. What is put there appears whole or not at all. */
import { readFile, statfs } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { diskError, removeOrphans, writeFileAtomic } from '../atomic-file.js';
import { checkWritable, makeFolder } from '../picture-file.js';

export interface Store {
  /** For people. */
  readonly name: string;
  /** Where its logs are kept: a folder of this machine. */
  readonly folder: string;
  /** Undefined when there is nothing of that name. */
  read(path: string): Promise<Uint8Array | undefined>;
  put(path: string, bytes: Uint8Array, sha256: string): Promise<void>;
  /** Bytes that are free, where that can be told. */
  free(): Promise<number | undefined>;
  /** For people and programs: the whole name of one of its pictures. */
  locate(path: string): string;
}

/** What a killed process left is removed; a younger file may belong to one that still works. */
const ORPHAN_AGE_MS = 60_000;

export function folderStore(out: string): Store {
  const folder = resolve(out);
  checkWritable(folder);
  const made = new Map<string, Promise<void>>();
  const at = (path: string): string => join(folder, path);
  return {
    name: folder,
    folder,
    locate: at,
    async read(path) {
      try {
        return await readFile(at(path));
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return undefined;
        throw diskError(at(path), error, 'read');
      }
    },
    async put(path, bytes) {
      const parent = dirname(at(path));
      let ready = made.get(parent);
      if (!ready) {
        ready = makeFolder(parent).then(async () => void (await removeOrphans(parent, { olderThanMs: ORPHAN_AGE_MS })));
        made.set(parent, ready);
      }
      await ready;
      await writeFileAtomic(at(path), bytes);
    },
    async free() {
      let existing = folder;
      for (;;) {
        const facts = await statfs(existing).catch(() => undefined);
        if (facts) return facts.bavail * facts.bsize;
        if (dirname(existing) === existing) return undefined;
        existing = dirname(existing);
      }
    },
  };
}
