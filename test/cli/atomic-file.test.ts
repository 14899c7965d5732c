import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskError } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atomicWriter, diskError, removeOrphans, writeFileAtomic } from '../../packages/cli/src/atomic-file.js';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'soup-atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);
const names = () => readdirSync(folder).sort();

async function failure(work: Promise<unknown>): Promise<DiskError> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(DiskError);
  return error as DiskError;
}

describe('atomicWriter', () => {
  it('shows nothing under the name before commit', async () => {
    writeFileSync(path('a'), 'old');
    const writer = await atomicWriter(path('a'));
    await writer.write(Buffer.from('new '));
    await writer.write(Buffer.alloc(3 << 20, 120));
    expect(readFileSync(path('a'), 'utf8')).toBe('old');
    expect(names()).toEqual(['a', expect.stringMatching(/^a\.[0-9a-f]{12}\.soup-tmp$/)]);
    await writer.commit();
    expect(names()).toEqual(['a']);
    expect(readFileSync(path('a')).length).toBe(4 + (3 << 20));
    await writer.abort();
    expect(names()).toEqual(['a']);
  });

  it('leaves no trace after abort, and takes nothing more', async () => {
    const writer = await atomicWriter(path('a'));
    await writer.write(Buffer.from('x'));
    await writer.abort();
    await writer.abort();
    expect(names()).toEqual([]);
    expect((await failure(writer.write(Buffer.from('x')))).message).toContain('already closed');
    await failure(writer.commit());
  });

  it('lets the last of two writers win, whole', async () => {
    const [one, two] = [await atomicWriter(path('a')), await atomicWriter(path('a'))];
    await Promise.all([one.write(Buffer.from('one')), two.write(Buffer.from('two!'))]);
    await two.commit();
    await one.commit();
    expect(readFileSync(path('a'), 'utf8')).toBe('one');
    expect(names()).toEqual(['a']);
  });

  it('removes its file when commit fails', async () => {
    const writer = await atomicWriter(path('a'));
    mkdirSync(path('a'));
    writeFileSync(path('a/occupied'), '');
    expect((await failure(writer.commit())).message).toContain('folder');
    expect(names()).toEqual(['a']);
  });
});

describe('errors', () => {
  it('says what to do about a folder in the place of the file', async () => {
    mkdirSync(path('a'));
    const error = await failure(writeFileAtomic(path('a'), 'x'));
    expect(error.message).toBe(`cannot write ${path('a')}: that is a folder: give the name of a file`);
    expect(error).toMatchObject({ exitCode: 8, facts: { path: path('a'), code: 'EISDIR' } });
    expect(names()).toEqual(['a']);
  });

  it('says what to do about a folder that is missing or a file', async () => {
    writeFileSync(path('file'), '');
    expect((await failure(writeFileAtomic(path('none/a'), 'x'))).message).toContain('does not exist');
    expect((await failure(writeFileAtomic(path('file/a'), 'x'))).message).toContain('is a file');
  });

  it('says what to do about a name that is too long', async () => {
    expect((await failure(writeFileAtomic(path('x'.repeat(300)), 'x'))).message).toContain('too long');
    await writeFileAtomic(path('x'.repeat(255)), 'x');
  });

  it.each([
    ['ENOSPC', 'full'],
    ['EROFS', 'read-only'],
    ['EACCES', 'may not write'],
    ['EWHATEVER', 'words of the system'],
  ])('explains %s', (code, words) => {
    const cause = Object.assign(new Error('words of the system'), { code });
    expect(diskError('/x\x1b[31m', cause).message).toContain(words);
    expect(diskError('/x\x1b[31m', cause).message).toContain('cannot write /x:');
  });
});

describe('removeOrphans', () => {
  it('removes old leftovers of one target, or of all, and nothing else', async () => {
    const old = ['a.0123456789ab.soup-tmp', 'b.0123456789ab.soup-tmp', 'c.soup-tmp', 'a'];
    for (const name of old) {
      writeFileSync(path(name), '');
      utimesSync(path(name), 1, 1);
    }
    writeFileSync(path('a.aaaaaaaaaaaa.soup-tmp'), '');
    expect(await removeOrphans(folder, { target: path('a') })).toEqual([path('a.0123456789ab.soup-tmp')]);
    expect(await removeOrphans(folder)).toEqual([path('b.0123456789ab.soup-tmp')]);
    expect(names()).toEqual(['a', 'a.aaaaaaaaaaaa.soup-tmp', 'c.soup-tmp']);
  });

  it('says which folder it cannot read', async () => {
    expect((await failure(removeOrphans(path('none')))).message).toContain('cannot read');
  });
});
