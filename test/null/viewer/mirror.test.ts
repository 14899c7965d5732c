/** Copies of remote files: filled as they are read, gone on with, thrown away when they are of another version. */
import { expect, test, vi } from 'vitest';
import { BLOCK_BYTES, type Handle, Mirror, type OnRead } from '../../../packages/viewer/src/files/mirror.ts';

const SIZE = 5 * BLOCK_BYTES + 1000;
const FILE = new Uint8Array(SIZE).map((_, i) => (i * 31 + (i >> 8)) % 251);
const VERSION = { url: 'https://models.test/unet.safetensors', size: SIZE, tag: '"a"' };

/** A file of the private file system. */
function file(most = Number.POSITIVE_INFINITY) {
  let bytes = new Uint8Array(0);
  const grow = (size: number) => {
    const before = bytes;
    bytes = new Uint8Array(size);
    bytes.set(before.subarray(0, size));
  };
  const handle: Handle = {
    read(target, { at }) {
      const part = bytes.subarray(at, at + target.length);
      target.set(part);
      return part.length;
    },
    write(part, { at }) {
      if (at + part.length > most) throw new DOMException('full', 'QuotaExceededError');
      if (at + part.length > bytes.length) grow(at + part.length);
      bytes.set(part, at);
      return part.length;
    },
    truncate: grow,
    getSize: () => bytes.length,
    flush() {},
    close() {},
  };
  return { handle, truncate: grow, bytes: () => bytes };
}

const fetched: [from: number, to: number][] = [];
async function fetchInto(target: Uint8Array, offset: number) {
  fetched.push([offset, offset + target.length]);
  target.set(FILE.subarray(offset, offset + target.length));
}

async function read(mirror: Mirror, offset: number, length: number) {
  const counted = { network: 0, cache: 0 };
  const onRead: OnRead = (origin, bytes) => {
    counted[origin] += bytes;
  };
  fetched.length = 0;
  const target = new Uint8Array(length);
  await mirror.readInto(target, offset, fetchInto, onRead);
  // Not toEqual, which takes a minute over some millions of bytes.
  expect(Buffer.compare(target, FILE.subarray(offset, offset + length))).toBe(0);
  return counted;
}

test('what was read once is read here', async () => {
  const mirror = Mirror.open(VERSION, file().handle, file().handle);
  expect(await read(mirror, 100, 50)).toEqual({ network: 50, cache: 0 });
  expect(fetched).toEqual([[0, BLOCK_BYTES]]); // whole blocks
  expect(await read(mirror, 0, BLOCK_BYTES)).toEqual({ network: 0, cache: BLOCK_BYTES });
  // Across what is here and what is not, to the end.
  expect(await read(mirror, BLOCK_BYTES - 10, SIZE - BLOCK_BYTES + 10)).toEqual({
    network: SIZE - BLOCK_BYTES,
    cache: 10,
  });
  expect(mirror.bytes).toBe(SIZE);
  expect(await read(mirror, SIZE - 3, 3)).toEqual({ network: 0, cache: 3 });
  expect(fetched).toEqual([]);
});

test('two who read the same fetch it once', async () => {
  const mirror = Mirror.open(VERSION, file().handle, file().handle);
  fetched.length = 0;
  const targets = [new Uint8Array(10), new Uint8Array(10)];
  await Promise.all(targets.map((target) => mirror.readInto(target, 5, fetchInto, () => {})));
  expect(fetched).toHaveLength(1);
  expect(targets[1]).toEqual(FILE.slice(5, 15));
});

test('a copy is gone on with, until its version changes, its record breaks or its end is missing', async () => {
  const [data, record] = [file(), file()];
  const first = Mirror.open(VERSION, data.handle, record.handle);
  await read(first, 2 * BLOCK_BYTES, BLOCK_BYTES + 1);
  await first.close();
  const held = (version = VERSION) => Mirror.open(version, data.handle, record.handle).bytes;
  expect(held()).toBe(2 * BLOCK_BYTES);
  const again = Mirror.open(VERSION, data.handle, record.handle);
  expect(await read(again, 2 * BLOCK_BYTES, 9)).toEqual({ network: 0, cache: 9 });

  const saved = [data.bytes().slice(), record.bytes().slice()] as const;
  const restore = () => {
    for (const [i, to] of [data, record].entries()) {
      to.truncate(0);
      to.handle.write(saved[i]!, { at: 0 });
    }
    expect(held()).toBe(2 * BLOCK_BYTES);
  };
  for (const other of [{ tag: '"b"' }, { size: SIZE + 1 }, { url: 'https://models.test/vae.safetensors' }]) {
    expect(held({ ...VERSION, ...other })).toBe(0);
    restore();
  }
  record.truncate(record.handle.getSize() - 5);
  expect(held()).toBe(0);
  restore();
  data.truncate(3 * BLOCK_BYTES + 10); // the fourth block is said to be there
  expect(held()).toBe(0);
});

test('a full disk keeps what there is room for, and the rest comes over the network', async () => {
  const mirror = Mirror.open(VERSION, file(2 * BLOCK_BYTES).handle, file().handle);
  await read(mirror, 0, BLOCK_BYTES);
  await read(mirror, BLOCK_BYTES, 3 * BLOCK_BYTES);
  expect(await read(mirror, 0, SIZE)).toEqual({ network: SIZE - BLOCK_BYTES, cache: BLOCK_BYTES });
});

test('a copy that is thrown away while it is read goes on from the network; one that broke off is not spoilt', async () => {
  const mirror = Mirror.open(VERSION, file().handle, file().handle);
  await read(mirror, 0, 10);
  await mirror.close();
  expect(await read(mirror, 0, 10)).toEqual({ network: 10, cache: 0 });

  const other = Mirror.open(VERSION, file().handle, file().handle);
  const broken = async () => {
    throw new TypeError('no network');
  };
  await expect(other.readInto(new Uint8Array(5), 0, broken, () => {})).rejects.toThrow('no network');
  expect(await read(other, 0, 5)).toEqual({ network: 5, cache: 0 });
});

test('what was read is here again soon after, though nobody closed the copy', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  const [data, record] = [file(), file()];
  const first = Mirror.open(VERSION, data.handle, record.handle);
  await read(first, 0, 10);
  await vi.advanceTimersByTimeAsync(1000);
  vi.useRealTimers();
  const second = Mirror.open(VERSION, data.handle, record.handle);
  expect(await read(second, 0, 10)).toEqual({ network: 0, cache: 10 });
});
