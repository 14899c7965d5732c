/** Makes safetensors files for tests, right ones and wrong ones: the header is any text, the length may lie. */
import type { DType, Weights } from '@diffusion-soup/core';
import { openSafetensors } from '../../packages/core/src/checkpoint/safetensors.ts';
import { encodeSafetensorsHeader } from '../../packages/core/src/checkpoint/safetensors-writer.ts';
import { bytesSource, type Folder, type Source } from '../../packages/core/src/checkpoint/source.ts';

export const FILE = 'attack.safetensors';

export interface FileParts {
  /** Bytes after the header. */
  readonly data?: number | Uint8Array;
  /** What the first eight bytes say; the header's real length by default. */
  readonly length?: bigint;
}

export function safetensorsFile(header: string | Uint8Array, { data = 0, length }: FileParts = {}): Uint8Array {
  const json = typeof header === 'string' ? new TextEncoder().encode(header) : header;
  const tail = typeof data === 'number' ? new Uint8Array(data) : data;
  const file = new Uint8Array(8 + json.length + tail.length);
  new DataView(file.buffer).setBigUint64(0, length ?? BigInt(json.length), true);
  file.set(json, 8);
  file.set(tail, 8 + json.length);
  return file;
}

export const source = (bytes: Uint8Array, name = FILE): Source => bytesSource(bytes, name);

export const latin1 = (text: string): Uint8Array => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** A folder in memory, which counts the sources that are still open. */
export function memoryFolder(files: Readonly<Record<string, string | Uint8Array>>, name = 'model') {
  const open = new Set<string>();
  const folder: Folder = {
    name,
    async open(path) {
      if (!Object.hasOwn(files, path)) return undefined;
      const content = files[path]!;
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      open.add(path);
      return { ...bytesSource(bytes, `${name}/${path}`), close: async () => void open.delete(path) };
    },
  };
  return { folder, open };
}

/** What a promise is rejected with. */
export async function rejection(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => undefined,
    (error: unknown) => error,
  );
}

export interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A file of these tensors, in memory. */
export function fileOf(entries: readonly Entry[], metadata: Record<string, string> = {}): Uint8Array {
  const { header, offsets, size } = encodeSafetensorsHeader(entries, metadata);
  const file = new Uint8Array(size);
  file.set(header);
  for (const { name, bytes } of entries) file.set(bytes, offsets.get(name)!);
  return file;
}

export const weightsOf = (name: string, entries: readonly Entry[]): Promise<Weights> =>
  openSafetensors(bytesSource(fileOf(entries), name));
