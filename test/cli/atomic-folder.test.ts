import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CancelledError, DiskError } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type FolderFile, recoverFolder, writeFolderAtomic } from '../../packages/cli/src/atomic-folder.js';
import { removeOrphans, temporaryNames } from '../../packages/cli/src/temporary.js';
import { filesBelow, ofDeadProcess } from '../support/disk.js';

let folder = '';
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'soup-folder-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string) => join(folder, name);
const names = () => readdirSync(folder).sort();

const { signal } = new AbortController();
const text = (path: string, content: string): FolderFile => ({
  path,
  async *content() {
    for (const piece of content.match(/.{1,3}/gs) ?? []) yield new TextEncoder().encode(piece);
  },
});
const write = (target: string, word: string) =>
  writeFolderAtomic(target, [text('index.json', word), text('unet/deep/weights', `${word} weights`)], { signal });
const model = (word: string) => ({ 'index.json': word, 'unet/deep/weights': `${word} weights` });

/** A folder as a write would have left it that was killed. */
function plant(at: string, word: string): void {
  for (const [inner, content] of Object.entries(model(word))) {
    mkdirSync(join(at, inner, '..'), { recursive: true });
    writeFileSync(join(at, inner), content);
  }
}

describe('writeFolderAtomic', () => {
  it('writes files of any depth, and says what it wrote', async () => {
    const progress: number[] = [];
    const { files } = await writeFolderAtomic(path('a'), [text('x', 'abcde'), text('b/c/y', '')], {
      signal,
      onProgress: (bytes) => progress.push(bytes),
    });
    expect(filesBelow(path('a'))).toEqual({ x: 'abcde', 'b/c/y': '' });
    expect(files.map(({ path, bytes, sha256 }) => [path, bytes, sha256.slice(0, 8)])).toEqual([
      ['x', 5, '36bbe50e'],
      ['b/c/y', 0, 'e3b0c442'],
    ]);
    expect(progress).toEqual([3, 5]);
    expect(names()).toEqual(['a']);
  });

  it('replaces a folder with all that was in it, an empty one too', async () => {
    mkdirSync(path('a'));
    await write(path('a'), 'one');
    writeFileSync(path('a/more'), '');
    await write(path('a'), 'two');
    expect(filesBelow(path('a'))).toEqual(model('two'));
    expect(names()).toEqual(['a']);
  });

  it('leaves a link to a folder one, and writes beside what it means', async () => {
    mkdirSync(path('disk'));
    await write(path('disk/a'), 'one');
    symlinkSync('disk/a', path('link'));
    symlinkSync('disk/none', path('nowhere'));
    await write(path('link'), 'two');
    await write(path('nowhere'), 'three');
    expect(lstatSync(path('link')).isSymbolicLink()).toBe(true);
    expect(filesBelow(path('disk'))).toEqual(
      Object.fromEntries(
        [['a', 'two'] as const, ['none', 'three'] as const].flatMap(([at, word]) =>
          Object.entries(model(word)).map(([inner, content]) => [`${at}/${inner}`, content]),
        ),
      ),
    );
  });

  it('reads what it replaces while it writes', async () => {
    await write(path('a'), 'one');
    const copy: FolderFile = {
      path: 'index.json',
      async *content() {
        yield readFileSync(path('a/index.json'));
      },
    };
    await writeFolderAtomic(path('a'), [copy], { signal });
    expect(filesBelow(path('a'))).toEqual({ 'index.json': 'one' });
  });

  it('leaves the old one when content fails, or it is stopped, between the last byte and the end as well', async () => {
    await write(path('a'), 'one');
    const failing = { path: 'x', content: () => text('', 'abc').content([]) };
    const bad: FolderFile = {
      path: 'y',
      async *content() {
        yield new Uint8Array(10);
        throw new Error('lost the GPU');
      },
    };
    await expect(writeFolderAtomic(path('a'), [failing, bad], { signal })).rejects.toThrow('lost the GPU');
    const stop = new AbortController();
    const last: FolderFile = {
      path: 'y',
      async *content() {
        yield new Uint8Array(10);
        stop.abort('SIGINT');
      },
    };
    await expect(writeFolderAtomic(path('a'), [last], { signal: stop.signal })).rejects.toThrow(CancelledError);
    expect(filesBelow(path('a'))).toEqual(model('one'));
    expect(names()).toEqual(['a']);
  });

  it('lets the last of several writers win, whole', async () => {
    await write(path('a'), 'none');
    const words = ['one', 'two', 'six', 'ten'];
    await Promise.all(words.map((word) => write(path('a'), word)));
    expect(words.map(model)).toContainEqual(filesBelow(path('a')));
    expect(names()).toEqual(['a']);
  });

  it('refuses a file in the place of the folder', async () => {
    writeFileSync(path('a'), 'old');
    const error = await write(path('a'), 'one').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(DiskError);
    expect((error as DiskError).message).toContain(`cannot write ${path('a')}: part of that path is a file`);
    expect([names(), readFileSync(path('a'), 'utf8')]).toEqual([['a'], 'old']);
  });

  it('has room for names of full length', async () => {
    const long = 'ü'.repeat(127);
    await write(path(long), 'one');
    await write(path(long), 'two');
    expect(filesBelow(path(long))).toEqual(model('two'));
    expect(names()).toEqual([long]);
  });
});

