/**
 * What was measured, a line of JSON for each, by the hash of all that decides it: a command that was stopped goes on, and
 * one that asks for more makes only that.
 */
import { appendFile, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { diskError } from '../atomic-file.js';
import { sha256Of } from '../batch/address.js';
import { makeFolder } from '../picture-file.js';

export interface Measurements {
  /** The value of a measurement, which is made unless it is known. It is plain JSON, as the key is. */
  of<T>(key: unknown, make: () => Promise<T>): Promise<T>;
  isKnown(key: unknown): boolean;
}

interface Line {
  readonly key: string;
  readonly value: unknown;
}

export async function openMeasurements(path: string): Promise<Measurements> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw diskError(path, error, 'read');
  });
  await makeFolder(dirname(path));
  const known = new Map<string, unknown>();
  for (const line of text.split('\n')) {
    const found = parsed(line);
    if (found) known.set(found.key, found.value);
  }
  // What a killed process has left of its last line is not a line; ours begin on their own.
  let start = text === '' || text.endsWith('\n') ? '' : '\n';
  return {
    isKnown: (key) => known.has(sha256Of(key)),
    async of<T>(asked: unknown, make: () => Promise<T>) {
      const key = sha256Of(asked);
      if (known.has(key)) return known.get(key) as T;
      const line = JSON.stringify({ key, value: await make() } satisfies Line);
      await appendFile(path, `${start}${line}\n`).catch((error: unknown) => {
        throw diskError(path, error);
      });
      start = '';
      // As it will be read the next time.
      const { value } = JSON.parse(line) as { value: T };
      known.set(key, value);
      return value;
    },
  };
}

function parsed(line: string): Line | undefined {
  try {
    const { key, value } = JSON.parse(line) as Partial<Line>;
    return typeof key === 'string' && value !== undefined ? { key, value } : undefined;
  } catch {
    return undefined;
  }
}

/** Numbers of 32 bits as text, exactly. */
export const floatsToText = (x: Float32Array): string =>
  Buffer.from(x.buffer, x.byteOffset, x.byteLength).toString('base64');

export function textToFloats(text: string): Float32Array {
  const bytes = Buffer.from(text, 'base64');
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + (bytes.length & ~3)));
}
