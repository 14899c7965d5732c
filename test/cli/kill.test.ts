/** Processes that are killed in the middle of writing: what the next command finds is old or new, and whole. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { recoverCompanion } from '../../packages/cli/src/atomic-file.js';
import { recoverFolder } from '../../packages/cli/src/atomic-folder.js';
import { removeOrphans } from '../../packages/cli/src/temporary.js';
import { bundle, support } from '../support/bundle.ts';
import { buildCli, copyModel, MAIN, scratch, soup } from '../support/cli.ts';
import { filesBelow, plantTinyModel } from '../support/disk.js';
import { modelFiles } from '../support/versions.mjs';

vi.setConfig({ testTimeout: 900_000 });

const PRELOAD = ['--import', support('faulty-fs.mjs')];

const folder = scratch();
const PANTRY = folder.in('pantry');
let writerProgram = '';
beforeAll(async () => {
  buildCli();
  // Of core it needs the errors, and starts four times as fast without the rest.
  const alias = {
    '@diffusion-soup/core': fileURLToPath(new URL('../../packages/core/src/errors.ts', import.meta.url)),
  };
  writerProgram = (await bundle(folder.in('app'), { writer: support('writer.mjs') }, alias))('writer');
});
afterAll(() => folder.remove());

interface Start {
  readonly args: readonly string[];
  /** Kill it at this call to the file system below `below`. */
  readonly at?: number;
  readonly below?: string;
  readonly log?: string;
}

