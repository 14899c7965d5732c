/** LoRAs out of fine-tunes: products against doubles, errors against the best there is, and back into the base. */
import { bytesSource, type Gpu, openModelFolder, openSafetensors, type Weights } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { openDifference } from '../../packages/core/src/lora/difference.ts';
import { extractLora, loraFile, readLora, withLoras } from '../../packages/core/src/lora/index.ts';
import { type Columns, jacobiSvd } from '../../packages/core/src/lora/small-svd.ts';
import { diskFolder, PANTRY } from '../support/files.ts';
import { random, testGpu } from '../support/gpu.ts';
import { entry, type Float, fileOf, numbersOf, ulp } from '../support/lora.ts';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const only = (weights: Weights, keys: readonly string[]): Weights => ({
  ...weights,
  tensors: new Map([...weights.tensors].filter(([key]) => keys.includes(key))),
});

const pantry = async (name: string, keys: readonly string[]) => {
  const folder = await openModelFolder(diskFolder(`${PANTRY}/${name}`));
  return only((await folder.weights('unet'))!, keys);
};

const lora = (extracted: Awaited<ReturnType<typeof extractLora>>, rank: number) =>
  openSafetensors(bytesSource(loraFile(extracted, rank), 'extracted')).then(readLora);

describe('products with a difference', () => {
  test.each<[Float, Float, number[], number]>([
    ['F16', 'F16', [7, 5], 3],
    ['F16', 'F32', [13, 3, 3, 3], 1],
    ['BF16', 'F16', [1, 200], 6],
    ['F32', 'F32', [70, 9], 4],
  ])('%s and %s %j, %i columns', async (a, b, shape, count) => {
    const models = await Promise.all([fileOf('a', { w: entry(shape, 1, a) }), fileOf('b', { w: entry(shape, 2, b) })]);
    const [x, y] = await Promise.all(models.map((model) => numbersOf(model, 'w')));
    const difference = await openDifference(gpu, models[0]!.tensors.get('w')!, models[1]!.tensors.get('w')!);
    const { rows, columns } = difference;
    const d = Float64Array.from(x!, (value, i) => value - y![i]!);
    const z = (length: number): Columns =>
      Array.from({ length: count }, (_, c) => Float64Array.from(random([length], 10 + c).data));
    const [right, left] = [z(columns), z(rows)];
    const [times, transposeTimes] = [await difference.times(right), await difference.transposeTimes(left)];
    for (let c = 0; c < count; c++) {
      for (let row = 0; row < rows; row++) {
        let sum = 0;
        for (let k = 0; k < columns; k++) sum += d[row * columns + k]! * right[c]![k]!;
        expect(Math.abs(times[c]![row]! - sum)).toBeLessThan(1e-6 * columns ** 0.5);
      }
      for (let column = 0; column < columns; column++) {
        let sum = 0;
        for (let k = 0; k < rows; k++) sum += d[k * columns + column]! * left[c]![k]!;
        expect(Math.abs(transposeTimes[c]![column]! - sum)).toBeLessThan(1e-6 * rows ** 0.5);
      }
    }
    difference.destroy();
  });
});

test('of the pantry, the error is within 2% of the best that a rank allows', async () => {
  const keys = [
    'down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight',
    'down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight',
    'down_blocks.0.resnets.0.conv1.weight',
    'conv_in.weight',
    'conv_in.bias',
  ];
  const [tuned, base] = await Promise.all([pantry('noto', keys), pantry('base', keys)]);
  const extracted = await extractLora(gpu, 'unet', tuned, base, { rank: 8, dtype: 'F32' });
  expect(extracted.report.map(({ key }) => key).sort()).toEqual(keys.slice(0, 4).sort());
  expect(extracted.leftOut).toEqual(['conv_in.bias']);
  expect(extracted.leftOutShare).toBeGreaterThan(0);
  for (const { key, error, norm } of extracted.report) {
    const [a, b] = [await numbersOf(tuned, key), await numbersOf(base, key)];
    const rows = tuned.tensors.get(key)!.shape[0]!;
    // the transpose, so that there are no more columns than rows
    const columns: Columns = Array.from({ length: rows }, (_, row) =>
      Float64Array.from({ length: a.length / rows }, (_, k) => {
        const at = (row * a.length) / rows + k;
        return a[at]! - b[at]!;
      }),
    );
    const squares = [...jacobiSvd(columns).s].map((s) => s * s);
    const total = squares.reduce((x, y) => x + y, 0);
    const best = Math.sqrt(squares.slice(8).reduce((x, y) => x + y, 0) / total);
    expect(norm / Math.sqrt(total)).toBeCloseTo(1, 6);
    expect(error / best, key).toBeLessThan(1.02);
    expect(error / best, key).toBeGreaterThan(0.999);
  }
});

