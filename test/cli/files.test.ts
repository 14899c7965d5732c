/** Files of the disk as sources: what is read, and what is refused. */
import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { readBytes } from '@diffusion-soup/core';
import { afterAll, describe, expect, test } from 'vitest';
import { diskFolder, fileSource } from '../../packages/cli/src/files.ts';
import { scratch } from '../support/cli.ts';

const folder = scratch();
afterAll(() => folder.remove());

describe('fileSource', () => {
  test('reads any part', async () => {
    writeFileSync(folder.in('a'), '0123456789');
    const source = await fileSource(folder.in('a'));
    expect([source.size, String.fromCharCode(...(await readBytes(source, 3, 4)))]).toEqual([10, '3456']);
    await source.close!();
    await source.close!(); // twice is once
  });

  test('refuses a file that grows or shrinks meanwhile, or that is asked for more than it has', async () => {
    for (const change of [(path: string) => appendFileSync(path, 'x'), (path: string) => truncateSync(path, 4)]) {
      writeFileSync(folder.in('b'), '0123456789');
      const source = await fileSource(folder.in('b'));
      change(folder.in('b'));
      await expect(readBytes(source, 0, 8)).rejects.toThrow(
        /b changed while it was read: it had 10 bytes, now (11|4)\./,
      );
      await source.close!();
    }
    const source = await fileSource(folder.in('a'));
    await expect(readBytes(source, 8, 8)).rejects.toThrow('a ends at byte 10, but bytes up to 16 were wanted');
    await source.close!();
  });

  test.each(['/dev/zero', '/proc/self/root', '/tmp'])('refuses %s', async (path) => {
    await expect(fileSource(path)).rejects.toThrow(/expected a file/);
  });
});

test('diskFolder knows absent from unreadable', async () => {
  mkdirSync(folder.in('inside'));
  const disk = diskFolder(folder.path);
  expect(await disk.open('gone')).toBeUndefined();
  expect(await disk.open('a/below')).toBeUndefined();
  await expect(disk.open('inside')).rejects.toThrow('inside is a folder; expected a file');
});