function start({ args, at, below, log }: Start): ChildProcess {
  const faults = { folder: below, what: 'kill', ...(at !== undefined && { at }), ...(log && { log }) };
  const env = {
    ...process.env,
    XDG_CACHE_HOME: folder.in('cache'),
    SOUP_PANTRY: PANTRY,
    SOUP_FAULTS: below === undefined ? '' : JSON.stringify(faults),
  };
  return spawn(process.execPath, [...PRELOAD, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** True if it was killed, false if it had ended before. */
async function ended(child: ChildProcess): Promise<boolean> {
  let said = '';
  child.stderr!.on('data', (text) => (said += text));
  const [code, signal] = await once(child, 'exit');
  if (signal !== 'SIGKILL') expect([code, signal], said).toEqual([0, null]);
  return signal === 'SIGKILL';
}

/** Two at a time, as there are cores. */
async function each(points: readonly number[], work: (point: number) => Promise<void>): Promise<void> {
  const waiting = [...points];
  const lane = async () => {
    for (let point = waiting.shift(); point !== undefined; point = waiting.shift()) await work(point);
  };
  await Promise.all([lane(), lane()]);
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i);

interface Kind {
  readonly name: 'folder' | 'file';
  readonly recover: (target: string) => unknown;
}
const KINDS: Kind[] = [
  { name: 'folder', recover: recoverFolder },
  { name: 'file', recover: (target) => recoverCompanion(target, `${target}.json`) },
];

describe.each(KINDS)('a $name', ({ name, recover }) => {
  const plant = (parent: string, version: number): string => {
    mkdirSync(parent);
    const target = join(parent, 'model');
    const { weights, ledger, ...files } = modelFiles(name, version);
    if (weights !== undefined) {
      writeFileSync(target, weights);
      writeFileSync(`${target}.json`, ledger!);
    }
    for (const [path, content] of Object.entries(files)) {
      mkdirSync(dirname(join(target, path)), { recursive: true });
      writeFileSync(join(target, path), content);
    }
    return target;
  };
  /** The version that the next command finds; nothing else may lie there. */
  const versionAfter = async (target: string): Promise<number> => {
    recover(target);
    await removeOrphans(dirname(target));
    const found = filesBelow(dirname(target));
    const version = Number(/of version (\d+)/.exec(Object.values(found)[0] ?? '')?.[1]);
    const files = Object.entries(modelFiles(name, version));
    const path = { weights: 'model', ledger: 'model.json' } as Record<string, string>;
    expect(found).toEqual(Object.fromEntries(files.map(([at, content]) => [path[at] ?? `model/${at}`, content])));
    return version;
  };
  const writer = (target: string, ...more: string[]) => [writerProgram, name, target, ...more];

  test('is old or new wherever its writer is killed', async () => {
    const log = folder.in(`${name}.log`);
    const whole = plant(folder.in(`${name}-whole`), 1);
    expect(await ended(start({ args: writer(whole, '2'), below: dirname(whole), log }))).toBe(false);
    expect(await versionAfter(whole)).toBe(2);
    const calls = readFileSync(log, 'utf8').trim().split('\n');

    const found = new Set<number>();
    await each(upTo(calls.length), async (at) => {
      const target = plant(folder.in(`${name}-${at}`), 1);
      expect(await ended(start({ args: writer(target, '2'), at, below: dirname(target) })), calls[at]).toBe(true);
      found.add(await versionAfter(target));
    });
    expect([...found].sort()).toEqual([1, 2]);
  });

  test('is one of many versions, whenever their writer is killed', async () => {
    await each(upTo(70), async (point) => {
      const target = plant(folder.in(`${name}-at-any-time-${point}`), 1);
      const child = start({ args: writer(target, '2', 'forever') });
      await once(child.stdout!, 'data');
      await sleep(Math.random() * 150);
      child.kill('SIGKILL');
      expect(await ended(child)).toBe(true);
      expect(await versionAfter(target)).toBeGreaterThan(0);
    });
  });
});

describe('soup', () => {
  beforeAll(async () => {
    for (const [i, name] of ['a', 'b', 'c'].entries()) plantTinyModel(join(PANTRY, name), i + 1);
    const env = { XDG_CACHE_HOME: folder.in('cache'), SOUP_PANTRY: PANTRY };
    expect((await soup(['merge', 'a', 'b', '-o', folder.in('ab')], { env })).code).toBe(0);
  });

  const argsOf = {
    merge: (target: string) => ['merge', 'a', 'c', '-o', target, '--force', '-q', '--no-check'],
    add: (target: string) => ['add', target, 'c', '-q'],
  };

  /** Each takes a second and more, so not every point is tried, but the last ones. */
  test.each([
    ['merge', 20],
    ['add', 10],
  ] as const)('%s leaves an old soup with its ledger, or a new one', async (command, most) => {
    const prepared = (point: number | string) => {
      const below = folder.in(`${command}-${point}`);
      const target = join(below, 'model');
      mkdirSync(below);
      copyModel(folder.in('ab'), target);
      return { target, below, args: [MAIN, ...argsOf[command](target)] };
    };
    const log = folder.in(`${command}.log`);
    const clean = prepared('clean');
    expect(await ended(start({ ...clean, log }))).toBe(false);
    const [old, whole] = [folder.in('ab'), clean.target].map(filesBelow);
    const calls = readFileSync(log, 'utf8').trim().split('\n');
    const begin = calls.findIndex((call) => call.includes('soup-tmp'));
    const points = upTo(calls.length).slice(begin);
    const step = Math.ceil(points.length / most);

    const found: unknown[] = [];
    const some = points.filter((n) => (calls.length - 1 - n) % step === 0);
    await each(some, async (at) => {
      const { target, below, args } = prepared(at);
      expect(await ended(start({ args, below, at })), calls[at]).toBe(true);
      // One that only looks.
      const { code, stderr } = await soup(['inspect', target, '--json']);
      expect([code, stderr], calls[at]).toEqual([0, '']);
      found.push(filesBelow(target));
      expect([old, whole], calls[at]).toContainEqual(found.at(-1));
      await removeOrphans(below);
      expect(readdirSync(below), calls[at]).toEqual(['model']);
    });
    expect(found).toEqual(expect.arrayContaining([old, whole]));
  });
});
