/** What is written into a soup's files of itself: in everybody's form, the same in any order, and without paths. */
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../../packages/core/src/ledger/change.ts';
import type { LedgerIngredient } from '../../../packages/core/src/ledger/index.ts';
import {
  checkpointMetadata,
  decodeMetadata,
  mergeKey,
  type Parents,
  parentOf,
  parentsIn,
} from '../../../packages/core/src/metadata/index.ts';

const hex = (digit: string): string => digit.repeat(64);
const ingredient = (name: string, digit: string, files = [hex(digit)]): LedgerIngredient => ({
  name,
  from: `/home/somebody/${name}`,
  root: hex(digit),
  components: { unet: { root: hex(digit), files: files.map((sha256, i) => ({ path: `${i}`, bytes: 1, sha256 })) } },
  weight: '1',
  loras: [{ name: 'detail', from: '/home/somebody/detail', sha256: hex('f'), strength: '1/2' }],
});
const plan = (...ingredients: LedgerIngredient[]): Plan => ({
  ...{ tool: '0.1.0', method: 'linear', parameters: {}, normalize: true, arithmetic: 'exact' },
  ingredients,
  base: { name: 'base', from: '/home/somebody/base', root: hex('9'), components: {} },
});
const [noto, ink] = [ingredient('noto', 'a'), ingredient('ink', 'b', [hex('1'), hex('2')])];
const facts = { architecture: 'stable-diffusion-v2-768-v', resolution: '768x768', predictionType: 'v' } as const;
const write = (of: Plan, parents?: Parents) =>
  checkpointMetadata(of, { layout: 'diffusers', architecture: facts, ...(parents && { parents }) });

test('is the same in any order, and has no paths and no dates', () => {
  const metadata = write(plan(noto, ink));
  expect(metadata).toEqual(write(plan(ink, noto)));
  expect(JSON.stringify(metadata)).not.toMatch(/somebody|20\d\d-/);
  for (const value of Object.values(metadata)) expect(typeof value).toBe('string');
});

test("has A1111's form, ModelSpec's and ours", () => {
  const metadata = write(plan(noto, ink));
  expect(metadata.format).toBe('pt');
  expect(JSON.parse(metadata.sd_merge_recipe!)).toMatchObject({
    type: 'diffusion-soup',
    models: [
      { hash: hex('b'), name: 'ink', weight: '1' },
      { hash: hex('a'), name: 'noto' },
    ],
    base_model_hash: hex('9'),
  });
  expect(JSON.parse(metadata.sd_merge_models!)[hex('a')]).toEqual({
    name: 'noto',
    legacy_hash: null,
    sd_merge_recipe: null,
  });
  expect(metadata).toMatchObject({
    'modelspec.sai_model_spec': '1.0.1',
    'modelspec.architecture': 'stable-diffusion-v2-768-v',
    'modelspec.implementation': 'diffusers',
    'modelspec.title': 'ink + noto',
    'modelspec.resolution': '768x768',
    'modelspec.merged_from': 'ink, noto',
    'modelspec.prediction_type': 'v',
  });
  expect(JSON.parse(metadata.diffusion_soup!)).toMatchObject({
    type: 'diffusion-soup',
    ingredients: [{ name: 'ink' }, { name: 'noto' }],
  });
  expect(checkpointMetadata(plan(noto), { layout: 'single file' })['modelspec.implementation']).toBe('sgm');
});

test('models of one file are known by its hash, as in A1111, others by their content', () => {
  expect(mergeKey(ingredient('x', 'a', [hex('1'), hex('1')]))).toBe(hex('1'));
  expect(mergeKey(ingredient('x', 'a', [hex('1'), hex('2')]))).toBe(hex('a'));
});

describe('parents', () => {
  const webui = { type: 'webui', multiplier: 0.3 };
  const own = {
    sd_merge_recipe: JSON.stringify(webui),
    sd_merge_models: JSON.stringify({
      [hex('c')]: { name: 'old', legacy_hash: '12345678', sd_merge_recipe: null, junk: 1 },
    }),
  };
  const parent = parentOf(own)!;

  test('are carried over', () => {
    expect(parent).toEqual({
      recipe: webui,
      models: { [hex('c')]: { name: 'old', legacy_hash: '12345678', sd_merge_recipe: null } },
    });
    const { merge } = decodeMetadata(write(plan(noto, ink), new Map([[mergeKey(noto), parent]])));
    expect(merge?.models.find(({ name }) => name === 'noto')?.recipe).toEqual(webui);
    expect(merge?.models.map(({ name }) => name)).toEqual(['base', 'noto', 'ink', 'old']);
  });

  test('are found again in the soup, so that one that goes takes its own along', () => {
    const both = new Map([
      [mergeKey(noto), parent],
      [
        mergeKey(ink),
        {
          models: {
            [hex('c')]: parent.models[hex('c')]!,
            [hex('d')]: { name: 'd', legacy_hash: null, sd_merge_recipe: null },
          },
        },
      ],
    ]);
    const soup = write(plan(noto, ink), both);
    expect(parentsIn(soup)).toEqual(both);
    expect(write(plan(noto), parentsIn(soup))).toEqual(write(plan(noto), new Map([[mergeKey(noto), parent]])));
  });

  test('that are a soup of ours, too', () => {
    const inner = write(plan(noto, ink));
    const outer = write(plan(ingredient('inner', 'e')), new Map([[hex('e'), parentOf(inner)!]]));
    const { merge } = decodeMetadata(outer);
    expect(merge?.models.find(({ name }) => name === 'inner')?.recipe).toMatchObject({ type: 'diffusion-soup' });
    expect(merge?.models.map(({ name }) => name).sort()).toEqual(['base', 'ink', 'inner', 'noto']);
  });

  test.each<[string, Record<string, string>]>([
    ['nothing', {}],
    ['no JSON', { sd_merge_recipe: '{', sd_merge_models: 'x' }],
    ['another form', { sd_merge_recipe: '[]', sd_merge_models: '{"x": 1, "__proto__": {"a": 1}}' }],
    ['too much', { sd_merge_recipe: JSON.stringify({ text: 'x'.repeat(100_000) }) }],
  ])('that say %s are left out', (_, metadata) => {
    expect(parentOf(metadata)).toBeUndefined();
  });

  test('that are many are cut', () => {
    const entries = Array.from({ length: 5000 }, (_, i) => [
      i.toString(16).padStart(64, '0'),
      { name: 'x'.repeat(50) },
    ]);
    const many = parentOf({ ...own, sd_merge_models: JSON.stringify(Object.fromEntries(entries)) })!;
    expect(JSON.stringify(many).length).toBeLessThan(2 ** 17);
    const parents = new Map('0123456789abcdef'.split('').map((digit) => [hex(digit), many]));
    const metadata = write(plan(...'0123456789abcdef'.split('').map((digit) => ingredient(digit, digit))), parents);
    expect(metadata.sd_merge_models!.length).toBeLessThanOrEqual(2 ** 19);
  });
});
