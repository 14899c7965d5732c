/** `soup pantry`: what is at hand, and whether it is still what it was. */
import {
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { isPantryName } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { hashModel } from '../../packages/cli/src/hash/model.ts';
import { locateInPantry } from '../../packages/cli/src/pantry/find.ts';
import { changeIndex } from '../../packages/cli/src/pantry/index-file.ts';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

let folder: ReturnType<typeof scratch>;
let env: Record<string, string>;
beforeEach(() => {
  folder = scratch();
  env = { SOUP_PANTRY: folder.in('pantry') };
});
afterEach(() => folder.remove());

const UNET = 'unet/diffusion_pytorch_model.safetensors';
const pantry = (...args: string[]) => soup(['pantry', ...args], { env });
const json = async (...args: string[]) => JSON.parse((await pantry(...args, '--json')).stdout);
const index = () => JSON.parse(readFileSync(folder.in('pantry/pantry.json'), 'utf8'));
const model = (name = 'noto'): string => {
  copyModel(`${PANTRY}/${name}`, folder.in(`models/${name}`));
  return folder.in(`models/${name}`);
};
const flip = (path: string): void => {
  const bytes = readFileSync(path);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(path, bytes);
};

describe('the pantry that is shipped', () => {
  test('needs no index, and is not written to', async () => {
    const before = readdirSync(PANTRY);
    const { code, stdout } = await soup(['pantry', 'list']);
    expect(code).toBe(0);
    const { root } = await hashModel(`${PANTRY}/ink`);
    const lines = stdout.split('\n').map((line) => line.split(/ {2,}/));
    expect(lines[0]).toEqual(['name', 'kind', 'parts', 'size', 'architecture', 'root']);
    expect(lines.find(([name]) => name === 'base')).toEqual(
      expect.arrayContaining(['folder', 'unet vae text_encoder tokenizer scheduler', '18.2 MiB']),
    );
    expect(lines.find(([name]) => name === 'ink')!.at(-1)).toBe(root.slice(0, 12));
    expect(lines.find(([name]) => name === 'ink')![4]).toMatch(/^UNet [\d-]+, 8 latents$/);
    expect(await soup(['pantry', 'check', 'ink', '--json'])).toMatchObject({ code: 0 });
    expect(readdirSync(PANTRY)).toEqual(before);
  });
});

describe('add', () => {
  test('by reference: outside absolute, inside relative', async () => {
    const path = model();
    const { root, bytes } = await hashModel(path);
    expect(await json('add', path, '--note', 'round\u001b[31m shapes')).toMatchObject({ name: 'noto', root, path });
    expect(index().models).toEqual([
      {
        ...{ name: 'noto', path, kind: 'folder', held: 'reference', root, bytes, note: 'round\u001b[31m shapes' },
        components: { unet: expect.objectContaining({ files: [expect.objectContaining({ path: UNET, bytes })] }) },
      },
    ]);
    copyModel(`${PANTRY}/ink`, folder.in('pantry/sets/ink'));
    await json('add', folder.in('pantry/sets/ink'), '--name', 'octopus');
    expect(index().models[1]).toMatchObject({ name: 'octopus', path: 'sets/ink' });

    const { stdout } = await pantry('list');
    expect(stdout).toMatch(/^noto +folder +unet +9.2 MiB/m);
    expect(stdout).toContain('noto: round shapes');
    renameSync(folder.in('pantry'), folder.in('moved'));
    expect((await soup(['pantry', 'check', '--pantry', folder.in('moved')])).code).toBe(0);
  });

  test('as a copy, which has the weights that count and the texts, and no more', async () => {
    const path = model();
    writeFileSync(`${path}/unet/diffusion_pytorch_model.bin`, 'pickled');
    writeFileSync(`${path}/LICENSE`, 'free');
    mkdirSync(`${path}/.git`);
    writeFileSync(`${path}/.git/config`, '');
    const real = `${path}/${UNET}`;
    renameSync(real, folder.in('blob'));
    symlinkSync(folder.in('blob'), real); // as Hugging Face's cache has it
    expect((await pantry('add', path, '--copy')).code).toBe(0);
    const copied = readdirSync(folder.in('pantry/noto'), { recursive: true }).sort();
    expect(copied).toEqual(['LICENSE', 'unet', 'unet/config.json', UNET]);
    expect(lstatSync(folder.in(`pantry/noto/${UNET}`)).isFile()).toBe(true);
    expect(index().models[0]).toMatchObject({ path: 'noto', held: 'copy' });
    expect(readdirSync(folder.in('pantry')).sort()).toEqual(['noto', 'pantry.json']);
    rmSync(path, { recursive: true });
    expect((await json('check')).models).toMatchObject([{ name: 'noto', verdict: 'ok' }]);
  });

  test('as a link', async () => {
    const path = model();
    expect((await pantry('add', path, '--link', '--name', 'n')).code).toBe(0);
    expect(lstatSync(folder.in('pantry/n')).isSymbolicLink()).toBe(true);
    expect((await json('list')).models).toMatchObject([{ name: 'n', held: 'link', indexed: true }]);
    expect((await pantry('remove', 'n')).code).toBe(0);
    expect(existsSync(folder.in('pantry/n'))).toBe(false);
    expect(existsSync(`${path}/${UNET}`)).toBe(true);
  });

  test('a single file', async () => {
    const path = `${model()}/${UNET}`;
    await json('add', path, '--copy', '--name', 'one');
    expect(index().models[0]).toMatchObject({ kind: 'file', path: 'one.safetensors' });
    expect(readFileSync(folder.in('pantry/one.safetensors')).equals(readFileSync(path))).toBe(true);
    expect((await json('check')).ok).toBe(true);
  });

  test('of the same weights under another name is said', async () => {
    await pantry('add', model());
    cpSync(folder.in('models/noto'), folder.in('models/same'), { recursive: true });
    const { code, stderr } = await pantry('add', folder.in('models/same'));
    expect(code).toBe(0);
    expect(stderr).toContain('same has the same weights as noto');
  });

  test.each<[string, () => string[], number, RegExp]>([
    ['what is not there', () => [folder.in('nowhere')], 3, /does not exist; give a model folder or a file/],
    ['a folder of something else', () => [folder.path], 3, /neither model_index.json nor/],
    ['a name that is taken', () => [model('ink'), '--name', 'noto'], 2, /the pantry has a model noto already/],
    ['a name that reads as a recipe', () => [model('ink'), '--name', 'a+b'], 2, /a\+b cannot be a name in the pantry/],
    ['a name that leads away', () => [model('ink'), '--name', '../x'], 2, /cannot be a name/],
    ['copy and link', () => [model('ink'), '--copy', '--link'], 2, /exclude each other/],
    ['a copy over a file', () => [model('ink'), '--copy', '--name', 'taken'], 2, /has a model taken already/],
    ['what lies there, as a copy', () => [folder.in('pantry/plain'), '--copy'], 2, /leave out --copy and --link/],
    [
      'what is damaged',
      () => {
        truncateSync(`${model('ink')}/${UNET}`, 1e6);
        return [folder.in('models/ink')];
      },
      3,
      /The file is incomplete/,
    ],
  ])('%s is refused', async (_, args, exitCode, message) => {
    await pantry('add', model());
    copyModel(`${PANTRY}/ink`, folder.in('pantry/plain'));
    writeFileSync(folder.in('pantry/taken'), '');
    const before = readFileSync(folder.in('pantry/pantry.json'), 'utf8');
    const { code, stderr } = await pantry('add', ...args());
    expect(stderr).toMatch(message);
    expect(code).toBe(exitCode);
    expect(readFileSync(folder.in('pantry/pantry.json'), 'utf8')).toBe(before);
    expect(readdirSync(folder.in('pantry')).sort()).toEqual(['pantry.json', 'plain', 'taken']);
  });

  test('a plain folder of the pantry can be put into the index', async () => {
    copyModel(`${PANTRY}/ink`, folder.in('pantry/ink'));
    expect((await json('check')).models).toMatchObject([{ name: 'ink', verdict: 'not indexed' }]);
    expect((await pantry('add', folder.in('pantry/ink'))).code).toBe(0);
    expect((await json('check')).models).toMatchObject([{ name: 'ink', verdict: 'ok' }]);
  });

  test('stopped half-way leaves nothing', async () => {
    const stop = new AbortController();
    const path = model();
    const { code } = await soup(['pantry', 'add', path, '--copy'], {
      env,
      stop,
      terminal: true,
      onStderr: () => stop.abort('SIGINT'),
    });
    expect(code).toBe(130);
    expect(existsSync(folder.in('pantry')) ? readdirSync(folder.in('pantry')) : []).toEqual([]);
  });

  test('of many at once loses none', async () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const entry = {
      path: '/x',
      kind: 'folder',
      held: 'reference',
      root: '0'.repeat(64),
      components: {},
      bytes: 0,
    } as const;
    await Promise.all(names.map((name) => changeIndex(env.SOUP_PANTRY!, (models) => [...models, { name, ...entry }])));
    expect(index().models.map(({ name }: { name: string }) => name)).toEqual(names);
    expect(readdirSync(env.SOUP_PANTRY!)).toEqual(['pantry.json']);
  });

  test('into a pantry that may not be written to', async () => {
    if (process.getuid?.() === 0) return; // root may write anywhere
    mkdirSync(folder.in('pantry'));
    chmodSync(folder.in('pantry'), 0o500);
    const { code, stderr } = await pantry('add', model());
    expect([code, stderr]).toEqual([8, expect.stringContaining('you may not write there')]);
  });
});

