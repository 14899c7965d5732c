/** Whether a model may be written where it is to go; all of it found out before any work is done. */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { readdir, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve, sep } from 'node:path';
import { COMPONENTS, DiskError, formatBytes, UsageError } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { recoverFolder } from '../atomic-folder.js';
import { LEDGER_FILE } from '../ledger/file.js';
import { checkWritable } from '../picture-file.js';
import { printable } from '../text.js';

const HEADER_BYTES = 2 ** 20; // room for headers and metadata, when space is counted

/** What a model folder may hold, so that --force cannot be pointed at somebody's home. */
const OF_A_MODEL = new Set<string>([
  ...COMPONENTS,
  ...['model_index.json', 'safety_checker', 'feature_extractor', 'README.md', '.gitattributes', '.DS_Store'],
  LEDGER_FILE,
  'running-sum',
]);

export interface TargetOptions {
  readonly force: boolean;
  /** Folders of the ingredients: a folder cannot be replaced by what is read from it. Files can. */
  readonly inputs: readonly string[];
}

/** Refuses a folder that must not be written. */
export async function checkFolderTarget(target: string, { force, inputs }: TargetOptions): Promise<void> {
  const shown = printable(target);
  refuseEmpty(target);
  recoverFolder(target);
  const real = realPath(target);
  // Its place would be taken by another folder, and every program that works in it would stand nowhere.
  const here = realPath('.');
  if (here === real || here.startsWith(real + sep)) {
    throw new UsageError(`--out ${shown} is the folder that you are in, or around it; give the name of a new one`);
  }
  for (const path of inputs) {
    const source = realPath(path);
    if (real === source || real.startsWith(source + sep) || source.startsWith(real + sep)) {
      throw new UsageError(
        `--out ${shown} and the ingredient ${printable(path)} lie in each other; choose another folder`,
      );
    }
  }
  checkWritable(real);
  const facts = statSync(real, { throwIfNoEntry: false });
  if (!facts) return;
  if (!facts.isDirectory()) throw new UsageError(`--out ${shown} is a file; give the name of a new folder`);
  const entries = await readdir(real).catch((error: unknown) => {
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

/** Refuses a file that must not be written. An ingredient may be replaced: it stays open until the new file is complete. */
export function checkFileTarget(target: string, { force }: Pick<TargetOptions, 'force'>): void {
  const shown = printable(target);
  refuseEmpty(target);
  checkWritable(realPath(target));
  const facts = statSync(target, { throwIfNoEntry: false });
  if (!facts) return;
  if (!facts.isFile()) throw new UsageError(`--out ${shown} is a folder; give the name of a file`);
  if (!force) throw new UsageError(`--out ${shown} exists; add --force to replace it`);
}

/** A variable of a script that was never set, say. To `resolve` it would be the folder that we are in. */
function refuseEmpty(target: string): void {
  if (target.trim() === '')
    throw new UsageError('--out is empty; give the name of a new folder, or of a file *.safetensors');
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
