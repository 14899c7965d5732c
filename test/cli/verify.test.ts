/** `soup verify`: a soup is what its ledger says, or is found out. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import {
  formatLedger,
  type Ledger,
  type LedgerComponents,
  makeLedger,
  parseLedger,
  receiptsOf,
  seal,
  withoutIngredient,
} from '@diffusion-soup/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashModel, ledgerComponents } from '../../packages/cli/src/hash/model.ts';
import { sha256 } from '../../packages/cli/src/hash/weights.ts';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const UNET = 'unet/diffusion_pytorch_model.safetensors';

let folder: ReturnType<typeof scratch>;
let env: Record<string, string>;
let ledger: Ledger;

beforeAll(async () => {
  folder = scratch();
  // Not called pantry: from the folder of the tests, ../pantry is the repository's.
  env = { SOUP_PANTRY: folder.in('larder') };
  for (const name of ['noto', 'ink', 'fluent']) copyModel(`${PANTRY}/${name}`, folder.in(`larder/${name}`));
  const { code } = await soup(['merge', 'noto:2+ink+fluent:1/3', '--out', folder.in('soup')], { env });
  expect(code).toBe(0);
  ledger = parseLedger(readFileSync(folder.in('soup/soup.json'), 'utf8'));
});
afterAll(() => folder.remove());

const verify = (...args: string[]) => soup(['verify', folder.in('soup'), ...args], { env });

/** With a file changed for the time of a test. */
async function changed<T>(
  path: string,
  change: (bytes: Buffer) => Uint8Array | string,
  work: () => Promise<T>,
): Promise<T> {
  const before = readFileSync(path);
  writeFileSync(path, change(Buffer.from(before)));
  try {
    return await work();
  } finally {
    writeFileSync(path, before);
  }
}

const flipped = (bytes: Buffer): Buffer => {
  bytes[bytes.length - 1]! ^= 1;
  return bytes;
};

describe('a soup', () => {
  test('that is what its ledger says', async () => {
    const { code, stdout } = await verify('--json');
    expect(code).toBe(0);
    const { root } = ledger.result.components.unet!;
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      problems: [],
      parts: [{ name: 'unet', expected: root, found: root, rebuilt: root, differing: [] }],
    });
    expect((await verify()).stdout).toMatch(/unet +\d+ tensors +[0-9a-f]{12} +as in the ledger +the same, made again/);
    expect((await verify('--quick')).code).toBe(0);
  });

  test('with one bit changed: the tensor is named', async () => {
    const { code, stdout, stderr } = await changed(folder.in(`soup/${UNET}`), flipped, () => verify('--json'));
    expect(code).toBe(1);
    const { ok, parts } = JSON.parse(stdout);
    expect([ok, parts[0].differing.length]).toEqual([false, 1]);
    expect(stderr).toContain('unet: the weights are not those that the ledger speaks of');
    expect(stderr).toContain(`unet: made again it differs in ${parts[0].differing[0]}`);
    const quick = await changed(folder.in(`soup/${UNET}`), flipped, () => verify('--quick'));
    expect(quick.code).toBe(1);
  });

  test('whose ledger was made to fit a change: made again it differs', async () => {
    const result = await changed(folder.in(`soup/${UNET}`), flipped, async () => {
      const { components } = await hashModel(folder.in('soup'));
      const forged = formatLedger(makeLedger(ledger, ledgerComponents(components) as LedgerComponents, sha256));
      return changed(
        folder.in('soup/soup.json'),
        () => forged,
        async () => [await verify('--quick'), await verify()] as const,
      );
    });
    expect(result.map(({ code }) => code)).toEqual([0, 1]);
    expect(result[1].stderr).toMatch(/made again it differs in/);
  });

  test('whose ledger has other weights is found out, both ways', async () => {
    const text = formatLedger(ledger).replace('"weight": "2"', '"weight": "3"');
    const edited = await changed(
      folder.in('soup/soup.json'),
      () => text,
      () => verify(),
    );
    expect([edited.code, edited.stderr]).toEqual([
      3,
      expect.stringContaining('contradicts itself: the root of the set'),
    ]);
    const heavier = ledger.ingredients.map((one) => (one.name === 'noto' ? { ...one, weight: '3' } : one));
    const forged = formatLedger(makeLedger({ ...ledger, ingredients: heavier }, ledger.result.components, sha256));
    const rebuilt = await changed(
      folder.in('soup/soup.json'),
      () => forged,
      () => verify(),
    );
    expect([rebuilt.code, rebuilt.stderr]).toEqual([1, expect.stringContaining('made again it differs')]);
  });

  test('without a ledger, or with another one, is refused', async () => {
    renameSync(folder.in('soup/soup.json'), folder.in('elsewhere.json'));
    const without = await verify();
    const elsewhere = await verify('--quick', '--ledger', folder.in('elsewhere.json'));
    renameSync(folder.in('elsewhere.json'), folder.in('soup/soup.json'));
    expect([without.code, without.stderr]).toEqual([3, expect.stringContaining('has no ledger')]);
    expect(elsewhere.code).toBe(0);
    const empty = await changed(
      folder.in('soup/soup.json'),
      () => '{}',
      () => verify(),
    );
    expect([empty.code, empty.stderr]).toEqual([3, expect.stringContaining('"type" is missing')]);
  });
});