describe('remove', () => {
  test('forgets, and leaves the files', async () => {
    const path = model();
    await pantry('add', path);
    expect(await pantry('remove', 'noto')).toMatchObject({ code: 0, stdout: 'noto is out of the pantry\n' });
    expect(index().models).toEqual([]);
    expect(existsSync(`${path}/${UNET}`)).toBe(true);
  });

  test('deletes its own copy only, and only when forced', async () => {
    const path = model();
    await pantry('add', path, '--copy');
    const refused = await pantry('remove', 'noto', '--delete');
    expect(refused).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/would delete .*pantry\/noto; add --force/),
    });
    expect(index().models).toHaveLength(1);
    expect((await pantry('remove', 'noto', '--delete', '--force')).code).toBe(0);
    expect(readdirSync(folder.in('pantry'))).toEqual(['pantry.json']);

    await pantry('add', path);
    const other = await pantry('remove', 'noto', '--delete', '--force');
    expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining("no copy of the pantry's own") });
    expect(existsSync(`${path}/${UNET}`)).toBe(true);
  });

  test.each(['../models/noto', '/tmp', '.'])('an index that calls %s a copy deletes nothing', async (path) => {
    const real = model();
    await pantry('add', real);
    const text = JSON.stringify({ ...index(), models: [{ ...index().models[0], held: 'copy', path }] });
    writeFileSync(folder.in('pantry/pantry.json'), text);
    const { code, stderr } = await pantry('remove', 'noto', '--delete', '--force');
    expect(stderr).toMatch(/is not directly in the pantry; it is not deleted|no copy/);
    expect(code).toBe(2);
    expect(existsSync(`${real}/${UNET}`)).toBe(true);
  });

  test('of what has no entry is refused', async () => {
    copyModel(`${PANTRY}/ink`, folder.in('pantry/ink'));
    expect((await pantry('remove', 'ink')).stderr).toMatch(/is a folder in the pantry without an entry/);
    expect((await pantry('remove', 'nobody')).stderr).toMatch(/has no model nobody/);
    expect(existsSync(folder.in(`pantry/ink/${UNET}`))).toBe(true);
  });
});

