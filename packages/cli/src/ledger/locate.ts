/** Finds the models of a ledger again: by path, by name, by content; and takes none for another. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CancelledError, CheckpointError, type LedgerModel, SoupError } from '@diffusion-soup/core';
import { recoverFolder } from '../atomic-folder.js';
import { hashModel, type ModelHash } from '../hash/model.js';
import type { HashOptions } from '../hash/weights.js';
import { locateInPantry, pantryFolder } from '../pantry/find.js';
import { modelsIn } from '../pantry/models.js';
import { printable } from '../text.js';

export interface Located {
  readonly path: string;
  readonly hash: ModelHash;
}

export interface LocateOptions extends HashOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The folder that the ledger's paths start from; then the working folder, then the pantry. */
  readonly from: string;
}

export async function locateModel(model: LedgerModel, options: LocateOptions): Promise<Located> {
  const { env, from } = options;
  const pantry = pantryFolder(env);
  const named = [resolve(from, model.from), resolve(model.from), join(pantry, model.from)];
  const byName = [indexed(model.name, env), join(pantry, model.name), join(pantry, basename(model.from))];
  const tried = new Map<string, ModelHash | SoupError>();
  for (const path of [...named, ...byName]) {
    if (path === undefined || tried.has(path) || !recoverFolder(path)) continue;
    const hash = await hashOf(path, options);
    if (!(hash instanceof SoupError) && hash.root === model.root) return { path, hash };
    tried.set(path, hash);
  }
  return (await byContent(model, tried, options)) ?? refuse(model, tried, named[0]!);
}

function indexed(name: string, env: LocateOptions['env']): string | undefined {
  try {
    return locateInPantry(name, env);
  } catch (error) {
    if (error instanceof CheckpointError) return undefined; // it has gone, and may be elsewhere
    throw error;
  }
}

const hashOf = (path: string, options: HashOptions): Promise<ModelHash | SoupError> =>
  hashModel(path, options).catch((error: unknown) => {
    if (error instanceof SoupError && !(error instanceof CancelledError)) return error;
    throw error;
  });

/** The model under another name. The index says where to look; it is not believed. */
async function byContent(
  model: LedgerModel,
  tried: ReadonlyMap<string, unknown>,
  options: LocateOptions,
): Promise<Located | undefined> {
  const others = (await modelsIn(pantryFolder(options.env))).filter(({ path }) => !tried.has(path) && existsSync(path));
  const promising = others.filter(({ entry }) => entry === undefined || entry.root === model.root);
  for (const { path, entry } of promising) {
    const quick = entry ?? (await hashOf(path, { ...options, fresh: false }));
    if (quick instanceof SoupError || quick.root !== model.root) continue;
    const hash = await hashOf(path, options);
    if (!(hash instanceof SoupError) && hash.root === model.root) return { path, hash };
  }
  return undefined;
}

function refuse(model: LedgerModel, tried: ReadonlyMap<string, ModelHash | SoupError>, first: string): never {
  const name = printable(model.name);
  const [found] = tried;
  const facts = { name: model.name, expected: model.root };
  if (!found) {
    throw new CheckpointError(
      `${name} is nowhere to be found: not at ${printable(first)}, and not in the pantry under any name. Bring it back, ` +
        `or add it with "soup pantry add"; its root is ${model.root}.`,
      { ...facts, file: first },
    );
  }
  const [path, hash] = found;
  if (hash instanceof SoupError) throw hash;
  const [was, is] = [Object.entries(model.components), hash.components];
  const parts = was.filter(([part, { root }]) => [...is].find(([of]) => of === part)?.[1].root !== root);
  const which = parts.length > 0 ? ` (its ${parts.map(([part]) => part).join(', ')})` : '';
  throw new CheckpointError(
    `${name} at ${printable(path)} is not what went into the soup${which}: its root is ${hash.root}, and the ledger has ` +
      `${model.root}. Bring back the original, or put it into the pantry under any name.`,
    { ...facts, file: path, found: hash.root },
  );
}

/** The folder of a ledger's paths. */
export const ledgerFolder = (ledgerFile: string): string => dirname(resolve(ledgerFile));
