/** Block weights: which block a tensor is in, presets against the published tables, the mixes that come out. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { blockPresets } from '../../packages/core/src/soup/block-presets.ts';
import {
  type BlockTable,
  blockFactor,
  blockMix,
  blockNames,
  blockOf,
  expandBlocks,
} from '../../packages/core/src/soup/block-weights.ts';
import { fractionToNumber, parseFraction } from '../../packages/core/src/soup/fraction.ts';
import { PANTRY } from '../support/files.ts';

const SD = { layersPerBlock: [2, 2, 2, 2] };
const EMOJI = { layersPerBlock: [1, 1, 1] };
const numbers = (table: BlockTable, config = SD): number[] =>
  [...expandBlocks(table, config).values()].map(fractionToNumber);
const f = parseFraction;

test('blocks of Stable Diffusion are those of the original implementation', () => {
  expect(blockNames(SD)).toHaveLength(26);
  const expected: Record<string, string> = {
    'time_embedding.linear_1.weight': 'BASE',
    'conv_in.weight': 'IN00',
    'down_blocks.0.resnets.0.conv1.weight': 'IN01',
    'down_blocks.0.attentions.1.proj_in.weight': 'IN02',
    'down_blocks.0.downsamplers.0.conv.weight': 'IN03',
    'down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k.weight': 'IN04',
    'down_blocks.2.downsamplers.0.conv.bias': 'IN09',
    'down_blocks.3.resnets.1.norm2.weight': 'IN11',
    'mid_block.attentions.0.norm.weight': 'M00',
    'up_blocks.0.resnets.0.conv1.weight': 'OUT00',
    'up_blocks.0.upsamplers.0.conv.weight': 'OUT02',
    'up_blocks.1.attentions.2.proj_out.weight': 'OUT05',
    'up_blocks.2.upsamplers.0.conv.weight': 'OUT08',
    'up_blocks.3.attentions.2.norm.bias': 'OUT11',
    'conv_norm_out.weight': 'OUT11',
    'conv_out.bias': 'OUT11',
  };
  expect(Object.fromEntries(Object.keys(expected).map((key) => [key, blockOf(key, SD)]))).toEqual(expected);
});

test("the pantry's UNet has 6 blocks each way, and every tensor is in one of them", () => {
  const file = readFileSync(`${PANTRY}/base/unet/diffusion_pytorch_model.safetensors`);
  const header = JSON.parse(file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString()) as object;
  const keys = Object.keys(header).filter((key) => key !== '__metadata__');
  const names = blockNames(EMOJI);
  expect(names).toHaveLength(14);
  expect(new Set(keys.map((key) => blockOf(key, EMOJI)))).toEqual(new Set(names));
  expect(keys.filter((key) => blockOf(key, EMOJI) === 'BASE').every((key) => key.startsWith('time_'))).toBe(true);
  expect(blockOf('up_blocks.0.upsamplers.0.conv.weight', EMOJI)).toBe('OUT01');
  expect(blockOf('down_blocks.2.resnets.0.conv1.weight', EMOJI)).toBe('IN05');
});

describe('presets', () => {
  // Some numbers of each curve as sd-webui-supermerger publishes them, by their place.
  test.each<[string, Record<number, number>]>([
    ['GRAD_V', { 0: 0, 1: 1, 2: 0.9166666667, 13: 0, 14: 0.0833333333, 25: 1 }],
    ['GRAD_A', { 1: 0, 4: 0.25, 13: 1, 20: 0.4166666667, 25: 0 }],
    ['FLAT_25', { 0: 0, 1: 0.25, 25: 0.25 }],
    ['SMOOTHSTEP', { 1: 0, 2: 0.00506365740740741, 14: 0.562355324074074, 25: 1 }],
    ['REVERSE-SMOOTHSTEP', { 1: 1, 2: 0.994936342592593, 24: 0.00506365740740744 }],
    ['SMOOTHSTEP*2', { 14: 0.875289351851852, 24: 0.0101273148148153 }],
    ['R_SMOOTHSTEP*3', { 3: 0.940972222222222, 10: 0.05078125, 24: 0.0151909722222232 }],
    ['SMOOTHSTEP*4', { 8: 0.822337962962963, 10: 0.734375, 17: 0.962962962962963 }],
    ['SMOOTHSTEP/2', { 2: 0.0196759259259259, 14: 0.980324074074074, 25: 0 }],
    ['R_SMOOTHSTEP/3', { 2: 0.95703125, 16: 0.95703125, 25: 0 }],
    ['SMOOTHSTEP/4', { 2: 0.0740740740740741, 14: 0.0740740740740741, 25: 0 }],
    ['COSINE', { 2: 0.995722430686905, 10: 0.691341716182545, 24: 0.00427756931309475 }],
    ['REVERSE_COSINE', { 2: 0.00427756931309475, 25: 1 }],
    ['TRUE_CUBIC_HERMITE', { 1: 0, 2: 0.199031876929012, 13: 0.520833333333333, 25: 1 }],
    ['TRUE_REVERSE_CUBIC_HERMITE', { 1: 1, 2: 0.800968123070988, 25: 0 }],
    ['FAKE_CUBIC_HERMITE', { 2: 0.157576195987654, 8: 0.564260223765432, 24: 0.842423804012347 }],
    ['WRAP08', { 0: 0, 1: 1, 4: 1, 5: 0, 21: 0, 22: 1, 25: 1 }],
    ['MID12_50', { 5: 0, 6: 0.5, 19: 0.5, 20: 0 }],
    ['RING08_SOFT', { 5: 0, 6: 0.5, 7: 1, 10: 0.5, 11: 0, 16: 0.5, 17: 1, 20: 0.5, 21: 0 }],
    ['RING10_3', { 6: 0, 7: 1, 11: 1, 12: 0, 14: 0, 15: 1, 19: 1, 20: 0 }],
    ['OUT07', { 18: 0, 19: 1, 25: 1 }],
    ['OUT12_5', { 12: 0, 13: 0.5, 14: 1 }],
    ['ALL_B', { 0: 1, 25: 1 }],
  ])('%s', (name, published) => {
    const found = numbers(name);
    for (const [at, value] of Object.entries(published)) expect(found[Number(at)]).toBeCloseTo(value, 9);
  });

  test('have 26 numbers each, all between 0 and 1', () => {
    for (const preset of blockPresets.values()) {
      expect(preset).toHaveLength(26);
      expect(preset.map(fractionToNumber).every((x) => x >= 0 && x <= 1)).toBe(true);
    }
  });

  test('are stretched over a UNet of other depth, ends to ends', () => {
    expect(numbers('OUT12', EMOJI)).toEqual([0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    const [, ...grad] = numbers('GRAD_V', EMOJI);
    expect(grad[0]).toBe(1);
    expect(grad[6]).toBe(0);
    expect(grad[12]).toBe(1);
    expect(grad[1]).toBeCloseTo(1 - 11 / 5 / 12, 12);
  });
});

describe('tables', () => {
  test('a block counts before its group', () => {
    const table = { IN: f('1/2'), IN02: f(1), MID: f(0) };
    expect(fractionToNumber(blockFactor(table, 'conv_in.weight', EMOJI))).toBe(0.5);
    expect(fractionToNumber(blockFactor(table, 'down_blocks.0.downsamplers.0.conv.weight', EMOJI))).toBe(1);
    expect(fractionToNumber(blockFactor(table, 'mid_block.resnets.0.conv1.weight', EMOJI))).toBe(0);
    expect(fractionToNumber(blockFactor(table, 'up_blocks.0.resnets.0.conv1.weight', EMOJI))).toBe(1);
  });

  test('numbers may be given as they are pasted, with BASE or without', () => {
    expect(numbers(Array(26).fill('0.5').join(','))).toEqual(Array(26).fill(0.5));
    expect(expandBlocks(Array(25).fill('1/3').join(', '), SD).has('BASE')).toBe(false);
    expect(numbers(Array(14).fill('1').join(','), EMOJI)).toHaveLength(14);
  });

  test.each<[string, BlockTable, RegExp]>([
    [
      'a block that is not there',
      { IN12: f(1) },
      /"IN12" is no block of this UNet; it has BASE, IN00 to IN05, M00, OUT00 to OUT05/,
    ],
    ['small letters', { in04: f(1) }, /"in04" is no block/],
    ['an unknown preset', 'GRAD_X', /"GRAD_X" is no preset.*GRAD_V/],
    ['too few numbers', '1,2,3', /3 block weights; this UNet has 14 blocks with BASE, and Stable Diffusion 26/],
  ])('%s is refused', (_, table, message) => {
    expect(() => expandBlocks(table, EMOJI)).toThrow(message);
  });
});

describe('mixes', () => {
  const key = { IN01: 'down_blocks.0.resnets.0.conv1.weight', M00: 'mid_block.resnets.0.conv1.weight' };

  test('of two with one table are (1 - a) A + a B, in either order', () => {
    const A = { name: 'A', weight: f(1) };
    const B = { name: 'B', weight: f(3), blocks: { IN01: f('0.3') } };
    expect(blockMix([A, B], EMOJI)(key.IN01)).toEqual({ p: [7, 3], q: 10 });
    expect(blockMix([B, A], EMOJI)(key.IN01)).toEqual({ p: [3, 7], q: 10 });
    expect(blockMix([A, B], EMOJI)(key.M00)).toEqual({ p: [1, 3], q: 4 });
    expect(blockMix([A, { ...B, blocks: 'ALL_A' }], EMOJI)(key.M00)).toEqual({ p: [1, 0], q: 1 });
    expect(blockMix([A, { ...B, blocks: { M00: f('3/2') } }], EMOJI)(key.M00)).toEqual({ p: [-1, 3], q: 2 });
  });

  test('of three are weight times factor, scaled', () => {
    const mix = blockMix(
      [
        { name: 'A', weight: f(1), blocks: { IN: f('1/2'), M00: f(0) } },
        { name: 'B', weight: f(2) },
        { name: 'C', weight: f(1), blocks: { IN: f(0) } },
      ],
      EMOJI,
    );
    expect(mix(key.IN01)).toEqual({ p: [1, 4, 0], q: 5 });
    expect(mix(key.M00)).toEqual({ p: [0, 2, 1], q: 3 });
  });

  test('of nothing are refused by the name of the block', () => {
    const nothing = { IN03: f(0) };
    expect(() =>
      blockMix(
        [
          { name: 'A', weight: f(1), blocks: nothing },
          { name: 'B', weight: f(1), blocks: nothing },
        ],
        EMOJI,
      ),
    ).toThrow(/the block weights of IN03 add up to 0 \(A: 0, B: 0\)/);
  });
});
