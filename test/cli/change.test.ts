/** `soup add` and `soup remove`: the soup after a change is the one made from scratch, byte for byte. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseLedger, parseReceipt } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const UNET = 'unet/diffusion_pytorch_model.safetensors';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

const run = async (...args: string[]) => {
  const result = await soup(args);
  expect(result.stderr).not.toContain('internal error');
  return result;
};
const merge = async (recipe: string, out: string): Promise<void> => {
  expect((await run('merge', recipe, '--out', folder.in(out))).code).toBe(0);
};
const ledgerIn = (name: string) => parseLedger(readFileSync(folder.in(`${name}/soup.json`), 'utf8'));
const sameWeights = (a: string, b: string): boolean =>
  readFileSync(folder.in(`${a}/${UNET}`)).equals(readFileSync(folder.in(`${b}/${UNET}`)));

describe('remove', () => {
  test('gives the soup made from scratch, a receipt, and a soup that verifies', async () => {
    await merge('noto:2+ink+fluent:1/3', 'soup');
    await merge('fluent:1/3+noto:2', 'scratch');
    const old = ledgerIn('soup');
    const { code, stdout, stderr } = await run('forget', folder.in('soup'), 'ink', '--json');
    expect(code).toBe(0);
    expect(sameWeights('soup', 'scratch')).toBe(true);
    expect(readdirSync(folder.in('soup')).sort()).toEqual(readdirSync(folder.in('scratch')).sort());

    const { receiptFile, root, receipt } = JSON.parse(stdout);
    const now = ledgerIn('soup');
    expect([now.result.root, now.set]).toEqual([ledgerIn('scratch').result.root, ledgerIn('scratch').set]);
    expect(root).toBe(now.result.root);
    expect(receiptFile).toMatch(/soup\.removed-ink-[0-9a-f]{8}\.json$/);
    expect(parseReceipt(readFileSync(receiptFile, 'utf8'))).toEqual(receipt);
    expect(receipt).toMatchObject({ removed: { name: 'ink', weight: '1' }, soup: { old: old.result.root, new: root } });
    expect(stderr).toMatch(/warning: The shard is out of the new soup.*can compute the shard/);
    expect((await run('verify', receiptFile)).code).toBe(0);
    expect((await run('verify', folder.in('soup'))).code).toBe(0);
  });

  test('keeps the shard out, under any name, and takes it back when forced: the soup there was', async () => {
    await merge('noto+ink+fluent', 'soup');
    cpSync(folder.in('soup'), folder.in('before'), { recursive: true });
    await run('remove', folder.in('soup'), 'ink');
    copyModel(`${PANTRY}/ink`, folder.in('octopus'));
    const refused = await run('add', folder.in('soup'), folder.in('octopus'));
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('octopus is ink, which was removed') });
    expect((await run('add', folder.in('soup'), 'ink', '--force')).code).toBe(0);
    expect(sameWeights('soup', 'before')).toBe(true);
    const { history, tombstones, ...now } = ledgerIn('soup');
    const { history: short, tombstones: none, ...before } = ledgerIn('before');
    expect(now).toEqual(before);
    expect([tombstones, none, history.length, short.length]).toEqual([[], [], 3, 1]);
    expect((await run('verify', folder.in('soup'))).code).toBe(0);
  });

  test('models are noted as they lie from the soup, before and after', async () => {
    for (const name of ['noto', 'ink', 'fluent']) copyModel(`${PANTRY}/${name}`, folder.in(`near/${name}`));
    const near = (name: string) => folder.in(`near/${name}`);
    await merge(`${near('noto')}+${near('ink')}+${near('fluent')}`, 'soup');
    const paths = () => ledgerIn('soup').ingredients.map(({ from }: { from: string }) => from);
    expect(paths().sort()).toEqual(['../near/fluent', '../near/ink', '../near/noto']);
    expect((await run('remove', folder.in('soup'), 'ink')).code).toBe(0);
    expect(paths().sort()).toEqual(['../near/fluent', '../near/noto']);
  });

  test('elsewhere leaves the old soup as it is', async () => {
    await merge('noto+ink+fluent', 'soup');
    const before = readFileSync(folder.in('soup/soup.json'), 'utf8');
    const args = ['--out', folder.in('far/less'), '--receipt', folder.in('receipt.json')];
    expect((await run('remove', folder.in('soup'), 'noto', ...args)).code).toBe(0);
    expect(readFileSync(folder.in('soup/soup.json'), 'utf8')).toBe(before);
    expect((await run('verify', folder.in('far/less'))).code).toBe(0);
    expect((await run('verify', folder.in('receipt.json'))).code).toBe(0);
    const again = await run('remove', folder.in('soup'), 'ink', '--out', folder.in('far/less'));
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('add --force to replace it') });
  });

  test('as a dry run, or of what cannot be, writes nothing', async () => {
    await merge('noto+ink', 'soup');
    const before = folder.files();
    expect((await run('remove', folder.in('soup'), 'ink', '--dry-run')).code).toBe(0);
    const unknown = await run('remove', folder.in('soup'), 'twemoji');
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('it is made of ink, noto') });
    expect(folder.files()).toEqual(before);
    expect(ledgerIn('soup').history).toHaveLength(1);
  });
});

describe('add', () => {
  test('gives the soup made from scratch', async () => {
    await merge('noto+ink', 'soup');
    await merge('noto+ink+fluent:1/2', 'scratch');
    expect((await run('add', folder.in('soup'), 'fluent', '--weight', '1/2')).code).toBe(0);
    expect(sameWeights('soup', 'scratch')).toBe(true);
    expect(ledgerIn('soup').set).toBe(ledgerIn('scratch').set);
    expect((await run('verify', folder.in('soup'))).code).toBe(0);
  });

  test('refuses the same model twice, a soup without a ledger, and one that was changed', async () => {
    await merge('noto+ink', 'soup');
    copyModel(`${PANTRY}/ink`, folder.in('octopus'));
    const twice = await run('add', folder.in('soup'), folder.in('octopus'));
    expect(twice).toMatchObject({ code: 2, stderr: expect.stringContaining('ink and octopus are the same model') });
    const bare = await run('add', `${PANTRY}/noto`, 'ink', '--out', folder.in('out'));
    expect(bare).toMatchObject({ code: 3, stderr: expect.stringContaining('has no ledger') });
    const file = folder.in(`soup/${UNET}`);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1]! ^= 1;
    writeFileSync(file, bytes);
    const changed = await run('add', folder.in('soup'), 'fluent');
    expect(changed).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('are not those that its ledger speaks of'),
    });
    expect(existsSync(folder.in('out'))).toBe(false);
    expect((await run('add', folder.in('soup'), 'fluent', '--weight', 'much')).code).toBe(2);
  });
});
