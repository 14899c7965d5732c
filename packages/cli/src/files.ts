/** Files and folders of the disk, as the sources that core reads. */
import { type BigIntStats, constants } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { CheckpointError, type Folder, type Source } from '@diffusion-soup/core';
import { diskError } from './atomic-file.js';
import { printable } from './text.js';

/** A file of the disk, and which version of it: another version has another stamp. */
export interface FileSource extends Source {
  readonly path: string;
  readonly stamp: string;
}

/** Which file, and when it was last changed. Not the path: a renamed file is the same one. */
export const stampOf = ({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): string =>
  [dev, ino, size, mtimeNs, ctimeNs].join(':');

/** The file behind a source, where there is one: other sources compute their bytes. */
export const fileBehind = (source: Source): FileSource | undefined =>
  'stamp' in source && 'path' in source ? (source as FileSource) : undefined;

/** A file, open until `close`. Anything else that has a path (a folder, a pipe, a device) is refused. */
export async function fileSource(path: string): Promise<FileSource> {
  let file: FileHandle;
  try {
    // O_NONBLOCK: opening a pipe that nobody writes to would wait for ever.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new CheckpointError(`${printable(path)} does not exist.`, { file: path }, { cause: error });
    }
    throw diskError(path, error, 'read');
  }
  try {
    const facts = await file.stat({ bigint: true });
    if (!facts.isFile()) {
      const kind = facts.isDirectory() ? 'a folder' : 'a pipe, a socket or a device';
      throw new CheckpointError(`${printable(path)} is ${kind}; expected a file.`, { file: path });
    }
    return openSource(path, file, facts);
  } catch (error) {
    await file.close();
    throw error;
  }
}

function openSource(path: string, file: FileHandle, facts: BigIntStats): FileSource {
  const size = Number(facts.size);
  let isOpen = true;
  return {
    name: path,
    path,
    stamp: stampOf(facts),
    size,
    async readInto(target, offset) {
      try {
        for (let done = 0; done < target.byteLength; ) {
          const { bytesRead } = await file.read(target, done, target.byteLength - done, offset + done);
          if (bytesRead === 0) throw await changed(path, file, size, offset + target.byteLength);
          done += bytesRead;
        }
        // A file that grew or shrank is being written to: what was read is of no known version.
        if ((await file.stat()).size !== size) throw await changed(path, file, size, offset + target.byteLength);
      } catch (error) {
        throw error instanceof CheckpointError ? error : diskError(path, error, 'read');
      }
    },
    async close() {
      if (!isOpen) return;
      isOpen = false;
      await file.close();
    },
  };
}

async function changed(path: string, file: FileHandle, before: number, wanted: number): Promise<CheckpointError> {
  const { size } = await file.stat();
  const found =
    size === before
      ? `ends at byte ${size}, but bytes up to ${wanted} were wanted`
      : `changed while it was read: it had ${before} bytes, now ${size}`;
  return new CheckpointError(`${printable(path)} ${found}. Wait until it is written, then start again.`, {
    file: path,
    expected: before,
    found: size,
  });
}

/** A folder whose files are opened when they are asked for. */
export function diskFolder(path: string): Folder {
  return {
    name: path,
    async open(inner) {
      try {
        return await fileSource(join(path, inner));
      } catch (error) {
        const code = error instanceof Error && (error.cause as NodeJS.ErrnoException | undefined)?.code;
        if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
        throw error;
      }
    },
  };
}
