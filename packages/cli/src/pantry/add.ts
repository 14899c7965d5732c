/** Models in and out of the pantry. */
import { existsSync, lstatSync, realpathSync, statSync } from 'node:fs';
import { rename, rm, symlink, unlink } from 'node:fs/promises';
import { basename, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { CheckpointError, isPantryName, type PantryEntry, UsageError } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { hashModel, ledgerComponents } from '../hash/model.js';
import type { HashOptions } from '../hash/weights.js';
import { checkWritable, makeFolder } from '../picture-file.js';
import { temporaryNames } from '../temporary.js';
import { printable } from '../text.js';
import { copyModel } from './copy.js';
import { pathOf, readIndex } from './find.js';
import { changeIndex } from './index-file.js';
import { modelsIn } from './models.js';

export interface AddOptions extends HashOptions {
  readonly name?: string;
  readonly held: PantryEntry['held'];
  readonly note?: string;
}

export interface Added {
  readonly entry: PantryEntry;
  readonly path: string;
  /** Another name in the pantry for the same weights. */
  readonly twin?: string;
}

export async function addModel(folder: string, path: string, options: AddOptions): Promise<Added> {
  const { held, note } = options;
  const from = resolve(path);
  const facts = statSync(from, { throwIfNoEntry: false });
  if (!facts)
    throw new CheckpointError(`${printable(path)} does not exist; give a model folder or a file`, { file: path });
  const kind = facts.isDirectory() ? 'folder' : 'file';
  const name = options.name ?? nameOf(from, kind);
  if (!isPantryName(name)) {
    throw new UsageError(
      `${printable(name)} cannot be a name in the pantry: it may not hold / \\ + : * ? " < > | nor begin with - or a dot. ` +
        'Give another one with --name.',
    );
  }
  await refuseTakenName(folder, name, from, held);
  checkWritable(folder);

  const model = await hashModel(from, options);
  const target = join(folder, kind === 'file' ? `${name}.safetensors` : name);
  if (held === 'copy') await copyModel(from, model, target, options);
  if (held === 'link') await makeFolder(folder).then(() => link(from, target, kind));
  const entry: PantryEntry = {
    name,
    path: held === 'reference' ? storedPath(folder, from) : basename(target),
    ...{ kind, held, root: model.root, components: ledgerComponents(model.components), bytes: model.bytes },
    ...(note !== undefined && { note }),
  };
  let twin: string | undefined;
  await changeIndex(folder, (models) => {
    if (models.some((other) => other.name === name)) throw taken(name);
    twin = models.find(({ root }) => root === model.root)?.name;
    return [...models, entry];
  });
  return { entry, path: pathOf(folder, entry), ...(twin !== undefined && { twin }) };
}

const nameOf = (path: string, kind: 'folder' | 'file'): string =>
  kind === 'folder' ? basename(path) : basename(path, extname(path));

const taken = (name: string): UsageError =>
  new UsageError(`the pantry has a model ${printable(name)} already; choose another --name, or remove that one first`);

async function refuseTakenName(folder: string, name: string, from: string, held: PantryEntry['held']): Promise<void> {
  const other = (await modelsIn(folder)).find((model) => model.name === name);
  if (!other) {
    if (held !== 'reference' && existsSync(join(folder, name))) throw taken(name);
    return;
  }
  // A plain folder of the pantry may be put into the index, under its own name.
  const isItself = !other.entry && realpathSync(other.path) === realpathSync(from);
  if (!isItself) throw taken(name);
  if (held !== 'reference') {
    throw new UsageError(`${printable(name)} lies in the pantry already; leave out --copy and --link`);
  }
}

/** Relative to the pantry for what lies in it, so that the pantry can be moved. */
function storedPath(folder: string, path: string): string {
  const inner = relative(folder, path);
  const isInside = inner !== '' && inner !== '..' && !inner.startsWith(`..${sep}`) && !isAbsolute(inner);
  return isInside ? inner.split(sep).join('/') : path;
}

async function link(from: string, target: string, kind: 'folder' | 'file'): Promise<void> {
  await symlink(from, target, kind === 'folder' ? 'junction' : 'file').catch((error: unknown) => {
    throw diskError(target, error, 'link');
  });
}

export interface RemoveOptions {
  /** The copy as well. */
  readonly deletes: boolean;
  readonly force: boolean;
}

export interface Removed {
  readonly entry: PantryEntry;
  readonly path: string;
  readonly deleted: boolean;
}

/** Forgets a model; the files stay, unless they are the pantry's own copy and are to go. */
export async function removeModel(folder: string, name: string, { deletes, force }: RemoveOptions): Promise<Removed> {
  const shown = printable(name);
  const entry = readIndex(folder)?.models.find((model) => model.name === name);
  if (!entry) {
    const plain = (await modelsIn(folder)).find((model) => model.name === name);
    throw new UsageError(
      plain
        ? `${shown} is a ${plain.kind} in the pantry without an entry to remove; move ${printable(plain.path)} away yourself`
        : `the pantry has no model ${shown}; see "soup pantry list"`,
    );
  }
  const path = pathOf(folder, entry);
  if (deletes) checkDeletion(folder, entry, path, force);
  await changeIndex(folder, (models) => models.filter((model) => model.name !== name));
  if (entry.held === 'link' && isLink(path)) await unlink(path);
  if (!deletes || !existsSync(path)) return { entry, path, deleted: false };
  // Under another name first: half a model never has the name of a whole one.
  const doomed = temporaryNames(path).tmp;
  await rename(path, doomed).catch((error: unknown) => {
    throw diskError(path, error, 'delete');
  });
  await rm(doomed, { recursive: true, force: true });
  return { entry, path, deleted: true };
}

function checkDeletion(folder: string, entry: PantryEntry, path: string, force: boolean): void {
  const shown = printable(entry.name);
  if (entry.held !== 'copy') {
    throw new UsageError(
      `${shown} is no copy of the pantry's own but at ${printable(path)}; it is not deleted. Leave out --delete`,
    );
  }
  // The index is a file that anybody may have written.
  if (existsSync(path) && (isLink(path) || realpathSync(path) !== join(realpathSync(folder), basename(path)))) {
    throw new UsageError(`${printable(path)} is not directly in the pantry; it is not deleted. Leave out --delete`);
  }
  if (!force) {
    throw new UsageError(`--delete would delete ${printable(path)}; add --force to do it`, {
      path,
      bytes: entry.bytes,
    });
  }
}

const isLink = (path: string): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() ?? false;