describe('check', () => {
  test('finds what was changed, damaged, or has gone', async () => {
    for (const name of ['noto', 'ink', 'fluent', 'twemoji']) await pantry('add', model(name));
    copyModel(`${PANTRY}/paragon`, folder.in('pantry/paragon'));
    expect((await pantry('check')).code).toBe(0);
    flip(folder.in(`models/noto/${UNET}`));
    truncateSync(folder.in(`models/ink/${UNET}`), 1e6);
    rmSync(folder.in('models/fluent'), { recursive: true });
    const { code, stdout, stderr } = await pantry('check', '--json');
    expect(code).toBe(1);
    const result = JSON.parse(stdout);
    expect(result.ok).toBe(false);
    expect(result.models.map(({ name, verdict }: Record<string, string>) => [name, verdict])).toEqual([
      ['fluent', 'missing'],
      ['ink', 'damaged'],
      ['noto', 'changed'],
      ['paragon', 'not indexed'],
      ['twemoji', 'ok'],
    ]);
    expect(stderr).toMatch(/noto is changed: other weights in unet/);
    expect(stderr).toMatch(/ink is damaged: .*The file is incomplete/);
    expect((await pantry('check', 'twemoji')).code).toBe(0);
    expect((await pantry('check', 'noto')).code).toBe(1);
    expect((await pantry('check', 'nobody')).code).toBe(2);
    expect((await pantry('list')).code).toBe(0);
  });

  test('believes the bytes, not the times', async () => {
    const path = model();
    await pantry('add', path);
    const { mtime } = statSync(`${path}/${UNET}`);
    flip(`${path}/${UNET}`);
    const { utimesSync } = await import('node:fs');
    utimesSync(`${path}/${UNET}`, mtime, mtime);
    expect((await pantry('check')).code).toBe(1);
  });
});