test.each<[string, number[]]>([
  ['a layer', [6, 10]],
  ['a convolution', [5, 4, 3, 3]],
  ['a column', [3, 1]],
])('the whole change of %s goes back into the base', async (_, shape) => {
  const key = 'mid_block.attentions.0.proj_in.weight';
  const base = await fileOf('base', { [key]: entry(shape, 1, 'F16') });
  const [x, change] = [await numbersOf(base, key), entry(shape, 2, 'F16', 0.1)];
  const tuned = await fileOf('tuned', { [key]: { shape, dtype: 'F16', data: x.map((v, i) => v + change.data[i]!) } });
  const extracted = await extractLora(gpu, 'unet', tuned, base, { rank: 64, dtype: 'F32' });
  expect(extracted.error).toBeLessThan(2e-3);
  const baked = withLoras(gpu, 'unet', base, [{ lora: await lora(extracted, 64), strength: 1 }]);
  const [found, wanted] = [await numbersOf(baked, key), await numbersOf(tuned, key)];
  for (const [i, v] of wanted.entries()) expect(Math.abs(found[i]! - v)).toBeLessThanOrEqual(ulp(v, 'F16') * 1.001);
});

test('the file is what other programs read, and the same every time', async () => {
  const keys = { 'a.b_c.weight': entry([6, 4], 1), 'd.weight': entry([4, 6, 3, 3], 1), same: entry([2], 1) };
  const base = await fileOf('base', keys);
  const tuned = await fileOf('tuned', {
    ...keys,
    'a.b_c.weight': entry([6, 4], 2),
    'd.weight': entry([4, 6, 3, 3], 2),
  });
  const make = async () =>
    loraFile(await extractLora(gpu, 'text_encoder', tuned, base, { rank: 3, convRank: 2 }), 3, { ss_v2: 'False' });
  const bytes = await make();
  const file = await openSafetensors(bytesSource(bytes, 'lora'));
  expect(
    Object.fromEntries([...file.tensors].map(([name, { dtype, shape }]) => [name, [dtype, ...shape].join()])),
  ).toEqual({
    'lora_te_a_b_c.lora_up.weight': 'F16,6,3',
    'lora_te_a_b_c.lora_down.weight': 'F16,3,4',
    'lora_te_a_b_c.alpha': 'F16',
    'lora_te_d.lora_up.weight': 'F16,4,2,1,1',
    'lora_te_d.lora_down.weight': 'F16,2,6,3,3',
    'lora_te_d.alpha': 'F16',
  });
  expect(file.metadata).toMatchObject({ ss_network_dim: '3', ss_network_alpha: '3.0', ss_v2: 'False' });
  expect(await make()).toEqual(bytes);
});

test('models of other architectures, and ranks that are none, are refused', async () => {
  const [a, b] = [await fileOf('a', { w: entry([2, 2], 1) }), await fileOf('b', { w: entry([2, 3], 1) })];
  await expect(extractLora(gpu, 'unet', a, b, { rank: 2 })).rejects.toThrow(/w is \[2, 2\] in a but \[2, 3\] in b/);
  await expect(extractLora(gpu, 'unet', a, a, { rank: 0 })).rejects.toThrow(/the rank is 0; expected a whole number/);
  const same = await extractLora(gpu, 'unet', a, a, { rank: 2 });
  expect(same).toMatchObject({ tensors: [], error: 0, leftOutShare: 0 });
});
