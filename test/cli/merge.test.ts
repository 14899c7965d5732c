/** `soup merge`: the numbers, the files, and that a target is whole or not there. */

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { closeWeights, f32ToF16Bits, openModelFolder, readBytes, toFloat32, type Weights } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { copyModel, scratch, soup } from '../support/cli.ts';
import { diskFolder, PANTRY, REFERENCE } from '../support/files.ts';
import { safetensorsFile } from '../support/safetensors.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

const UNET = 'unet/diffusion_pytorch_model.safetensors';
const unetOf = async (path: string): Promise<Weights> =>
  (await (await openModelFolder(diskFolder(path))).weights('unet'))!;

async function tensor(weights: Weights, key: string): Promise<{ bits: Uint16Array; values: Float32Array }> {
  const { source, offset, byteLength, dtype } = weights.tensors.get(key)!;
  const bytes = await readBytes(source, offset, byteLength);
  return { bits: new Uint16Array(bytes.buffer), values: toFloat32(bytes, dtype) };
}

describe('the result', () => {
  test('is the mean, rounded once to f16, and a whole model', async () => {
    const out = folder.in('soup');
    const { code, stdout } = await soup(['merge', 'noto', 'ink', 'fluent', '--weights', '2,1,1', '-o', out, '--json']);
    expect(code).toBe(0);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({
      folder: out,
      recipe: { ingredients: [{ name: 'noto', weight: 2 }, { weight: 1 }, { weight: 1 }] },
    });
    for (const { path, bytes, sha256 } of result.files) {
      const content = readFileSync(`${out}/${path}`);
      expect([content.length, createHash('sha256').update(content).digest('hex')]).toEqual([bytes, sha256]);
    }

    const merged = await unetOf(out);
    const sources = await Promise.all(['noto', 'ink', 'fluent'].map((name) => unetOf(`${PANTRY}/${name}`)));
    let different = 0;
    for (const key of merged.tensors.keys()) {
      const { bits } = await tensor(merged, key);
      const [a, b, c] = await Promise.all(sources.map(async (weights) => (await tensor(weights, key)).values));
      for (let i = 0; i < bits.length; i++) {
        // exact in f64, and zero has no sign in a soup of several
        const mean = f32ToF16Bits(Math.fround(0.5 * a![i]! + 0.25 * b![i]! + 0.25 * c![i]!) + 0);
        if (bits[i] !== mean) different++;
      }
    }
    expect(different).toBe(0);
    expect(merged.metadata.format).toBe('pt');
    expect(JSON.parse(merged.metadata.diffusion_soup!)).toMatchObject({
      type: 'diffusion-soup',
      base: { name: 'base' },
    });
    await Promise.all([merged, ...sources].map(closeWeights));

    const opened = await openModelFolder(diskFolder(out));
    expect([...opened.components].sort()).toEqual(['scheduler', 'text_encoder', 'tokenizer', 'unet', 'vae']);
    for (const file of [
      'model_index.json',
      'vae/diffusion_pytorch_model.safetensors',
      'tokenizer/merges.txt',
      'unet/config.json',
    ]) {
      expect(readFileSync(`${out}/${file}`).equals(readFileSync(`${PANTRY}/base/${file}`))).toBe(true);
    }
    expect(folder.files().filter((name) => name.includes('soup-tmp'))).toEqual([]);
  });

  test('of one model is that model', async () => {
    expect((await soup(['merge', 'noto', '-o', folder.in('one')])).code).toBe(0);
    expect(readFileSync(`${folder.in('one')}/${UNET}`).equals(readFileSync(`${PANTRY}/noto/${UNET}`))).toBe(true);
  });

  test('without a base has the parts there are, and says so', async () => {
    copyModel(`${PANTRY}/noto`, folder.in('a'));
    copyModel(`${PANTRY}/ink`, folder.in('b'));
    const { code, stderr } = await soup(['merge', folder.in('a'), folder.in('b'), '-o', folder.in('out')]);
    expect(code).toBe(0);
    expect(stderr).toMatch(
      /no ingredient has vae, text_encoder, tokenizer, scheduler: the result is not a whole pipeline/,
    );
    expect(existsSync(folder.in('out/model_index.json'))).toBe(false);
    expect(existsSync(folder.in(`out/${UNET}`))).toBe(true);
  });

  test('names no part in model_index.json that it does not have', async () => {
    copyModel(`${PANTRY}/base`, folder.in('a'));
    const index = JSON.parse(readFileSync(folder.in('a/model_index.json'), 'utf8'));
    index.safety_checker = ['stable_diffusion', 'StableDiffusionSafetyChecker'];
    writeFileSync(folder.in('a/model_index.json'), JSON.stringify(index));
    expect((await soup(['merge', folder.in('a'), 'noto', '-o', folder.in('out')])).code).toBe(0);
    const written = JSON.parse(readFileSync(folder.in('out/model_index.json'), 'utf8'));
    expect(written).toMatchObject({ safety_checker: [null, null], unet: ['diffusers', 'UNet2DConditionModel'] });
    expect((await soup(['merge', folder.in('out'), 'noto', '-o', folder.in('again'), '--dry-run'])).code).toBe(0);
  });

  test('averages every part that several ingredients have', async () => {
    copyModel(`${REFERENCE}/sd15-tiny`, folder.in('other'));
    for (const file of [UNET, 'vae/diffusion_pytorch_model.safetensors', 'text_encoder/model.safetensors']) {
      const path = folder.in(`other/${file}`);
      const bytes = readFileSync(path);
      bytes.writeUInt8(bytes.at(-2)! ^ 0x10, bytes.length - 2);
      writeFileSync(path, bytes);
    }
    const models = [`${REFERENCE}/sd15-tiny`, folder.in('other')];
    const { code, stdout } = await soup(['merge', ...models, '-o', folder.in('out'), '--json', '-q']);
    expect(code).toBe(0);
    const averaged = JSON.parse(stdout).components.filter((part: { averaged: boolean }) => part.averaged);
    expect(averaged.map(({ name }: { name: string }) => name)).toEqual(['unet', 'vae', 'text_encoder']);
    const [a, b] = [await unetOf(folder.in('out')), await unetOf(`${REFERENCE}/sd15-tiny`)];
    let different = 0;
    for (const key of a.tensors.keys()) {
      const [mine, theirs] = [(await tensor(a, key)).values, (await tensor(b, key)).values];
      different += mine.filter((value, i) => value !== theirs[i]).length;
    }
    expect(different).toBe(1);
    await Promise.all([closeWeights(a), closeWeights(b)]);
  });
});