describe('names', () => {
  test('of the index lead to the model', async () => {
    const path = model();
    await pantry('add', path, '--name', 'round');
    expect(locateInPantry('round', env)).toBe(path);
    expect(locateInPantry('noto', env)).toBeUndefined();
    rmSync(path, { recursive: true });
    expect(() => locateInPantry('round', env)).toThrow(/round is in the pantry's index, but there is nothing at/);
  });

  test('of the index are names for every command', async () => {
    await pantry('add', model(), '--name', 'round');
    await pantry('add', model('ink'), '--name', 'octopus', '--copy');
    const args = ['merge', 'round:2+octopus', '--dry-run', '--out', folder.in('out'), '--json'];
    const { code, stdout } = await soup(args, { env });
    expect(code).toBe(0);
    expect(JSON.parse(stdout).bytes).toBeGreaterThan(9e6);
    const { stderr } = await soup(['merge', 'roundish', '--out', folder.in('out')], { env });
    expect(stderr).toMatch(/There is no folder roundish/);
  });

  test.each([
    ['no JSON', '{', /pantry.json: not valid JSON/],
    ['another type', '{"type":"x","version":1,"models":[]}', /"type" is "x"; expected "diffusion-soup-pantry"/],
    ['a newer version', '{"type":"diffusion-soup-pantry","version":9,"models":[]}', /reads version 1/],
    [
      'models of no form',
      '{"type":"diffusion-soup-pantry","version":1,"models":[1]}',
      /"models\[0\]" is 1; expected an object/,
    ],
    ['a list', '[]', /is no index of a pantry/],
  ])('an index with %s is refused, everywhere', async (_, text, message) => {
    mkdirSync(folder.in('pantry'));
    writeFileSync(folder.in('pantry/pantry.json'), text);
    for (const args of [['list'], ['check'], ['remove', 'a'], ['add', model()]]) {
      const { code, stderr } = await pantry(...args);
      expect(stderr).toMatch(message);
      expect(code).toBe(3);
    }
    expect(readFileSync(folder.in('pantry/pantry.json'), 'utf8')).toBe(text);
  });

  test.each([
    ['noto', true],
    ['SD 1.5 (pruned)', true],
    ['emoji-😀', true],
    ...[
      '',
      '.',
      '..',
      '.git',
      '-rf',
      'a/b',
      'a\\b',
      'a:2',
      'a+b',
      'pantry.json',
      'Pantry.JSON',
      ' a',
      'a.',
      'a\u202eb',
      'x'.repeat(101),
    ].map((name) => [name, false] as const),
  ] as const)('%j can be one: %s', (name, can) => {
    expect(isPantryName(name)).toBe(can);
  });
});
