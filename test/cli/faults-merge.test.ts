/** `soup merge` on a disk that fails: what is said, and what is there afterwards. */
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { afterAll, describe, expect, test } from 'vitest';
import { removeOrphans } from '../../packages/cli/src/temporary.js';
import { type Result, scratch, soup } from '../support/cli.ts';
import { asOfDeadProcess, filesBelow, plantTinyModel } from '../support/disk.js';
import { breakFileSystem, type Faults } from '../support/faulty-fs.mjs';

const CODES = ['ENOSPC', 'EIO', 'EACCES', 'EMFILE', 'EXDEV', 'EDQUOT'];

const folder = scratch();
afterAll(() => folder.remove());
for (const [i, name] of ['a', 'b', 'old'].entries()) plantTinyModel(folder.in(name), i + 1);

const visible = () =>
  Object.fromEntries(Object.entries(filesBelow(folder.in('to'))).filter(([path]) => !path.startsWith('.')));
const leftovers = () => readdirSync(folder.in('to')).filter((name) => name.startsWith('.'));

async function merge(): Promise<Result> {
  const env = { XDG_CACHE_HOME: folder.in('cache') };
  return soup(['merge', folder.in('a'), folder.in('b'), '-o', folder.in('to/out'), '--force'], { env });
}

async function mergeWith(faults: Omit<Faults, 'folder'>): Promise<Result & { calls: string[] }> {
  rmSync(folder.in('to'), { recursive: true, force: true });
  rmSync(folder.in('cache'), { recursive: true, force: true });
  mkdirSync(folder.in('to'));
  plantTinyModel(folder.in('to/out'), 3);
  const { calls, repair } = await breakFileSystem({ folder: folder.path, ...faults });
  return { ...(await merge().finally(repair)), calls };
}

async function nextCommand(): Promise<void> {
  for (const name of leftovers()) renameSync(folder.in(`to/${name}`), asOfDeadProcess(folder.in(`to/${name}`)));
  await removeOrphans(folder.in('to'));
}

describe('every call to the file system fails once', async () => {
  const clean = await mergeWith({});
  const whole = visible();
  await mergeWith({ at: 0, code: 'EIO' });
  const old = visible();
  const begin = clean.calls.findIndex((call) => call.includes('.out.'));
  const all = [...clean.calls.keys()];

  test.each([
    ['while reading', all.slice(0, begin).filter((n) => n % 3 === 0), false],
    ['while writing', all.slice(begin), false],
    ['while writing, and all that follow fail too', all.slice(begin).filter((n) => n % 2 === 0), true],
  ])('%s', async (_, points, forGood) => {
    expect([clean.code, points.length > 15]).toEqual([0, true]);
    for (const n of points) {
      const code = CODES[n % CODES.length]!;
      const { code: exit, stderr } = await mergeWith({ at: n, code, forGood });
      const where = `${code} at ${n}, ${clean.calls[n]}\n${stderr}`;
      expect(stderr, where).not.toMatch(/^\s+at |internal error|injected|undefined/m);
      if (exit === 0) expect(visible(), where).toEqual(whole);
      else {
        expect(exit, where).toBe(8);
        const said = stderr.split('\n').filter((line) => /^soup: (?!warning)/.test(line));
        expect(said, where).toEqual([expect.stringMatching(/soup-cli-.*: .+/)]);
        if (!said[0]!.includes('is written, but')) expect(visible(), where).toEqual(old);
      }
      await nextCommand();
      expect([leftovers(), [old, whole]], where).toEqual([[], expect.arrayContaining([visible()])]);
    }
  });
});
