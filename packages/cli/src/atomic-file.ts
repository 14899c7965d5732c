/**
 * Files that are there whole or not at all: written under a temporary name beside the target, synchronised with the
 * disk, then renamed. Crash at any point and the old file is untouched.
 */
import { renameSync } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { DiskError } from '@diffusion-soup/core';
import { isGone, leftoversIn, remove, type TemporaryNames, temporaryNames, tidy } from './temporary.js';
import { printable } from './text.js';

export { removeOrphans } from './temporary.js';

const NO_PERMISSION = 'you may not write there: choose another folder, or change its permissions';
const OTHER_FOLDER = 'free some space, or choose another folder';

const WHAT_TO_DO: Readonly<Record<string, string>> = {
  ENOSPC: `the disk is full: ${OTHER_FOLDER}`,
  EDQUOT: `your disk quota is used up: ${OTHER_FOLDER}`,
  EFBIG: 'the disk takes no file of that size: choose another disk, or a smaller --max-shard-size',
  EACCES: NO_PERMISSION,
  EPERM: NO_PERMISSION,
  EROFS: 'that disk is read-only: choose another folder',
  EISDIR: 'that is a folder: give the name of a file',
  ENOENT: 'that folder does not exist: create it first',
  ENOTDIR: 'part of that path is a file, not a folder',
  ENAMETOOLONG: 'the name is too long: choose a shorter one',
  ELOOP: 'symbolic links lead in a circle there: remove one of them',
  EMFILE: 'too many files are open: raise the limit with `ulimit -n`',
  ENFILE: 'too many files are open on this machine: close some programs',
  EBUSY: 'it is in use, or a disk is mounted there: choose another name',
  EXDEV: 'that folder cannot be renamed, as it is part of another disk or of a container image: choose another name',
  EIO: 'the disk reports an error: check its health before trying again',
  ESTALE: 'the network disk has lost it: mount it again',
};

const NOT_READABLE_FOR_US = 'you may not read it: change its permissions';

/** Where reading has another remedy than writing. */
const WHEN_READING: Readonly<Record<string, string>> = {
  EACCES: NOT_READABLE_FOR_US,
  EPERM: NOT_READABLE_FOR_US,
  ENOENT: 'it does not exist',
  EISDIR: 'that is a folder; expected a file',
};

/** A DiskError that says which path, what the system said and what to do. */
export function diskError(path: string, cause: unknown, doing = 'write'): DiskError {
  if (cause instanceof DiskError) return cause;
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined;
  const detail = cause instanceof Error ? printable(cause.message) : printable(String(cause));
  const advice = code !== undefined && ((doing === 'read' && WHEN_READING[code]) || WHAT_TO_DO[code]);
  return new DiskError(`cannot ${doing} ${printable(path)}: ${advice || detail}`, { path, code }, { cause });
}

/** What was written is in its place, and something went wrong after that. */
export function unconfirmed(path: string, cause: unknown): DiskError {
  const { message, facts } = diskError(path, cause, 'confirm');
  return new DiskError(
    `${printable(path)} is written, but a crash of the machine could still undo it: ${message}`,
    { ...facts, isWritten: true },
    { cause },
  );
}

/** A small file that belongs to another: both are new or both are old. */
export interface Companion {
  readonly path: string;
  readonly content: string;
}

export interface AtomicWriter {
  readonly path: string;
  /** Appends; a short write is continued until all bytes are out. */
  write(bytes: Uint8Array): Promise<void>;
  /** Makes the file appear under its name, replacing an older one. */
  commit(companion?: Companion): Promise<void>;
  /** Leaves no trace. Does nothing after commit, so it can stand in a `finally`. */
  abort(): Promise<void>;
}

/** Opens a file of any size for writing from front to back. */
export async function atomicWriter(path: string): Promise<AtomicWriter> {
  const names = temporaryNames(path);
  await tidy(dirname(resolve(path)));
  try {
    await refuseFolder(path);
    return new OpenFile(path, names, await open(names.tmp, 'wx'));
  } catch (error) {
    throw diskError(path, error);
  }
}

