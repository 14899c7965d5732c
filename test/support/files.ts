/** Files and folders of the disk as the sources that core reads, for tests: see packages/core/src/checkpoint/source.ts. */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { Folder, Source } from '../../packages/core/src/checkpoint/source.ts';

export const PANTRY = new URL('../../pantry', import.meta.url).pathname;
export const REFERENCE = new URL('../reference', import.meta.url).pathname;

export async function fileSource(path: string): Promise<Source> {
  const file = await open(path, 'r');
  const { size } = await file.stat();
  return {
    name: path,
    size,
    async readInto(target, offset) {
      for (let done = 0; done < target.byteLength; ) {
        const { bytesRead } = await file.read(target, done, target.byteLength - done, offset + done);
        if (bytesRead === 0) throw new RangeError(`${path}: ended at ${offset + done}`);
        done += bytesRead;
      }
    },
    close: () => file.close(),
  };
}

export function diskFolder(path: string): Folder {
  return {
    name: path,
    async open(inner) {
      try {
        return await fileSource(join(path, inner));
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
  };
}
