/** A CLIP checkpoint by content, and as a scorer of pictures. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../atomic-file.js';

/** SHA-256 over the folder's files of weights and configs, by name. */
export async function clipRoot(folder: string): Promise<string> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const hash = createHash('sha256');
  for (const name of names.filter((name) => /\.(safetensors|json|txt)$/.test(name)).sort()) {
    const own = createHash('sha256');
    for await (const chunk of createReadStream(join(folder, name))) own.update(chunk as Buffer);
    hash.update(`${name}\0${own.digest('hex')}\n`);
  }
  return hash.digest('hex');
}
