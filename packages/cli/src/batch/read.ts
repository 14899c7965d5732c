/** A manifest from a file or from stdin, and options of the command line, to items. */
import { readFile } from 'node:fs/promises';
import { ConfigError, UsageError } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { printable } from '../text.js';
import { expand } from './expand.js';
import { isField, unknownField } from './fields.js';
import type { Item } from './item.js';
import { type Kind, readManifest } from './read-manifest.js';

const MOST_BYTES = 64 * 2 ** 20;

export interface ReadOptions {
  readonly kind?: Kind;
  /** As steps=4; the manifest counts more. */
  readonly defaults?: readonly string[];
  readonly stdin?: AsyncIterable<Uint8Array | string>;
}

export async function readItems(
  file: string,
  { kind, defaults = [], stdin = process.stdin }: ReadOptions,
): Promise<Item[]> {
  const name = file === '-' ? 'stdin' : file;
  const bytes = file === '-' ? await all(stdin) : await fileBytes(file);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new ConfigError(`${printable(name)} is no UTF-8 text; expected a manifest.`, { file }, { cause });
  }
  return expand(readManifest(text, name, kind), { defaults: Object.fromEntries(defaults.map(pairOf)) });
}

function pairOf(text: string): [string, string] {
  const at = text.indexOf('=');
  const name = text.slice(0, Math.max(0, at)).trim();
  if (at < 1) throw new UsageError(`--default ${printable(text)}: expected a field and a value, as steps=4`);
  if (!isField(name) || name === 'vars') throw new UsageError(`--default: ${unknownField(name)}`);
  return [name, text.slice(at + 1)];
}

async function fileBytes(file: string): Promise<Uint8Array> {
  try {
    return await readFile(file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
      throw new ConfigError(`${printable(file)} does not exist; expected a manifest, or - for stdin.`, { file });
    }
    throw diskError(file, error, 'read');
  }
}

async function all(stream: AsyncIterable<Uint8Array | string>): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    chunks.push(Buffer.from(chunk as Uint8Array));
    length += chunk.length;
    if (length > MOST_BYTES) throw new ConfigError(`stdin has more than ${MOST_BYTES} bytes; expected a manifest.`);
  }
  return Buffer.concat(chunks);
}
