import {
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DiskError } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { atomicWriter, diskError, recoverCompanion, writeFileAtomic } from '../../packages/cli/src/atomic-file.js';
import { removeOrphans, temporaryNames } from '../../packages/cli/src/temporary.js';
import { ofDeadProcess } from '../support/disk.js';

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
    expect(names()).toEqual([expect.stringMatching(/^\.a\.[0-9a-f]{8}-\d+-\d+-[0-9a-f]{6}\.soup-tmp$/), 'a']);
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

  it.each(['path', 'link', 'hard link'])('replaces what is being read from, by its %s', async (how) => {
    writeFileSync(path('a'), 'old');
    if (how === 'link') symlinkSync('a', path('b'));
    if (how === 'hard link') linkSync(path('a'), path('b'));
    const target = path(how === 'path' ? 'a' : 'b');
    const writer = await atomicWriter(target);
    await writer.write(Buffer.from('new '));
    await writer.write(readFileSync(path('a')));
    await writer.commit();
    expect(readFileSync(target, 'utf8')).toBe('new old');
    expect(readFileSync(path('a'), 'utf8')).toBe(how === 'path' ? 'new old' : 'old');
    expect(names()).toEqual(how === 'path' ? ['a'] : ['a', 'b']);
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
    ['EFBIG', 'no file of that size'],
    ['EXDEV', 'choose another name'],
  ])('explains %s', (code, words) => {
    const cause = Object.assign(new Error('words of the system'), { code });
    expect(diskError('/x\x1b[31m', cause).message).toContain(words);
    expect(diskError('/x\x1b[31m', cause).message).toContain('cannot write /x:');
    expect(diskError('/x', cause, 'read').message).not.toContain('you may not write');
  });
});

describe('a companion', () => {
  const written = async (content: string) => {
    const writer = await atomicWriter(path('a'));
    await writer.write(Buffer.from(content));
    return writer;
  };
  const both = () => [readFileSync(path('a'), 'utf8'), readFileSync(path('a.json'), 'utf8')];

  it('appears with its file', async () => {
    for (const word of ['one', 'two']) {
      const writer = await written(word);
      await writer.commit({ path: path('a.json'), content: `about ${word}` });
      expect([both(), names()]).toEqual([
        [word, `about ${word}`],
        ['a', 'a.json'],
      ]);
    }
  });

  it('that cannot be written leaves both as they were', async () => {
    mkdirSync(path('a.json'));
    writeFileSync(path('a'), 'old');
    const writer = await written('new');
    const error = await failure(writer.commit({ path: path('a.json'), content: '' }));
    expect(error.message).toBe(`cannot write ${path('a.json')}: that is a folder: give the name of a file`);
    expect([readFileSync(path('a'), 'utf8'), names()]).toEqual(['old', ['a', 'a.json']]);
  });

  it('is put in place if its file was, by a process that was killed then', async () => {
    const { tmp, ledger } = ofDeadProcess(temporaryNames(path('a')));
    writeFileSync(path('a'), 'new');
    writeFileSync(path('a.json'), 'about old');
    writeFileSync(ledger, 'about new');
    writeFileSync(ofDeadProcess(temporaryNames(path('b'))).ledger, 'about b');
    expect(await removeOrphans(folder)).toEqual([]);
    recoverCompanion(path('a'), path('a.json'));
    expect(both()).toEqual(['new', 'about new']);

    writeFileSync(ledger, 'about old');
    await (await written('newest')).commit({ path: path('a.json'), content: 'about newest' });
    recoverCompanion(path('a'), path('a.json'));
    expect(both()).toEqual(['newest', 'about newest']);

    writeFileSync(ledger, 'about newer');
    writeFileSync(tmp, 'newer');
    recoverCompanion(path('a'), path('a.json'));
    expect(both()).toEqual(['newest', 'about newest']);
    expect(await removeOrphans(folder, { target: path('a') })).toEqual([tmp]);
    expect(names()).toEqual([expect.stringMatching(/^\.b/), 'a', 'a.json']);
  });
});

describe('removeOrphans', () => {
  const name = (target: string, owner: Parameters<typeof ofDeadProcess>[1]) =>
    ofDeadProcess(temporaryNames(path(target)), owner).tmp;
  const plant = (...paths: string[]) => {
    for (const one of paths) writeFileSync(one, '');
  };

  it('removes what dead processes left, of one target or of all, and nothing else', async () => {
    const [a, b, reused] = [name('a', 'dead'), name('b', 'dead'), name('a', 'reused')];
    const others = [name('a', 'parent'), temporaryNames(path('a')).tmp, path('a'), path('.b.0-0-0-0.soup-tmp')];
    plant(a, b, reused, ...others);
    expect((await removeOrphans(folder, { target: path('a') })).sort()).toEqual([a, reused].sort());
    expect(await removeOrphans(folder)).toEqual([b]);
    expect(names()).toEqual(others.map((one) => one.slice(folder.length + 1)).sort());
  });

  it('removes what another machine left only after a day', async () => {
    const [young, old] = [name('a', 'elsewhere'), name('b', 'elsewhere')];
    plant(young, old);
    utimesSync(old, 1, 1);
    expect(await removeOrphans(folder)).toEqual([old]);
    expect(await removeOrphans(folder, { olderThanMs: -1000 })).toEqual([young]);
  });

  it('does nothing in a folder that is not there', async () => {
    expect(await removeOrphans(path('none'))).toEqual([]);
  });
});