/** Said now rather than by rename, after gigabytes have been written. */
async function refuseFolder(path: string): Promise<void> {
  const old = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (old?.isDirectory()) throw Object.assign(new Error(`${path} is a folder`), { code: 'EISDIR' });
}

class OpenFile implements AtomicWriter {
  #file: FileHandle | undefined;

  constructor(
    readonly path: string,
    private readonly names: TemporaryNames,
    file: FileHandle,
  ) {
    this.#file = file;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const file = this.#open();
    try {
      await writeAll(file, bytes);
    } catch (error) {
      await this.abort();
      throw diskError(this.path, error);
    }
  }

  async commit(companion?: Companion): Promise<void> {
    const file = this.#open();
    const { tmp, ledger } = this.names;
    let parent: OpenFolder | undefined;
    let isInPlace = false;
    try {
      await file.sync();
      await file.close();
      if (companion) {
        recoverCompanion(this.path, companion.path); // or it would be taken for newer than ours
        await writeNew(companion, ledger);
      }
      // Opened before, so that little can go wrong after.
      parent = await openFolder(dirname(resolve(this.path)));
      renameSync(tmp, this.path);
      isInPlace = true;
      this.#file = undefined;
      if (companion) renameSync(ledger, companion.path);
      await parent.sync();
    } catch (error) {
      if (isInPlace) throw unconfirmed(this.path, error);
      await this.abort();
      throw diskError(this.path, error);
    } finally {
      await parent?.close();
    }
  }

  async abort(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    this.#file = undefined;
    // All may fail on a broken disk; the first error is the one to report, and abort is not it.
    await file.close().catch(() => undefined);
    // In this order: a ledger whose file has gone is one whose file was put in place.
    if (await remove(this.names.ledger)) await remove(this.names.tmp);
  }

  #open(): FileHandle {
    if (this.#file === undefined) throw new DiskError(`${printable(this.path)} is already closed`, { path: this.path });
    return this.#file;
  }
}

/** A short write is continued until all bytes are out. */
export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done);
    if (bytesWritten === 0) throw Object.assign(new Error('the disk takes no more bytes'), { code: 'ENOSPC' });
    done += bytesWritten;
  }
}

async function writeNew({ path, content }: Companion, temporary: string): Promise<void> {
  try {
    await refuseFolder(path);
    const file = await open(temporary, 'wx');
    const bytes = new TextEncoder().encode(content);
    await writeAll(file, bytes)
      .then(() => file.sync())
      .finally(() => file.close());
  } catch (error) {
    throw diskError(path, error);
  }
}

/** Puts the companion of a file in place, if a process was killed after it had done so with the file. */
export function recoverCompanion(path: string, companion: string): void {
  const full = resolve(path);
  for (const { kind, names, isAlive, isOurs } of leftoversIn(dirname(full), full)) {
    if (kind !== 'ledger' || !isGone(names.tmp) || (isAlive && !isOurs)) continue;
    try {
      renameSync(names.ledger, companion);
    } catch (error) {
      throw diskError(companion, error);
    }
  }
}

export interface OpenFolder {
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** Systems and network disks that do not synchronise folders say so by one of these. */
const UNSUPPORTED = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF']);
const NOT_READABLE = new Set(['EACCES', 'EPERM', 'EISDIR']);

/** A folder, to synchronise what it names: without that a crash of the machine can still forget a rename. */
export async function openFolder(folder: string): Promise<OpenFolder> {
  const unless = (codes: ReadonlySet<string>) => (error: NodeJS.ErrnoException) => {
    if (!codes.has(error.code ?? '')) throw error;
  };
  const handle = await open(folder, 'r').catch(unless(NOT_READABLE));
  return {
    sync: async () => handle?.sync().catch(unless(UNSUPPORTED)),
    close: async () => handle?.close().catch(() => undefined),
  };
}

/** Writes the whole file, or leaves what was there. */
export async function writeFileAtomic(path: string, content: Uint8Array | string): Promise<void> {
  const writer = await atomicWriter(path);
  await writer.write(typeof content === 'string' ? new TextEncoder().encode(content) : content);
  await writer.commit();
}