describe('the target', () => {
  test('is not overwritten, but replaced whole with --force', async () => {
    const out = folder.in('soup');
    expect((await soup(['merge', 'noto', '-o', out])).code).toBe(0);
    const before = readFileSync(`${out}/${UNET}`);
    const refused = await soup(['merge', 'ink', '-o', out]);
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(/exists and is not empty; add --force/) });
    expect(readFileSync(`${out}/${UNET}`).equals(before)).toBe(true);
    expect((await soup(['merge', 'ink', '-o', out, '--force'])).code).toBe(0);
    expect(readFileSync(`${out}/${UNET}`).equals(readFileSync(`${PANTRY}/ink/${UNET}`))).toBe(true);
    expect(folder.files().filter((name) => /soup-(tmp|old)/.test(name))).toEqual([]);
  });

  test('stays when it is no model folder, even with --force', async () => {
    mkdirSync(folder.in('home'));
    writeFileSync(folder.in('home/thesis.txt'), 'years of work');
    const { code, stderr } = await soup(['merge', 'noto', '-o', folder.in('home'), '--force']);
    expect([code, stderr]).toEqual([2, expect.stringMatching(/holds thesis.txt, which is no part of a model/)]);
    expect(folder.files()).toEqual(['thesis.txt']);
  });

  test('is never the folder that we are in, not by an empty name either', async () => {
    mkdirSync(folder.in('home/inside'), { recursive: true });
    writeFileSync(folder.in('home/thesis.txt'), 'years of work');
    const before = process.cwd();
    try {
      for (const [target, says] of [
        ['', /--out is empty/],
        [' ', /--out is empty/],
        ['.', /is the folder that you are in/],
        ['../../home', /is the folder that you are in, or around it/],
      ] as const) {
        process.chdir(folder.in(target.startsWith('../..') ? 'home/inside' : 'home'));
        for (const more of [[], ['--force']]) {
          const { code, stderr } = await soup(['merge', 'noto', 'ink', '-o', target, ...more]);
          expect([code, stderr], target).toEqual([2, expect.stringMatching(says)]);
        }
      }
    } finally {
      process.chdir(before);
    }
    expect(folder.files()).toEqual(['thesis.txt']);
  });

  test('is not an ingredient, however it is called', async () => {
    copyModel(`${PANTRY}/noto`, folder.in('a'));
    symlinkSync(folder.in('a'), folder.in('link'));
    for (const target of ['a', 'link', 'a/inside']) {
      const { code, stderr } = await soup(['merge', folder.in('a'), 'ink', '-o', folder.in(target), '--force']);
      expect([code, stderr]).toEqual([2, expect.stringMatching(/lie in each other/)]);
    }
  });

  test('is not begun when whole numbers differ: a dry run says so, too', async () => {
    const positions = (name: string, first: bigint) => {
      copyModel(`${REFERENCE}/sd15-tiny`, folder.in(name));
      const path = folder.in(`${name}/text_encoder/model.safetensors`);
      const file = readFileSync(path);
      const length = Number(file.readBigUInt64LE());
      const { __metadata__: _, ...header } = JSON.parse(file.subarray(8, 8 + length).toString());
      const data = Buffer.concat([file.subarray(8 + length), Buffer.from(BigInt64Array.of(first, 1n).buffer)]);
      const place = { dtype: 'I64', shape: [1, 2], data_offsets: [data.length - 16, data.length] };
      const json = JSON.stringify({ ...header, 'text_model.embeddings.position_ids': place });
      writeFileSync(path, safetensorsFile(json, { data }));
      return folder.in(name);
    };
    const models = [positions('a', 0n), positions('b', 5n)];
    const before = folder.files();
    for (const more of [['--dry-run'], ['--no-check']]) {
      const { code, stderr } = await soup(['merge', ...models, '-o', folder.in('out'), '-q', ...more]);
      expect([code, stderr]).toEqual([
        4,
        expect.stringMatching(/position_ids \(I64\) differs between .*a\/.* and .*b\//),
      ]);
    }
    expect(folder.files()).toEqual(before);
  });

  test('is not touched by a dry run', async () => {
    const { code, stdout } = await soup(['merge', 'noto', 'ink', '-o', folder.in('out'), '--dry-run', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      dryRun: true,
      files: expect.arrayContaining([expect.objectContaining({ path: UNET })]),
    });
    expect(folder.files()).toEqual([]);
  });

  test('is not there when merging fails half-way, or is stopped', async () => {
    copyModel(`${PANTRY}/noto`, folder.in('a'));
    const before = folder.files();
    const stop = new AbortController();
    const stopped = await soup(['merge', folder.in('a'), 'ink', 'fluent', '-o', folder.in('out')], {
      terminal: true,
      stop,
      onStderr: (all) => all.includes('merging') && stop.abort('SIGTERM'),
    });
    expect(stopped.code).toBe(143);
    expect(folder.files()).toEqual(before);

    let cut = false;
    // In small pieces: of large ones the last may have been read when the first progress is told.
    const small = ['--host-memory', '8MiB'];
    const failed = await soup(['merge', folder.in('a'), 'ink', 'fluent', '-o', folder.in('out'), ...small], {
      terminal: true,
      onStderr(all) {
        if (!cut && all.includes('merging')) truncateSync(folder.in(`a/${UNET}`), 1_000_000);
        cut ||= all.includes('merging');
      },
    });
    expect([failed.code, failed.stderr]).toEqual([3, expect.stringMatching(/changed while it was read/)]);
    expect(folder.files()).toEqual(before);
  });
});

test('models of one name are told apart by content, in every order of the words', async () => {
  for (const [name, from] of [
    ['x', 'noto'],
    ['y', 'ink'],
  ] as const) {
    mkdirSync(folder.in(name));
    copyModel(`${PANTRY}/${from}`, folder.in(`${name}/shard`));
  }
  const words = [folder.in('x/shard'), folder.in('y/shard')];
  expect((await soup(['merge', ...words, '-o', folder.in('one')])).code).toBe(0);
  expect((await soup(['merge', ...words.toReversed(), '-o', folder.in('other')])).code).toBe(0);
  expect(readFileSync(folder.in(`one/${UNET}`)).equals(readFileSync(folder.in(`other/${UNET}`)))).toBe(true);
  const { ingredients } = JSON.parse(readFileSync(folder.in('one/soup.json'), 'utf8'));
  expect(ingredients.map(({ name }: { name: string }) => name)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^shard@[0-9a-f]{8}$/)]),
  );
  expect((await soup(['verify', folder.in('one')])).code).toBe(0);
});
