/** Plans: content addresses, names, order, shards; and pictures in three formats, known again by what they say. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { addressOf, canonicalJson } from '../../../packages/cli/src/batch/address.ts';
import { createEncoder } from '../../../packages/cli/src/batch/encode.ts';
import { expand } from '../../../packages/cli/src/batch/expand.ts';
import { FORMATS, safeName } from '../../../packages/cli/src/batch/names.ts';
import { inOrder, planBatch, shardOf } from '../../../packages/cli/src/batch/plan.ts';
import { readManifest } from '../../../packages/cli/src/batch/read-manifest.ts';
import type { SoupOf } from '../../../packages/cli/src/batch/soups.ts';
import { marksOf } from '../../../packages/cli/src/batch/verify.ts';
import { encodePng } from '../../../packages/cli/src/image/png.ts';
import { fakeImage, fakeSoupOf, MACHINE } from '../../support/fake-engine.mjs';

const folder = mkdtempSync(join(tmpdir(), 'soup-plan-'));
afterAll(() => rmSync(folder, { recursive: true }));
const soupOf = fakeSoupOf as unknown as SoupOf;
const machine = { ...MACHINE, precision: 'f32' } as const;
const plan = async (text: string, options = {}) =>
  planBatch(await expand(readManifest(text, 'm.yaml')), { soupOf, machine, ...options });

describe('content addresses', () => {
  const base = {
    model: 'a',
    prompt: 'x',
    negative: 'n',
    seed: 1,
    steps: 4,
    sampler: 'ddim',
    guidance: 2,
    size: 8,
    clip_skip: 0,
    noise: 'cpu',
  };
  const idOf = async (change: object) => (await plan(JSON.stringify([{ ...base, ...change }]))).items[0]!.id;

  test.each([
    { model: 'b' },
    { prompt: 'y' },
    { negative: 'm' },
    { seed: 2 },
    { steps: 5 },
    { sampler: 'euler' },
    { guidance: 3 },
    { size: 16 },
    { size: '16x8' },
    { clip_skip: 1 },
    { noise: 'cuda' },
  ])('differ with %j', async (change) => {
    expect(await idOf(change)).not.toBe(await idOf({}));
  });
  test('have the content of the picture that is started from, and how much of it is replaced', async () => {
    const from = (name: string, red: number) => {
      const bytes = encodePng({ width: 8, height: 8, pixels: new Uint8Array(192).fill(red) });
      writeFileSync(join(folder, name), bytes);
      return join(folder, name);
    };
    const [a, same, b] = [from('a.png', 1), from('same.png', 1), from('b.png', 2)];
    const ids = [{}, { image: a }, { image: a, strength: 0.5 }, { image: b }].map(idOf);
    expect(new Set(await Promise.all(ids)).size).toBe(4);
    expect(await idOf({ image: same, strength: 0.75 })).toBe(await idOf({ image: a }));
    writeFileSync(join(folder, 'torn.png'), 'no picture');
    const items = ['torn.png', 'none.png'].map((name) => ({ ...base, image: join(folder, name) }));
    const { refused } = await plan(JSON.stringify([...items, { ...base, image: a, strength: 2 }, base]));
    expect(refused.map(({ error }) => error.message)).toEqual([
      expect.stringMatching(/torn\.png cannot be read as a picture/),
      expect.stringMatching(/none\.png/),
      'strength is 2; give a number above 0, up to 1',
    ]);
  });
  test('are of the content alone: not of names, order or what guidance leaves out', async () => {
    expect(await idOf({ name: 'other', vars: { a: 'b' } })).toBe(await idOf({}));
    expect(await idOf({ guidance: 1, negative: 'm' })).toBe(await idOf({ guidance: 1 }));
    // Changing this means that every picture of every batch is drawn again.
    expect(await idOf({})).toBe('df8d33036c94cfdcff5ee3fb612da4ecadeed9051542005bdb824782dbc6170e');
  });
  test('tell machines apart', () => {
    const on = (change: object) => addressOf('id', { ...machine, ...change });
    expect(on({ adapter: 'by another name' })).toBe(on({}));
    expect(new Set([on({}), on({ precision: 'f16' }), on({ adapterClass: 'b' })]).size).toBe(3);
  });
  test('canonical JSON has one text for one value', () => {
    expect(canonicalJson({ b: 1n, a: [{ d: 1, c: undefined }] })).toBe('{"a":[{"d":1}],"b":"1"}');
  });
});

describe('names', () => {
  const paths = async (text: string, options = {}) => (await plan(text, options)).items.map(({ path }) => path);

  test('have the prompt, the seed and the content', async () => {
    expect(await paths('- {model: a, prompt: "Red apple, 4k!", seed: 3}')).toEqual([
      expect.stringMatching(/^red-apple-4k-3-[0-9a-f]{12}\.png$/),
    ]);
  });
  test('follow a template, into folders', async () => {
    const name = '{model}/{animal}-{seed}-{size}-{steps}';
    expect(
      await paths('- {model: "a:2+b:1", prompt: x, steps: 3, vars: {animal: "../Cat"}}', { name, format: 'webp' }),
    ).toEqual(['a-2+b-1/_Cat-0-8x8-3.webp']);
  });
  test('of unlike pictures are unlike, where file systems fold case, too', async () => {
    const found = await paths(
      '- {model: a, prompt: x, vars: {n: CAT}}\n- {model: a, prompt: y, vars: {n: cat}}\n- {model: a, prompt: z, vars: {n: dog}}',
      { name: '{n}' },
    );
    expect(found).toEqual([
      expect.stringMatching(/^CAT-\w{12}\.png$/),
      expect.stringMatching(/^cat-\w{12}\.png$/),
      'dog.png',
    ]);
  });
  test.each(['../x', '/x', 'a/../../b', '{nothing}', '{prompt'])('%s is refused, for each item', async (name) => {
    const { items, refused } = await plan('- {model: a, prompt: x}', { name });
    expect([items.length, refused.map(({ error }) => error.name)]).toEqual([0, ['UsageError']]);
  });
  test('are safe, whatever is in them', () => {
    expect(['CON', 'nul.txt', '..', ' a. ', 'a/b\\c:d\0', '', '\x1b[31mred'].map(safeName)).toEqual([
      '_CON',
      '_nul.txt',
      '_',
      'a',
      'a_b_c_d',
      '_',
      'red',
    ]);
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const name = safeName(text);
        expect(name).not.toMatch(/[/\\\0]|^\.|\.$|^$/);
        expect(Buffer.byteLength(name)).toBeLessThan(200);
      }),
    );
  });
});

describe('the order of work', () => {
  test('changes soups least: families, soups, shapes, then the manifest', async () => {
    const text = 'axes: {prompt: [x, y], size: [8, 16], model: ["a:1+b:1", c, "a:2+b:1"], seed: 1..2}';
    const { items } = await plan(text);
    const soups = items.map(({ soup }) => soup.title);
    const changes = soups.filter((title, i) => title !== soups[i - 1]);
    expect(changes).toEqual(['a:1+b:1', 'a:2+b:1', 'c']);
    expect(items.slice(0, 8).map(({ settings: { width } }) => width)).toEqual([8, 8, 8, 8, 16, 16, 16, 16]);
    expect(inOrder(items)).toEqual(items);
  });
  test('the same picture is drawn once', async () => {
    const { items, duplicates } = await plan(
      '- {model: a, prompt: x}\n- {model: a, prompt: x, seed: 0}\n- {model: a, prompt: y}',
    );
    expect([items.length, duplicates]).toEqual([2, 1]);
  });
  test('a bad item is refused alone', async () => {
    const { items, refused } = await plan('- {model: a, prompt: x, size: 9}\n- {model: a, prompt: x}');
    expect(items).toHaveLength(1);
    expect(refused).toMatchObject([{ item: { index: 0, line: 1 }, error: { name: 'UsageError', exitCode: 2 } }]);
  });
  test('shards are disjoint, cover all and are even', () => {
    fc.assert(
      fc.property(fc.nat(300), fc.integer({ min: 1, max: 40 }), (length, count) => {
        const all = Array.from({ length }, (_, i) => i);
        const shards = Array.from({ length: count }, (_, i) => shardOf(all, { index: i + 1, count }));
        expect(shards.flat()).toEqual(all);
        const sizes = shards.map((shard) => shard.length);
        expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
      }),
    );
  });
});

describe.each(FORMATS)('%s', (format) => {
  const image = { ...fakeImage({ id: 'x', settings: { width: 24, height: 16 } }) };
  const texts = {
    parameters: 'größer 🍎\nSteps: 1',
    diffusion_soup: JSON.stringify({ id: 'the id', address: 'there 🍎' }),
  };
  const bytesOf = () => createEncoder({ format, threads: 0 }).encode(image, texts);

  test('is known again by what it says', async () => {
    expect(await marksOf(await bytesOf(), format)).toEqual({ id: 'the id', address: 'there 🍎' });
  });
  test('is the same bytes each time', async () => {
    expect(Buffer.compare(await bytesOf(), await bytesOf())).toBe(0);
  });
  test('is nothing when it was cut or changed', async () => {
    const bytes = await bytesOf();
    for (const length of [0, 10, 100, bytes.length >> 1, bytes.length - 1]) {
      expect(await marksOf(bytes.slice(0, length), format)).toBeUndefined();
    }
    if (format !== 'png') return; // the others have no sums; the log has one
    for (let at = 8; at < bytes.length; at += 3) {
      const changed = bytes.slice();
      changed[at]! ^= 0x10;
      expect(await marksOf(changed, format)).toBeUndefined();
    }
  });
});
