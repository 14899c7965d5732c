/** `soup merge` into a single file and into shards: the same soup, and pictures to prove it. */

import { linkSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { scratch, soup } from '../support/cli.ts';
import { decode } from './pictures.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

const fine = async (...args: string[]) => {
  const { code, stdout, stderr } = await soup([...args, '--json', '-q']);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(stdout);
};

test('a single file holds the soup of the folder, and draws its picture', async () => {
  const file = await fine('merge', 'noto:1/3+ink:2/3', '-o', folder.in('soup.safetensors'));
  const dir = await fine('merge', 'ink:2/3+noto:1/3', '-o', folder.in('soup'));
  expect(file.root).toBe(dir.root);
  const draw = (model: string, out: string) =>
    fine(
      'generate',
      model,
      '--base',
      'base',
      '-p',
      'red apple',
      ...'--seed 1 --steps 1 --size 64 -g 1'.split(' '),
      '-o',
      out,
    );
  await draw(folder.in('soup.safetensors'), folder.in('a.png'));
  await draw(folder.in('soup'), folder.in('b.png'));
  await draw('noto:1/3+ink:2/3', folder.in('c.png'));
  const [a, b, c] = await Promise.all(
    ['a', 'b', 'c'].map(async (name) => Buffer.from((await decode(readFileSync(folder.in(`${name}.png`)))).pixels)),
  );
  expect(a!.equals(b!)).toBe(true);
  expect(a!.equals(c!)).toBe(true);
  expect((await soup(['verify', folder.in('soup.safetensors')])).code).toBe(0);
});

test('a file may be replaced by a soup that it is an ingredient of', async () => {
  const path = folder.in('one.safetensors');
  await fine('merge', 'noto', '-o', path);
  const expected = await fine('merge', path, 'ink', '-o', folder.in('two.safetensors'));
  linkSync(path, folder.in('same.safetensors'));
  expect((await soup(['merge', path, 'ink', '-o', path])).stderr).toMatch(/exists; add --force/);
  expect((await fine('merge', path, 'ink', '-o', path, '--force')).root).toBe(expected.root);
  // The other name of the old file still has the old bytes: it was replaced, and not written into.
  expect(readFileSync(folder.in('same.safetensors')).equals(readFileSync(path))).toBe(false);
});

test('weights are divided among files when they are larger than is wished', async () => {
  const whole = await fine('merge', 'noto', 'ink', '-o', folder.in('whole'));
  const parts = await fine('merge', 'noto', 'ink', '--max-shard-size', '3MB', '-o', folder.in('parts'));
  expect(parts.root).toBe(whole.root);
  const names = readdirSync(folder.in('parts/unet'));
  expect(names.filter((name) => /-of-00004\.safetensors$/.test(name))).toHaveLength(4);
  expect(names).toContain('diffusion_pytorch_model.safetensors.index.json');
  for (const name of names) expect(statSync(folder.in(`parts/unet/${name}`)).size).toBeLessThan(3.2e6);
  expect((await soup(['verify', folder.in('parts')])).code).toBe(0);
});

test.each([
  [['--method', 'ties', '--set', 'density=0.3'], 'exact'],
  [['--method', 'task_arithmetic', '--set', 'lambda=0.4'], 'exact'],
  [['--method', 'model_stock'], 'deterministic'],
  [['--set', 'strength=0.5'], 'exact'],
  [['--blocks', 'ink=IN:0,OUT:1'], 'exact'],
])('%j is made again by its ledger', async (args, arithmetic) => {
  const { arithmetic: found } = await fine('merge', 'noto', 'ink', '--base', 'base', ...args, '-o', folder.in('soup'));
  expect(found).toBe(arithmetic);
  const { code, stderr } = await soup(['verify', folder.in('soup')]);
  expect([code, stderr]).toEqual([0, expect.any(String)]);
});
