/**
 * Writes a merged model: into a new folder beside the target, every file synchronised with the disk, then renamed.
 * The target is there whole or not at all; one that is replaced stays until the new one is complete.
 */
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, realpathSync, statSync } from 'node:fs';
import { open, readdir, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import {
  CancelledError,
  COMPONENTS,
  DiskError,
  formatBytes,
  type Gpu,
  layOutFile,
  mergeSafetensors,
  outputsOf,
  readBytes,
  type Source,
  UsageError,
} from '@diffusion-soup/core';
import { diskError } from './atomic-file.js';
import type { Kitchen } from './ingredients.js';
import type { MergePlan, PlannedFile } from './merge-plan.js';
import { toJson } from './output.js';
import { checkWritable, makeFolder } from './picture-file.js';
import { printable } from './text.js';

export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
}

const COPY_BYTES = 8 * 2 ** 20; // at once
const HEADER_BYTES = 2 ** 20; // room for headers and metadata, when space is counted
const TEMPORARY = /\.[0-9a-f]{12}\.soup-tmp$/;
const ORPHAN_AGE_MS = 24 * 60 * 60 * 1000; // no living process can still be writing there

/** What a model folder may hold, so that --force cannot be pointed at somebody's home. */
const OF_A_MODEL = new Set<string>([
  ...COMPONENTS,
  ...['model_index.json', 'safety_checker', 'feature_extractor', 'README.md', '.gitattributes', '.DS_Store'],
]);

/** Refuses a target that must not be written, before any work is done. */
export async function checkTarget(target: string, kitchen: Kitchen, { force }: { force: boolean }): Promise<void> {
  const shown = printable(target);
  const real = realPath(target);
  for (const { path } of [...kitchen.ingredients, ...(kitchen.base ? [kitchen.base] : [])]) {
    const source = realPath(path);
    if (real === source || real.startsWith(source + sep) || source.startsWith(real + sep)) {
      throw new UsageError(
        `--out ${shown} and the ingredient ${printable(path)} lie in each other; choose another folder`,
      );
    }
  }
  checkWritable(real);
  const facts = statSync(target, { throwIfNoEntry: false });
  if (!facts) return;
  if (!facts.isDirectory()) throw new UsageError(`--out ${shown} is a file; give the name of a new folder`);
  const entries = await readdir(target).catch((error: unknown) => {
    throw diskError(target, error, 'read');
  });
  if (entries.length === 0) return;
  if (!force) throw new UsageError(`--out ${shown} exists and is not empty; add --force to replace it`);
  const foreign = entries.find((entry) => !OF_A_MODEL.has(entry));
  if (foreign !== undefined) {
    throw new UsageError(
      `--out ${shown} holds ${printable(foreign)}, which is no part of a model; --force replaces model folders only`,
    );
  }
}

/** The path without symbolic links, as far as it exists. */
function realPath(path: string): string {
  const full = resolve(path);
  if (existsSync(full)) return realpathSync(full);
  const parent = dirname(full);
  return parent === full ? full : join(realPath(parent), basename(full));
}

/** Refuses when the disk cannot hold what will be written. */
export async function checkSpace(target: string, bytes: number): Promise<void> {
  let folder = resolve(target);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  const { bavail, bsize } = await statfs(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const [needed, free] = [bytes + HEADER_BYTES, bavail * bsize];
  if (needed > free) {
    throw new DiskError(
      `writing ${printable(target)} needs ${formatBytes(needed)}, but the disk has only ${formatBytes(free)} left; free some ` +
        'space, or choose another disk',
      { path: target, needed, free },
    );
  }
}

export interface WriteOptions {
  readonly signal: AbortSignal;
  readonly metadata: Readonly<Record<string, string>>;
  readonly onProgress: (done: number, total: number) => void;
}

export async function writeMerged(gpu: Gpu, plan: MergePlan, target: string, options: WriteOptions) {
  const path = resolve(target);
  await makeFolder(dirname(path));
  await removeOrphans(path);
  const suffix = randomBytes(6).toString('hex');
  const temporary = `${path}.${suffix}.soup-tmp`;
  const written: WrittenFile[] = [];
  try {
    await makeFolder(temporary);
    let before = 0;
    for (const file of plan.files) {
      await makeFolder(dirname(join(temporary, file.path)));
      const pieces = piecesOf(gpu, file, options);
      const report = (done: number) => options.onProgress(Math.min(plan.bytes, before + done), plan.bytes);
      written.push(await writeFile(temporary, file.path, pieces, options.signal, report));
      before += file.bytes;
    }
    const folders = new Set(plan.files.map((file) => dirname(join(temporary, file.path))));
    for (const folder of [...folders, temporary]) await synchronise(folder);
    await putInPlace(temporary, path, `${path}.${suffix}.soup-old`);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
  await synchronise(dirname(path));
  return { folder: path, files: written, bytes: written.reduce((sum, { bytes }) => sum + bytes, 0) };
}

function piecesOf(gpu: Gpu, file: PlannedFile, { metadata, signal }: WriteOptions): AsyncIterable<Uint8Array> {
  if (file.kind === 'averaged')
    return mergeSafetensors(gpu, layOutFile(outputsOf(file.blend), { metadata }), { signal });
  return file.kind === 'copied' ? copied(file.source) : text(file.text);
}

async function* text(content: string) {
  yield new TextEncoder().encode(content);
}

async function* copied(source: Source) {
  for (let at = 0; at < source.size; at += COPY_BYTES) {
    yield await readBytes(source, at, Math.min(COPY_BYTES, source.size - at));
  }
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
    for await (const piece of pieces!) {
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

/** What killed processes have left of this target. */
async function removeOrphans(target: string): Promise<void> {
  for (const name of await readdir(dirname(target)).catch(() => [])) {
    if (!TEMPORARY.test(name) || name.replace(TEMPORARY, '') !== basename(target)) continue;
    const path = join(dirname(target), name);
    const facts = await stat(path).catch(() => undefined);
    if (!facts?.isDirectory() || Date.now() - facts.mtimeMs < ORPHAN_AGE_MS) continue;
    await rm(path, { recursive: true, force: true }).catch(() => undefined);
  }
}

export const recipeMetadata = ({ recipe }: Kitchen): Record<string, string> => ({ diffusion_soup: toJson(recipe) });
