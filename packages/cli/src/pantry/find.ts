/** Where the pantry is, and what a name in it means. */
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  CheckpointError,
  MAX_LEDGER_BYTES,
  type PantryEntry,
  type PantryIndex,
  parsePantryIndex,
} from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { recoverFolder } from '../atomic-folder.js';
import { printable } from '../text.js';

type Env = Readonly<Record<string, string | undefined>>;

export const INDEX_FILE = 'pantry.json';

export const pantryFolder = (env: Env): string => resolve(env.SOUP_PANTRY || 'pantry');

/** The index of a pantry; undefined when it has none, as plain folders need none. */
export function readIndex(folder: string): PantryIndex | undefined {
  const file = join(folder, INDEX_FILE);
  try {
    const facts = statSync(file);
    if (!facts.isFile() || facts.size > MAX_LEDGER_BYTES) {
      throw new CheckpointError(`${printable(file)} is no index of a pantry: not a file, or too large.`, { file });
    }
    return parsePantryIndex(readFileSync(file, 'utf8'), file);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw code === undefined ? error : diskError(file, error, 'read');
  }
}

export const pathOf = (folder: string, { path }: PantryEntry): string => resolve(folder, path);

/** The path of a model that the pantry's index names; undefined when it names none so. */
export function locateInPantry(name: string, env: Env): string | undefined {
  const folder = pantryFolder(env);
  const entry = readIndex(folder)?.models.find((model) => model.name === name);
  if (!entry) return undefined;
  const path = pathOf(folder, entry);
  if (recoverFolder(path)) return path;
  throw new CheckpointError(
    `${printable(name)} is in the pantry's index, but there is nothing at ${printable(path)}. Bring it back, or run ` +
      `"soup pantry remove ${printable(name)}" and add it from where it is now.`,
    { file: path },
  );
}
