/** The n-th call to the file system fails, for every n: all is said, nothing is lost, and nothing is left behind. */
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { DiskError } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { atomicWriter, recoverCompanion, writeFileAtomic } from '../../packages/cli/src/atomic-file.js';
import { recoverFolder, writeFolderAtomic } from '../../packages/cli/src/atomic-folder.js';
import { removeOrphans, temporaryNames } from '../../packages/cli/src/temporary.js';
import { asOfDeadProcess, filesBelow } from '../support/disk.js';
import { breakFileSystem, type Faults } from '../support/faulty-fs.mjs';

const CODES = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE', 'EXDEV', 'EDQUOT', 'EROFS'];

let folder = '';
beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'soup-faults-')));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const { signal } = new AbortController();

interface Case {
  /** Puts the old state below the folder. */
  readonly before: () => void;
  readonly work: () => Promise<unknown>;
  /** What the next command does. */
  readonly next?: () => void;
}

const at = (name: string) => join(folder, name);
const plant = (name: string, content: string) => {
  mkdirSync(join(at(name), '..'), { recursive: true });
  writeFileSync(at(name), content);
};
const NEW = ['new ', 'content'];

const writing = {
  'a file': { before: () => {}, work: () => writeFileAtomic(at('a'), NEW.join('')) },
  'a file in the place of another': {
    before: () => plant('a', 'old'),
    work: () => writeFileAtomic(at('a'), NEW.join('')),
  },
  'a file and its ledger': {
    before() {
      plant('a', 'old');
      plant('a.json', 'about old');
    },
    async work() {
      const writer = await atomicWriter(at('a'));
      for (const piece of NEW) await writer.write(Buffer.from(piece));
      await writer.commit({ path: at('a.json'), content: 'about new' });
    },
    next: () => recoverCompanion(at('a'), at('a.json')),
  },
  'a folder': { before: () => {}, work: writeModel, next: () => recoverFolder(at('a')) },
  'a folder in the place of another': {
    before() {
      plant('a/index', 'old');
      plant('a/unet/old', 'old weights');
    },
    work: writeModel,
    next: () => recoverFolder(at('a')),
  },
  'a folder that was left half-way': {
    before() {
      plant('a/index', 'old');
      plant('a/unet/old', 'old weights');
      renameSync(at('a'), asOfDeadProcess(temporaryNames(at('a')).old));
    },
    work: writeModel,
    next: () => recoverFolder(at('a')),
  },
} satisfies Record<string, Case>;

function writeModel() {
  async function* content() {
    for (const piece of NEW) yield Buffer.from(piece);
  }
  const files = ['index', 'unet/weights', 'vae/deep/weights'].map((path) => ({ path, content }));
  return writeFolderAtomic(at('a'), files, { signal });
}

/** What a crash of the machine could lose: contents and names that were not synchronised yet. */
function unsynchronised(calls: readonly string[]): string[] {
  const lost = new Set<string>();
  for (const call of calls.slice(
    0,
    calls.findIndex((one) => one.startsWith('rename ')),
  )) {
    const [, doing, path] = /^(\w+(?: w)?) (\/.*)$/.exec(call) ?? [];
    if (doing === 'write') lost.add(`the content of ${path}`);
    if (doing === 'open w' || doing === 'mkdir') lost.add(`the names in ${dirname(path!)}`);
    if (doing === 'sync') for (const what of ['content of', 'names in']) lost.delete(`the ${what} ${path}`);
  }
  return [...lost];
}

const visible = () => Object.fromEntries(Object.entries(filesBelow(folder)).filter(([path]) => !path.startsWith('.')));
const hidden = () => readdirSync(folder).filter((name) => name.startsWith('.'));
const reset = () => {
  for (const name of readdirSync(folder)) rmSync(at(name), { recursive: true });
};

/** One run with faults. Undefined when it says that all is well. */
async function attempt({ before, work }: Case, faults: Omit<Faults, 'folder'>) {
  reset();
  before();
  const broken = await breakFileSystem({ folder, ...faults });
  const error = await work().then(
    () => undefined,
    (reason: unknown) => reason,
  );
  broken.repair();
  return { error, calls: broken.calls };
}

/** What the next command would find: by then, this process has ended. */
async function later({ next }: Case): Promise<void> {
  for (const name of hidden()) renameSync(at(name), asOfDeadProcess(at(name)));
  next?.();
  await removeOrphans(folder);
}

describe.each(Object.entries<Case>(writing))('%s', (_, one) => {
  test('is written whole without faults, and when every write is short', async () => {
    one.before();
    await later(one);
    const { calls } = await attempt(one, {});
    const whole = visible();
    expect(calls.length).toBeGreaterThan(5);
    for (const [n, call] of calls.entries()) {
      if (!call.startsWith('write ')) continue;
      expect((await attempt(one, { at: n, what: 'short', forGood: n % 2 === 0 })).error).toBeUndefined();
      expect([visible(), hidden()]).toEqual([whole, []]);
    }
  });

  test('is on the disk before it gets its name', async () => {
    reset();
    one.before();
    await later(one);
    const { calls } = await attempt({ ...one, before: () => {} }, {});
    // A file's own name comes with the rename.
    const end = calls.findLastIndex((call) => /^rename .*soup-tmp -> .*\/a$/.test(call));
    expect(end).toBeGreaterThan(0);
    expect(unsynchronised(calls.slice(0, end)).filter((what) => what !== `the names in ${folder}`)).toEqual([]);
    expect(calls.slice(end)).toContain(`sync ${folder}`);
  });

  test.each([false, true])(
    'is there whole or not at all; every call after the failing one fails as well: %s',
    async (forGood) => {
      reset();
      one.before();
      await later(one);
      const old = visible();
      const { calls } = await attempt(one, {});
      const whole = visible();

      for (let n = 0; n < calls.length; n++) {
        const code = CODES[n % CODES.length]!;
        const { error } = await attempt(one, { at: n, code, forGood });
        const where = `${code} at ${n} of ${calls.length}, ${calls[n]}`;
        if (error === undefined) expect(visible(), where).toEqual(whole);
        else {
          expect(error, where).toBeInstanceOf(DiskError);
          const { message, facts } = error as DiskError;
          expect(message, where).toMatch(/^[^\n]*soup-faults-[^\n]*: [^\n]+$/);
          expect(message, where).not.toContain('injected');
          expect(message, where).not.toMatch(/soup-tmp: /);
          if (!facts.isWritten && !('a/index' in visible())) await later(one);
          if (!forGood && !facts.isWritten) expect(visible(), where).toEqual(old);
        }
        // A failing call to tidy up leaves something; the next command finds it.
        if (!forGood && !/^(rm|rename|readdir|lstat|open r|sync) /.test(calls[n]!)) expect(hidden(), where).toEqual([]);
        await later(one);
        expect([old, whole], where).toContainEqual(visible());
        expect(hidden(), where).toEqual([]);
      }
    },
  );
});
