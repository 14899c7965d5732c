/** What `npm pack` makes works by itself: unpacked in an empty folder, with what it depends on and nothing else. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { buildCli, scratch } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

vi.setConfig({ testTimeout: 900_000 });

const ROOT = new URL('../..', import.meta.url).pathname;
const room = scratch();
const modules = room.in('node_modules');
afterAll(() => room.remove());

/** The packages that npm would fetch are linked from here, so that the test needs no network. */
function link(name: string, from: string): void {
  const at = join(modules, name);
  if (existsSync(at) || name.startsWith('@diffusion-soup/')) return;
  const found = [join(from, 'node_modules', name), join(ROOT, 'node_modules', name)].find((path) => existsSync(path));
  expect(found, `${name} is declared, but not installed`).toBeDefined();
  mkdirSync(dirname(at), { recursive: true });
  symlinkSync(found!, at);
}

beforeAll(() => {
  buildCli();
  for (const name of ['core', 'viewer', 'cli']) {
    const folder = join(ROOT, 'packages', name);
    const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', room.path];
    const [{ filename, files }] = JSON.parse(
      execFileSync('npm', args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    expect(files.every(({ path }: { path: string }) => /^(dist\/|package\.json$|README|LICENSE)/.test(path))).toBe(
      true,
    );
    const target = join(modules, '@diffusion-soup', name);
    mkdirSync(target, { recursive: true });
    execFileSync('tar', ['-xzf', room.in(filename), '-C', target, '--strip-components', '1']);
    const { dependencies = {} } = JSON.parse(readFileSync(join(target, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(dependencies)) link(dependency, folder);
  }
  writeFileSync(room.in('package.json'), '{"type": "module", "private": true}');
});

const node = (...args: string[]) =>
  execFileSync(process.execPath, args, {
    cwd: room.path,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, SOUP_PANTRY: PANTRY },
  });

test('the command runs', () => {
  expect(node('node_modules/@diffusion-soup/cli/dist/main.js', '--version')).toMatch(/^\d+\.\d+\.\d+\n$/);
});

test('the example draws a batch, and finds it there the second time', () => {
  cpSync(join(ROOT, 'docs/examples/batch.mjs'), room.in('batch.mjs'));
  expect(node('batch.mjs', 'pictures', 'noto', 'noto:2+ink:1')).toMatch(
    /^(done \S+\.png\n){4}4 drawn, 0 there before, 0 failed\n$/,
  );
  expect(node('batch.mjs', 'pictures', 'noto', 'noto:2+ink:1')).toBe('0 drawn, 4 there before, 0 failed\n');
});

test('the types are there', () => {
  writeFileSync(
    room.in('types.ts'),
    "import { prepareBatch, type BatchSummary } from '@diffusion-soup/cli';\n" +
      'export const total = (summary: BatchSummary): number => summary.done;\n' +
      '// @ts-expect-error: options are checked\nprepareBatch({ items: 3 });\n',
  );
  const options = [
    '--noEmit',
    '--strict',
    '--skipLibCheck',
    '--module',
    'nodenext',
    '--target',
    'es2023',
    '--types',
    'node,@webgpu/types',
    '--typeRoots',
    join(ROOT, 'node_modules/@types'),
  ];
  link('@webgpu/types', join(ROOT, 'packages/cli'));
  link('@types/node', ROOT);
  expect(node(join(ROOT, 'node_modules/typescript/bin/tsc'), ...options.slice(0, 9), 'types.ts')).toBe('');
});
