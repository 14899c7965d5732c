/** Copies that somebody else has open: a page that is just leaving is waited for, another tab is not. */
import { afterEach, expect, test, vi } from 'vitest';
import { Cache } from '../../../packages/viewer/src/files/cache.ts';
import type { Handle } from '../../../packages/viewer/src/files/mirror.ts';

const VERSION = { url: 'https://models.test/unet.safetensors', size: 10, tag: '"a"' };
const empty: Handle = {
  read: () => 0,
  write: ({ length }) => length,
  truncate() {},
  getSize: () => 0,
  flush() {},
  close() {},
};

/** A private file system whose files are open elsewhere until a time. */
function root(until: number) {
  let tries = 0;
  const file = {
    async createSyncAccessHandle() {
      tries++;
      if (performance.now() < until) throw new DOMException('it is open', 'NoModificationAllowedError');
      return empty;
    },
  };
  const folder = { getDirectoryHandle: async () => folder, getFileHandle: async () => file };
  return { directory: async () => folder as unknown as FileSystemDirectoryHandle, tries: () => tries };
}

afterEach(() => {
  vi.useRealTimers();
});

test('a page that is leaving is waited for', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  const { directory } = root(performance.now() + 500);
  const cache = (await Cache.open(directory))!;
  const mirror = cache.use(VERSION);
  await vi.advanceTimersByTimeAsync(1000);
  expect(await mirror).toBeDefined();
});

test('another tab is not, after the first moments', async () => {
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
  const { directory, tries } = root(Number.POSITIVE_INFINITY);
  const cache = (await Cache.open(directory))!;
  const mirror = cache.use(VERSION);
  await vi.advanceTimersByTimeAsync(5000);
  expect(await mirror).toBeUndefined();
  const before = tries();
  expect(await cache.use({ ...VERSION, url: `${VERSION.url}.2` })).toBeUndefined();
  expect(tries() - before).toBe(1);
});