describe('recoverFolder', () => {
  /** Where a dead process left its work, for a target. */
  const dead = (target: string) => ofDeadProcess(temporaryNames(path(target)));

  it('does nothing where nothing is, or all is well', async () => {
    expect([recoverFolder(path('a')), recoverFolder(path('none/a'))]).toEqual([false, false]);
    await write(path('a'), 'one');
    plant(dead('a').old, 'older');
    expect(recoverFolder(path('a'))).toBe(true);
    expect(filesBelow(path('a'))).toEqual(model('one'));
  });

  it('puts the new one in place, which is complete once the old one is out', async () => {
    const { tmp, old } = dead('a');
    plant(old, 'old');
    plant(tmp, 'new');
    expect(recoverFolder(path('a'))).toBe(true);
    expect(filesBelow(path('a'))).toEqual(model('new'));
    expect(await removeOrphans(folder)).toEqual([old]);
    expect(names()).toEqual(['a']);
  });

  it('puts the old one back when it is all there is, and never what is half-written', async () => {
    plant(dead('a').tmp, 'half');
    expect(recoverFolder(path('a'))).toBe(false);
    plant(dead('a').old, 'old');
    expect(recoverFolder(path('a'))).toBe(true);
    expect(filesBelow(path('a'))).toEqual(model('old'));
    expect(await removeOrphans(folder)).toHaveLength(1);
    expect(names()).toEqual(['a']);
  });

  it('is done by the next write, through links', async () => {
    plant(dead('a').old, 'old');
    symlinkSync('a', path('link'));
    expect(recoverFolder(path('link'))).toBe(true);
    renameSync(path('a'), dead('a').old);
    await write(path('link'), 'new');
    expect(filesBelow(path('a'))).toEqual(model('new'));
    expect(names()).toEqual(['a', 'link']);
  });

  it('knows models by their full names', () => {
    const long = 'x'.repeat(200);
    plant(dead(`${long}1`).old, 'one');
    plant(dead('a').old, 'a');
    expect([`${long}2`, 'b', 'a.b'].map((name) => recoverFolder(path(name)))).toEqual([false, false, false]);
    expect(recoverFolder(path(`${long}1`))).toBe(true);
  });

  it('waits for a living process, and does its work if it does not come back', () => {
    const { old, tmp } = ofDeadProcess(temporaryNames(path('a')), 'parent');
    plant(old, 'old');
    plant(tmp, 'new');
    const begun = Date.now();
    expect(recoverFolder(path('a'))).toBe(true);
    expect(Date.now() - begun).toBeGreaterThan(1000);
    expect(filesBelow(path('a'))).toEqual(model('new'));
  });
});

describe('removeOrphans', () => {
  it('keeps what is needed to recover, what living processes write, and what is no temporary', async () => {
    const kept = [
      temporaryNames(path('a')).tmp, // ours
      ofDeadProcess(temporaryNames(path('a')), 'parent').tmp,
      ofDeadProcess(temporaryNames(path('a')), 'elsewhere').tmp,
      ofDeadProcess(temporaryNames(path('gone'))).old,
      path('.a.soup-tmp'),
      path('.a.old'),
    ];
    const both = ofDeadProcess(temporaryNames(path('both')));
    kept.push(both.old, both.tmp);
    const gone = [ofDeadProcess(temporaryNames(path('a'))).tmp, ofDeadProcess(temporaryNames(path('b'))).tmp];
    for (const one of [...kept, ...gone]) plant(one, 'x');
    expect((await removeOrphans(folder, { target: path('b') })).sort()).toEqual(gone.slice(1));
    expect((await removeOrphans(folder)).sort()).toEqual(gone.slice(0, 1));
    expect(names()).toEqual(kept.map((one) => one.slice(folder.length + 1)).sort());
  });
});
