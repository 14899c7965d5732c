/**
 * Files that are there whole or not at all: written under a temporary name beside the target, synchronised with the
 * disk, then renamed. Crash at any point and the old file is untouched.
 */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DiskError } from '@diffusion-soup/core';
import { printable } from './text.js';

const SUFFIX = /\.[0-9a-f]{12}\.soup-tmp$/;

/** Long enough that no living process can still be writing the file. */
const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000;

const WHAT_TO_DO: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full: free some space, or choose another folder',
  EDQUOT: 'your disk quota is used up: free some space, or choose another folder',
  EACCES: 'you may not write there: choose another folder, or change its permissions',
  EPERM: 'you may not write there: choose another folder, or change its permissions',
  EROFS: 'that disk is read-only: choose another folder',
  EISDIR: 'that is a folder: give the name of a file',
  ENOENT: 'that folder does not exist: create it first',
  ENOTDIR: 'part of that path is a file, not a folder',
  ENAMETOOLONG: 'the name is too long: choose a shorter one',
  EMFILE: 'too many files are open: raise the limit with `ulimit -n`',
  EIO: 'the disk reports an error: check its health before trying again',
};

/** A DiskError that says which path, what the system said and what to do. */
export function diskError(path: string, cause: unknown, doing = 'write'): DiskError {
  if (cause instanceof DiskError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  const detail = cause instanceof Error ? printable(cause.message) : printable(String(cause));
  const advice = (code !== undefined && WHAT_TO_DO[code]) || detail;
  return new DiskError(`cannot ${doing} ${printable(path)}: ${advice}`, { path, code }, { cause });
}

export interface AtomicWriter {
  readonly path: string;
  /** Appends; a short write is continued until all bytes are out. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the file appear under its name, replacing an older one. */
  commit(): Promise<void>;
  /** Leaves no trace. Does nothing after commit, so it can stand in a `finally`. */
  abort(): Promise<void>;
}

/** Short enough that a name of full length has room for the suffix. */
const stemOf = (path: string) => basename(path).slice(0, 60);

/** Opens a file of any size for writing from front to back. */
export async function atomicWriter(path: string): Promise<AtomicWriter> {
  const temporary = join(dirname(path), `${stemOf(path)}.${randomBytes(6).toString('hex')}.soup-tmp`);
  let file: FileHandle | undefined;
  try {
    // Said now rather than by rename, after gigabytes have been written.
    const old = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    if (old?.isDirectory()) throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
    file = await open(temporary, 'wx');
  } catch (error) {
    throw diskError(path, error);
  }
  return new OpenFile(path, temporary, file);
}

class OpenFile implements AtomicWriter {
  #file: FileHandle | undefined;

  constructor(
    readonly path: string,
    private readonly temporary: string,
    file: FileHandle,
  ) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#open();
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
        done += bytesWritten;
      }
    } catch (error) {
      await this.abort();
      throw diskError(this.path, error);
    }
  }

  async commit(): Promise<void> {
    const file = this.#open();
    try {
      await file.sync();
      await file.close();
      await rename(this.temporary, this.path);
    } catch (error) {
      await this.abort();
      throw diskError(this.path, error);
    }
    this.#file = undefined;
    await syncFolder(dirname(this.path));
  }

  async abort(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    // Both may fail on a broken disk; the first error is the one to report, and abort is not it.
    await file.close().catch(() => undefined);
    await rm(this.temporary, { force: true }).catch(() => undefined);
  }

  #open(): FileHandle {
    if (this.#file === undefined) throw new DiskError(`${printable(this.path)} is already closed`, { path: this.path });
    return this.#file;
  }
}

/** Without this a crash of the machine can still forget the rename. Windows cannot open folders, and need not. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // The file is complete under its name; some network file systems refuse to synchronise a folder.
  }
}

/** Writes the whole file, or leaves what was there. */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const writer = await atomicWriter(path);
  await writer.write(typeof content === 'string' ? new TextEncoder().encode(content) : content);
  await writer.commit();
}

/**
 * Removes what killed processes left behind in a folder: for one target file, or for all of them.
 * Only files older than `olderThanMs` go, because a younger one may still be growing. Returns the removed paths.
 */
export async function removeOrphans(
  folder: string,
  { target, olderThanMs = ORPHAN_AGE_MS }: { target?: string; olderThanMs?: number } = {},
): Promise<string[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const removed: string[] = [];
  for (const name of names) {
    if (!SUFFIX.test(name)) continue;
    if (target !== undefined && name.replace(SUFFIX, '') !== stemOf(target)) continue;
    const path = join(folder, name);
    const facts = await stat(path).catch(() => undefined);
    if (facts === undefined || !facts.isFile() || Date.now() - facts.mtimeMs < olderThanMs) continue;
    await rm(path, { force: true }).then(
      () => removed.push(path),
      () => undefined,
    );
  }
  return removed;
}
