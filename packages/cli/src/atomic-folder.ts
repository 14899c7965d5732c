/**
 * Folders that are there whole or not at all: written under a temporary name beside the target, everything in it
 * synchronised with the disk, then renamed.
 *
 * To replace a folder takes two renames, and a process can be killed between them. Then the old folder lies beside its
 * place under a name that says so, and the new one, which is complete, does too: `recoverFolder` finishes what was begun.
 */
import { createHash } from 'node:crypto';
import { readlinkSync, realpathSync, renameSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { DiskError, throwIfAborted } from '@diffusion-soup/core';
import { diskError, openFolder, unconfirmed, writeAll } from './atomic-file.js';
import {
  discard,
  isGone,
  isThere,
  type Leftover,
  leftoversIn,
  remove,
  removeOrphans,
  temporaryNames,
} from './temporary.js';
import { printable } from './text.js';

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface FolderFile {
  readonly path: string;
  /** Asked for when its turn comes: it may depend on what was written before. */
  readonly content: (written: readonly WrittenFile[]) => AsyncIterable<Uint8Array>;
  /** The SHA-256 of the content, once all of it was taken, where it is known; else it is computed here. */
  readonly sha256?: () => string;
}

export interface WriteFolderOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

/** Writes a folder beside the target and puts it in place; a link to a folder stays one. */
export async function writeFolderAtomic(
  target: string,
  files: readonly FolderFile[],
  { signal, onProgress }: WriteFolderOptions,
): Promise<{ files: WrittenFile[] }> {
  const path = restingPlace(target);
  recoverFolder(path);
  await removeOrphans(dirname(path));
  const { tmp, old } = temporaryNames(path);
  const written: WrittenFile[] = [];
  const folders = new Set<string>();
  let before = 0;
  const make = (folder: string) =>
    mkdir(join(tmp, folder), { recursive: folder !== '' }).catch((error: unknown) => {
      throw diskError(join(path, folder), error, 'create');
    });
  try {
    await make('');
    for (const file of files) {
      for (let inner = dirname(file.path); inner !== '.'; inner = dirname(inner)) folders.add(inner);
      if (dirname(file.path) !== '.') await make(dirname(file.path));
      const report = (bytes: number) => onProgress?.(before + bytes);
      written.push(await writeFile(tmp, path, file, file.content(written), signal, report));
      before += written.at(-1)!.bytes;
    }
    for (const folder of [...folders, '']) await synchronise(join(tmp, folder), join(path, folder));
    throwIfAborted(signal);
    await putInPlace(tmp, path, old);
  } catch (error) {
    // With the old folder out of its place, the new one is all there is to put there.
    if (isGone(old)) await remove(tmp);
    throw error;
  }
  await discard(old, path);
  return { files: written };
}

async function writeFile(
  folder: string,
  target: string,
  { path, sha256 }: FolderFile,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  report: (done: number) => void,
): Promise<WrittenFile> {
  const hash = sha256 ? undefined : createHash('sha256');
  let bytes = 0;
  const fail = (error: unknown) => {
    throw diskError(join(target, path), error);
  };
  const file = await open(join(folder, path), 'wx').catch(fail);
  try {
    for await (const piece of pieces) {
      throwIfAborted(signal);
      hash?.update(piece);
      await writeAll(file, piece).catch(fail);
      bytes += piece.length;
      report(bytes);
    }
    await file.sync().catch(fail);
  } catch (error) {
    await file.close().catch(() => undefined);
    throw error;
  }
  await file.close().catch(fail);
  return { path, bytes, sha256: hash ? hash.digest('hex') : sha256!() };
}

async function synchronise(folder: string, shown: string): Promise<void> {
  try {
    const handle = await openFolder(folder);
    await handle.sync().finally(handle.close);
  } catch (error) {
    throw diskError(shown, error);
  }
}

async function putInPlace(tmp: string, target: string, old: string): Promise<void> {
  const failed = (error: unknown) => {
    throw diskError(target, error);
  };
  // Opened before, so that little can go wrong after.
  const parent = await openFolder(dirname(target)).catch(failed);
  try {
    await parent.sync().catch(failed);
    swap(tmp, target, old);
    await parent.sync().catch((error: unknown) => {
      throw unconfirmed(target, error);
    });
  } finally {
    await parent.close();
  }
}

const TAKEN = new Set(['ENOTEMPTY', 'EEXIST', 'EPERM']); // Windows has the last one for it
const MOST_SWAPS = 8; // another process may put its own in place meanwhile

/** New in, old out, with nothing in between; if that fails, old back in. */
function swap(tmp: string, target: string, old: string): void {
  let isOut = false;
  for (let turn = 1; ; turn++) {
    const refused = tryRename(tmp, target);
    if (!refused) return;
    // A folder that is empty has been replaced; one that is not has to go first.
    const isTaken = TAKEN.has(refused.code ?? '') && isThere(target);
    if (!isTaken || turn === MOST_SWAPS) {
      const stuck = isOut ? tryRename(old, target) : undefined;
      throw stuck && !TAKEN.has(stuck.code ?? '') ? halfWay(tmp, target, old, refused) : diskError(target, refused);
    }
    if (isOut) tryRename(old, temporaryNames(target).tmp);
    const kept = tryRename(target, old);
    if (kept && kept.code !== 'ENOENT') throw diskError(target, kept);
    isOut = true;
  }
}

function tryRename(from: string, to: string): NodeJS.ErrnoException | undefined {
  try {
    renameSync(from, to);
    return undefined;
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
}

function halfWay(tmp: string, target: string, old: string, cause: NodeJS.ErrnoException): DiskError {
  const { message, facts } = diskError(target, cause);
  return new DiskError(
    `${message}. The old one is complete as ${printable(basename(old))} beside it, and so is the new one as ` +
      `${printable(basename(tmp))}, which the next command puts in place`,
    facts,
    { cause },
  );
}

/** Longer than two renames take anywhere. */
const PATIENCE_MS = 2000;

/**
 * Finishes replacing a folder where a process was killed in the middle of it: afterwards the new one is in its place, or
 * the old one if that is all there is. True if the folder is there.
 */
export function recoverFolder(target: string): boolean {
  const path = restingPlace(target);
  if (isThere(path)) return true;
  const olds = leftoversIn(dirname(path), path).filter(({ kind }) => kind === 'old');
  for (const one of olds) {
    if (one.isAlive && !one.isOurs) waitUntil(() => isThere(path) || isGone(one.path));
    if (!isThere(path)) finish(one, path);
  }
  return isThere(path);
}

function finish({ names: { tmp, old } }: Leftover, path: string): void {
  for (const complete of [tmp, old]) {
    const refused = tryRename(complete, path);
    if (!refused || isThere(path)) return;
    if (refused.code === 'ENOENT') continue;
    const { message, facts } = diskError(path, refused);
    throw new DiskError(
      `replacing ${printable(path)} was interrupted, and cannot be finished: ${message}. It lies complete beside its ` +
        `place, as ${printable(basename(complete))}`,
      facts,
      { cause: refused },
    );
  }
}

/** Blocks, since the names are looked up where nobody can wait otherwise. */
function waitUntil(isTrue: () => boolean): void {
  const clock = new Int32Array(new SharedArrayBuffer(4));
  for (const end = Date.now() + PATIENCE_MS; !isTrue() && Date.now() < end; ) Atomics.wait(clock, 0, 0, 5);
}

/** Where a folder is, or would be: links are followed, to nothing as well. */
function restingPlace(target: string): string {
  const path = resolve(target);
  try {
    return realpathSync(path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw diskError(path, error);
  }
  if (dirname(path) === path) return path;
  const place = join(restingPlace(dirname(path)), basename(path));
  try {
    return restingPlace(resolve(dirname(place), readlinkSync(place)));
  } catch (error) {
    if (error instanceof DiskError) throw error;
    return place;
  }
}
