/** Where a soup's ledger lies: `soup.json` in a folder, `NAME.soup.json` beside NAME.safetensors. */
import { statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { CheckpointError, type Ledger, MAX_LEDGER_BYTES, parseLedger } from '@diffusion-soup/core';
import { diskError, recoverCompanion } from '../atomic-file.js';
import { printable } from '../text.js';

export const LEDGER_FILE = 'soup.json';

/** In a soup's folder, or beside its file; of one that is still to be made, too. */
export function ledgerPath(soup: string): string {
  const facts = statSync(soup, { throwIfNoEntry: false });
  const isFolder = facts ? facts.isDirectory() : !/\.safetensors$/i.test(soup);
  if (isFolder) return join(soup, LEDGER_FILE);
  return join(dirname(soup), `${basename(soup).replace(/\.safetensors$/i, '')}.soup.json`);
}

/** The text of a ledger or receipt. */
export async function readLedgerText(path: string): Promise<string> {
  try {
    const facts = await stat(path);
    if (!facts.isFile() || facts.size > MAX_LEDGER_BYTES) {
      throw new CheckpointError(`${printable(path)} is no ledger: not a file, or too large.`, { file: path });
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    throw (error as NodeJS.ErrnoException).code === undefined ? error : diskError(path, error, 'read');
  }
}

/** The ledger of a soup; undefined when it has none. */
export async function readLedger(soup: string, path = ledgerPath(soup)): Promise<Ledger | undefined> {
  if (dirname(path) !== soup) recoverCompanion(soup, path);
  if (!statSync(path, { throwIfNoEntry: false })) return undefined;
  return parseLedger(await readLedgerText(path), path);
}

export async function needLedger(soup: string, path = ledgerPath(soup)): Promise<Ledger> {
  const ledger = await readLedger(soup, path);
  if (ledger) return ledger;
  throw new CheckpointError(
    `${printable(soup)} has no ledger: there is no ${printable(path)}. Only soups that were made with one can be ` +
      'verified, added to or taken from; make it again with "soup merge".',
    { file: path },
  );
}
