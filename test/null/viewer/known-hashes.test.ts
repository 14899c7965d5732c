/** Hashes of tensors: heard while they are read, kept for the next visit, and never for a file without a version. */
import { createHash } from 'node:crypto';
import { afterEach, expect, test, vi } from 'vitest';
import { type FileHash, isFileHash, KnownHashes } from '../../../packages/viewer/src/files/known-hashes.ts';
import type { ModelFile } from '../../../packages/viewer/src/files/model-file.ts';
import { Notes } from '../../../packages/viewer/src/files/notes.ts';

const BYTES = Uint8Array.from({ length: 100 }, (_, i) => i * 7);
const sha256 = (from: number, to: number) => createHash('sha256').update(BYTES.subarray(from, to)).digest('hex');

const file = (more: Partial<ModelFile> = {}): ModelFile => ({
  name: 'unet.safetensors',
  path: 'unet.safetensors',
  stamp: 'https://models.test/unet.safetensors 100 "a"',
  hasVersion: true,
  size: BYTES.length,
  isLocal: false,
  held: () => 0,
  async readInto(target, offset) {
    target.set(BYTES.subarray(offset, offset + target.length));
  },
  ...more,
});

/** A folder of the private file system that has one file in it. */
function folder() {
  let text = '';
  const handle = {
    getFile: async () => ({ text: async () => text }),
    createWritable: async () => ({
      async write(all: string) {
        text = all;
      },
      async close() {},
    }),
  };
  return { directory: { getFileHandle: async () => handle } as unknown as FileSystemDirectoryHandle, text: () => text };
}

const notesIn = (directory: FileSystemDirectoryHandle, most?: number) =>
  new Notes<FileHash>(() => directory, 'hashes.json', isFileHash, most);

afterEach(() => {
  vi.useRealTimers();
});

async function heard(hashes: KnownHashes, one: ModelFile, offset: number, bytes: number): Promise<FileHash> {
  await hashes.overhear(one).readInto(new Uint8Array(bytes), offset);
  await hashes.settled();
  return hashes.of(one);
}

test('of tensors that are read whole, neighbours at once or one by one; of pieces nothing is said', async () => {
  const hashes = new KnownHashes();
  const one = file();
  expect(await heard(hashes, one, 0, 100)).toEqual({ ranges: {} }); // nobody has said where tensors are
  hashes.expect(one, [
    [10, 30],
    [30, 50],
    [50, 100],
  ]);
  expect(await heard(hashes, one, 10, 60)).toEqual({ ranges: { '10-30': sha256(10, 30), '30-50': sha256(30, 50) } });
  expect((await heard(hashes, one, 50, 50)).ranges['50-100']).toBe(sha256(50, 100));
});

test.each([
  ['a version is known at the next visit', {}, 1],
  ['one that cannot be told from another version is not', { hasVersion: false }, 0],
  ['a file of this computer is not', { isLocal: true }, 0],
])('%s', async (_, more, expected) => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { directory } = folder();
  const one = file(more);
  const before = new KnownHashes(notesIn(directory));
  before.expect(one, [[10, 30]]);
  await heard(before, one, 0, 100);
  await vi.advanceTimersByTimeAsync(1000);
  const { ranges } = await new KnownHashes(notesIn(directory)).of(one);
  expect(Object.keys(ranges)).toHaveLength(expected);
});

test('what was noted longest ago is forgotten first, and what is no hash is not believed', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const { directory, text } = folder();
  const notes = notesIn(directory, 2);
  for (const name of ['a', 'b', 'c']) await notes.put(name, { ranges: { '0-1': name.repeat(64) } });
  await notes.put('b', { ranges: { '0-1': 'not one' } });
  await vi.advanceTimersByTimeAsync(1000);
  expect(Object.keys(JSON.parse(text()))).toEqual(['c', 'b']);
  const next = notesIn(directory);
  expect(await next.get('b')).toBeUndefined();
  expect(await next.get('c')).toBeDefined();
});
