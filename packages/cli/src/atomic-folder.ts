/**
 * Folders that are there whole or not at all: written under a temporary name beside the target, every file synchronised
 * with the disk, then renamed. A folder that is replaced stays until the new one is complete.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CancelledError } from '@diffusion-soup/core';
import { diskError } from './atomic-file.js';
import { makeFolder } from './picture-file.js';

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

export interface FolderFile {
  readonly path: string;
  /** Asked for when its turn comes: it may depend on what was written before. */
  readonly content: (written: readonly WrittenFile[]) => AsyncIterable<Uint8Array>;
}

export interface WriteFolderOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (bytes: number) => void;
}

export async function writeFolderAtomic(
  target: string,
  files: readonly FolderFile[],
  { signal, onProgress }: WriteFolderOptions,
): Promise<{ files: WrittenFile[] }> {
  const path = resolve(target);
  const suffix = randomBytes(6).toString('hex');
  const temporary = `${path}.${suffix}.soup-tmp`;
  const written: WrittenFile[] = [];
  let before = 0;
  try {
    await makeFolder(temporary);
    for (const file of files) {
      await makeFolder(dirname(join(temporary, file.path)));
      const report = (bytes: number) => onProgress?.(before + bytes);
      written.push(await writeFile(temporary, file.path, file.content(written), signal, report));
      before += written.at(-1)!.bytes;
    }
    const folders = new Set(files.map((file) => dirname(join(temporary, file.path))));
    for (const folder of [...folders, temporary]) await synchronise(folder);
    await putInPlace(temporary, path, `${path}.${suffix}.soup-old`);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  await synchronise(dirname(path));
  return { files: written };
}

async function writeFile(
  folder: string,
  path: string,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
  report: (done: number) => void,
): Promise<WrittenFile> {
  const full = join(folder, path);
  const hash = createHash('sha256');
  let bytes = 0;
  const fail = (error: unknown) => {
    throw diskError(full, error);
  };
  const file = await open(full, 'wx').catch(fail);
  try {
    for await (const piece of pieces) {
      if (signal.aborted) throw new CancelledError('stopped on request', {}, { cause: signal.reason });
      hash.update(piece);
      for (let done = 0; done < piece.length; ) {
        done += (await file!.write(piece, done, piece.length - done).catch(fail))!.bytesWritten;
      }
      bytes += piece.length;
      report(bytes);
    }
    await file!.sync().catch(fail);
  } finally {
    await file!.close().catch(() => undefined);
  }
  return { path, bytes, sha256: hash.digest('hex') };
}

/** New in, old out; if that fails, old back in. */
async function putInPlace(temporary: string, target: string, old: string): Promise<void> {
  const replaces = existsSync(target);
  try {
    if (replaces) await rename(target, old);
    try {
      await rename(temporary, target);
    } catch (error) {
      if (replaces) await rename(old, target);
      throw error;
    }
  } catch (error) {
    throw diskError(target, error);
  }
  if (replaces) await rm(old, { recursive: true, force: true }).catch(() => undefined);
}

/** Without this a crash of the machine can forget a rename. Windows cannot open folders, and need not. */
async function synchronise(folder: string): Promise<void> {
  try {
    const handle = await open(folder, 'r');
    await handle.sync().finally(() => handle.close());
  } catch {
    // Every file in it is complete; some network file systems refuse to synchronise a folder.
  }
}