describe('a soup by', () => {
  test.each([
    [['noto', 'ink', '--method', 'slerp', '--set', 't=0.3']],
    [['noto:2', 'ink', '--method', 'slerp']],
    [['noto', 'ink', 'fluent', '--method', 'geometric_median']],
  ])('%j, named in any order, is made again', async (recipe) => {
    expect((await soup(['merge', ...recipe, '--out', folder.in('other'), '--force'], { env })).code).toBe(0);
    expect(await soup(['verify', folder.in('other')], { env })).toMatchObject({ code: 0 });
  });
});

describe('ingredients', () => {
  test('that were changed are refused', async () => {
    const { code, stderr } = await changed(folder.in(`larder/ink/${UNET}`), flipped, () => verify());
    expect(code).toBe(3);
    expect(stderr).toMatch(
      /ink at .*larder\/ink is not what went into the soup \(its unet\): its root is [0-9a-f]{64}/,
    );
  });

  test('are found under another name, in the index or beside it, and asked for when they have gone', async () => {
    renameSync(folder.in('larder/ink'), folder.in('larder/octopus'));
    expect((await verify()).code).toBe(0);
    renameSync(folder.in('larder/octopus'), folder.in('far-away'));
    const { code, stderr } = await verify();
    expect([code, stderr]).toEqual([
      3,
      expect.stringMatching(/ink is nowhere to be found: .* its root is [0-9a-f]{64}/),
    ]);
    expect((await soup(['pantry', 'add', folder.in('far-away'), '--name', 'squid'], { env })).code).toBe(0);
    expect((await verify()).code).toBe(0);
    rmSync(folder.in('larder/pantry.json'));
    renameSync(folder.in('far-away'), folder.in('larder/ink'));
  });
});

describe('a receipt', () => {
  test('verifies by itself, and not once it was changed', async () => {
    const { components } = ledger.result;
    const { receipt, ledger: after } = seal(withoutIngredient(ledger, 'ink'), components, { tool: '0.1.0', sha256 });
    expect(receiptsOf(after, sha256)).toEqual([receipt]);
    const file = folder.in('receipt.json');
    writeFileSync(file, formatLedger(receipt!));
    const found = await soup(['verify', file], { env });
    expect(found).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ink was in the old soup.*\n.*\n.*can compute/),
    });
    const text = (bytes: Buffer) => bytes.toString().replace('"index": 1', '"index": 0');
    const forged = await changed(file, text, () => soup(['verify', file], { env }));
    expect(forged).toMatchObject({ code: 1, stderr: expect.stringContaining('the proof does not lead') });
    const cut = await changed(
      file,
      (bytes) => bytes.subarray(0, 100),
      () => soup(['verify', file], { env }),
    );
    expect(cut).toMatchObject({ code: 3, stderr: expect.stringContaining('not valid JSON') });
    expect(await soup(['verify', folder.in('nothing.json')], { env })).toMatchObject({ code: 8 });
  });
});
