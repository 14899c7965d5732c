/** Copies of models in the pantry: complete and the same as the original, or not there. */
import { constants } from 'node:fs';
import { copyFile, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CheckpointError, COMPONENTS, throwIfAborted } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { hashModel, type ModelHash } from '../hash/model.js';
import type { HashOptions } from '../hash/weights.js';
import { checkSpace } from '../merging/target.js';
import { makeFolder } from '../picture-file.js';
import { temporaryNames, tidy } from '../temporary.js';
import { printable } from '../text.js';

/** Texts of a model: configs, vocabularies, licences. Weights in other formats, and what is hidden, stay behind. */
const TEXT = /\.(json|txt|md|model|yaml)$|^(licen[cs]e|notice|copying)/i;
const LARGEST_TEXT = 32_000_000;

/** The files to copy, relative to `path`: those that were hashed, and the texts beside them. */
async function filesOf(path: string, { components }: ModelHash): Promise<string[]> {
  const files = new Set([...components.values()].flatMap((part) => part.files.map((file) => file.path)));
  for (const folder of ['', ...COMPONENTS]) {
    for (const name of await readdir(join(path, folder)).catch(() => [])) {
      if (name.startsWith('.') || !TEXT.test(name)) continue;
      const facts = await stat(join(path, folder, name)).catch(() => undefined);
      if (facts?.isFile() && facts.size <= LARGEST_TEXT) files.add(folder === '' ? name : `${folder}/${name}`);
    }
  }
  return [...files];
}

/** Copies a model to `target`, which must not exist, and reads the copy to see that it has the same root. */
export async function copyModel(
  path: string,
  original: ModelHash,
  target: string,
  options: HashOptions,
): Promise<void> {
  const isFile = (await stat(path)).isFile();
  const files = isFile ? [''] : await filesOf(path, original);
  await makeFolder(dirname(target));
  await checkSpace(target, original.bytes);
  await tidy(dirname(target));
  const temporary = temporaryNames(target).tmp;
  try {
    for (const file of files) {
      throwIfAborted(options.signal);
      await makeFolder(dirname(join(temporary, file)));
      await copySynced(join(path, file), join(temporary, file));
    }
    const copy = await hashModel(temporary, { ...options, fresh: true });
    if (copy.root !== original.root) {
      throw new CheckpointError(
        `the copy of ${printable(path)} differs from it. Was it changed meanwhile? If not, the disk is failing.`,
        { file: path, expected: original.root, found: copy.root },
      );
    }
    await rename(temporary, target).catch((error: unknown) => {
      throw diskError(target, error);
    });
  } catch (error) {
    await rm(temporary, { recursive: true, force: true }).catch(() => undefined);
    throw error;
  }
}

async function copySynced(from: string, to: string): Promise<void> {
  try {
    // A clone where the file system can: at once, and without taking room.
    await copyFile(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
    const file = await open(to, 'r+');
    await file.sync().finally(() => file.close());
  } catch (error) {
    throw diskError(to, error);
  }
}
