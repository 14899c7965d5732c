/** Running sums: a shard goes in and out of a soup without the others being there, and every byte is as from scratch. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const UNET = 'unet/diffusion_pytorch_model.safetensors';
let folder: ReturnType<typeof scratch>;
let env: Record<string, string>;

beforeEach(() => {
  folder = scratch();
  mkdirSync(folder.in('pantry'));
  for (const name of ['base', 'noto', 'fluent', 'ink']) copyModel(`${PANTRY}/${name}`, folder.in(`pantry/${name}`));
  env = { SOUP_PANTRY: folder.in('pantry') };
});
afterEach(() => folder.remove());

const run = async (...args: string[]) => {
  const result = await soup(args, { env });
  expect(result.stderr + result.stdout).not.toMatch(/internal error/);
  return result;
};
const fine = async (...args: string[]) => {
  const result = await run(...args, '--json', '-q');
  expect([result.code, result.stderr]).toEqual([0, expect.any(String)]);
  return JSON.parse(result.stdout);
};
const unet = (name: string): Buffer => readFileSync(folder.in(`${name}/${UNET}`));
const hide = (name: string) => renameSync(folder.in(`pantry/${name}`), folder.in(`hidden-${name}`));
const bring = (name: string) => renameSync(folder.in(`hidden-${name}`), folder.in(`pantry/${name}`));

test('add and remove read the one shard, and give the bytes of a soup from scratch', async () => {
  await fine('merge', 'noto:2+fluent:1', '--keep-sum', '-o', folder.in('soup'));
  await fine('merge', 'noto:2+fluent:1+ink:0.5', '-o', folder.in('three'));
  await fine('merge', 'noto:2+ink:0.5', '-o', folder.in('two'));

  for (const name of ['noto', 'fluent', 'base']) hide(name);
  const added = await fine('add', folder.in('soup'), 'ink', '--weight', '1/2');
  expect(unet('soup').equals(unet('three'))).toBe(true);

  for (const name of ['fluent', 'ink', 'noto']) (name === 'fluent' ? bring : name === 'ink' ? hide : () => {})(name);
  const removed = await fine('remove', folder.in('soup'), 'fluent');
  expect(unet('soup').equals(unet('two'))).toBe(true);
  expect(removed.root).not.toBe(added.root);

  for (const name of ['noto', 'base', 'ink']) bring(name);
  expect((await run('verify', folder.in('soup'))).code).toBe(0);
  const again = await fine('add', folder.in('soup'), 'fluent', '--force', '--out', folder.in('again'));
  expect(unet('again').equals(unet('three'))).toBe(true);
  expect(again.root).toBe(added.root);
});

test('with one shard left the sum does not do, and the soup is that shard', async () => {
  await fine('merge', 'noto', 'fluent', '--keep-sum', '-o', folder.in('soup'));
  const { stderr, code } = await run('remove', folder.in('soup'), 'fluent');
  expect([code, stderr]).toEqual([0, expect.stringMatching(/running sums do not do here/)]);
  expect(unet('soup').equals(readFileSync(folder.in(`pantry/noto/${UNET}`)))).toBe(true);
});

test('a sum that was changed is refused, and the soup stays', async () => {
  await fine('merge', 'noto', 'fluent', '--keep-sum', '-o', folder.in('soup'));
  const file = folder.in('soup/running-sum/unet.safetensors');
  const bytes = readFileSync(file);
  bytes.writeUInt8(bytes.at(-9)! ^ 1, bytes.length - 9);
  writeFileSync(file, bytes);
  const before = unet('soup');
  const { code, stderr } = await run('add', folder.in('soup'), 'ink');
  expect([code, stderr]).toEqual([3, expect.stringMatching(/not the running sum that the ledger speaks of/)]);
  expect(unet('soup').equals(before)).toBe(true);
});

test.each([
  [['--method', 'ties'], /no running sum, since the recipe is no plain average/],
  [['--no-normalize'], /no running sum, since its weights are not scaled/],
  [['--dtype', 'F32'], /no running sum, since its result is F32/],
])('%j has no running sum', async (args, message) => {
  const { code, stderr } = await run('merge', 'noto', 'ink', ...args, '--keep-sum', '-o', folder.in('out'));
  expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
});
