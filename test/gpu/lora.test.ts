/** LoRAs baked into weights on the GPU, against the same sums in doubles. */
import { blendOf, type Gpu, layOutFile, mergeSafetensors, outputsOf } from '@diffusion-soup/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { fromFloat32, toFloat32 } from '../../packages/core/src/checkpoint/dtype.ts';
import { readBytes } from '../../packages/core/src/checkpoint/source.ts';
import { readLora, withLoras } from '../../packages/core/src/lora/index.ts';
import { testGpu } from '../support/gpu.ts';
import { changed, type Entry, entry, type Float, fileOf, numbersOf, scalar, ulp } from '../support/lora.ts';

const KEY = 'mid_block.attentions.0.proj_in.weight';
const PLACE = 'lora_unet_mid_block_attentions_0_proj_in';

let gpu: Gpu;
beforeAll(async () => {
  gpu = await testGpu('f32');
});

const loraOf = async (name: string, up: Entry, down: Entry, alpha?: number) =>
  readLora(
    await fileOf(name, {
      [`${PLACE}.lora_up.weight`]: up,
      [`${PLACE}.lora_down.weight`]: down,
      ...(alpha !== undefined && { [`${PLACE}.alpha`]: scalar(alpha) }),
    }),
  );

/** No element further from the exact sum than an ulp, and almost all rounded to the nearest. */
function expectRounded(actual: Float32Array, exact: Float64Array, type: Float) {
  const nearest = toFloat32(fromFloat32(Float32Array.from(exact), type), type);
  let others = 0;
  for (const [i, v] of exact.entries()) {
    // f32 sums of products near 1 are wrong by some 2^-24 themselves, which shows where they cancel
    expect(Math.abs(actual[i]! - v), `element ${i}`).toBeLessThanOrEqual(ulp(v, type) + 2 ** -20);
    if (actual[i] !== nearest[i]) others++;
  }
  if (type !== 'F32') expect(others).toBeLessThanOrEqual(Math.ceil(exact.length / 200));
}

describe('W + strength * alpha / rank * up @ down', () => {
  test.each<[Float, number[], number, Float]>([
    ['F16', [8, 8], 4, 'F16'],
    ['F16', [5, 7], 1, 'F32'],
    ['F16', [7, 5, 3, 3], 3, 'F16'],
    ['BF16', [13, 11], 17, 'BF16'],
    ['F32', [33, 65], 17, 'F32'],
    ['F32', [3, 5, 1, 1], 3, 'F16'],
    ['BF16', [1, 1], 1, 'F32'],
    ['F16', [130, 257], 3, 'F32'],
  ])('%s %j, rank %i of %s', async (type, shape, rank, loraType) => {
    const [rows, ...rest] = shape as [number, ...number[]];
    const w = entry(shape, 1, type);
    const tail = shape.length === 4 ? [1, 1] : [];
    const up = entry([rows, rank, ...tail], 2, loraType);
    const down = entry([rank, ...rest], 3, loraType);
    const model = await fileOf('model', { [KEY]: w, 'other.bias': entry([3], 4) });
    const baked = withLoras(gpu, 'unet', model, [{ lora: await loraOf('a', up, down, 2), strength: 0.75 }]);
    const stored = (e: Entry) => ({ ...e, data: toFloat32(fromFloat32(e.data, e.dtype!), e.dtype!) });
    const exact = changed(stored(w).data, stored(up), stored(down), (0.75 * 2) / rank);
    expect(baked.tensors.get(KEY)).toMatchObject({ dtype: type, shape, offset: 0 });
    expectRounded(await numbersOf(baked, KEY), exact, type);
    expect(baked.tensors.get('other.bias')).toBe(model.tensors.get('other.bias'));
  });

  test('LoCon with a convolution in the middle', async () => {
    const w = entry([6, 5, 3, 3], 1, 'F32');
    const [up, mid, down] = [entry([6, 2, 1, 1], 2), entry([2, 3, 3, 3], 3), entry([3, 5, 1, 1], 4)];
    const file = await fileOf('locon', {
      [`${PLACE}.lora_up.weight`]: up,
      [`${PLACE}.lora_mid.weight`]: mid,
      [`${PLACE}.lora_down.weight`]: down,
    });
    const exact = Float64Array.from(w.data);
    // einsum("i j k, p i, j c -> p c k"), as LyCORIS has it
    for (let p = 0; p < 6; p++)
      for (let c = 0; c < 5; c++)
        for (let k = 0; k < 9; k++)
          for (let i = 0; i < 2; i++)
            for (let j = 0; j < 3; j++)
              exact[(p * 5 + c) * 9 + k]! +=
                mid.data[(i * 3 + j) * 9 + k]! * up.data[p * 2 + i]! * down.data[j * 5 + c]!;
    const model = await fileOf('model', { [KEY]: w });
    const baked = withLoras(gpu, 'unet', model, [{ lora: await readLora(file), strength: 1 }]);
    expectRounded(await numbersOf(baked, KEY), exact, 'F32');
  });

  test('of two LoRAs is one sum, rounded once, in either order', async () => {
    const w = entry([9, 10], 1, 'F16');
    const [a, b] = [
      [entry([9, 2], 2), entry([2, 10], 3)],
      [entry([9, 5], 4), entry([5, 10], 5)],
    ] as const;
    const loras = [
      { lora: await loraOf('a', ...a), strength: 0.5 },
      { lora: await loraOf('b', ...b, 10), strength: -1.25 },
    ];
    const model = await fileOf('model', { [KEY]: w });
    const exact = changed(changed(toFloat32(fromFloat32(w.data, 'F16'), 'F16'), ...a, 0.5), ...b, -2.5);
    const both = await numbersOf(withLoras(gpu, 'unet', model, loras), KEY);
    expectRounded(both, exact, 'F16');
    expect(await numbersOf(withLoras(gpu, 'unet', model, [...loras].reverse()), KEY)).toEqual(both);
  });

  test('may be read in any pieces', async () => {
    const model = await fileOf('model', { [KEY]: entry([37, 41], 1, 'F16') });
    const lora = await loraOf('a', entry([37, 3], 2), entry([3, 41], 3));
    const info = withLoras(gpu, 'unet', model, [{ lora, strength: 1 }]).tensors.get(KEY)!;
    const whole = await readBytes(info.source, 0, info.byteLength);
    for (const [offset, length] of [
      [0, 2],
      [2, 82],
      [6, 1],
      [1201, 333],
      [info.byteLength - 2, 2],
    ] as const) {
      expect(await readBytes(info.source, offset, length)).toEqual(whole.slice(offset, offset + length));
    }
  });

  test('of a tensor larger than one chunk is the same as of its pieces', async () => {
    const side = 2999; // 18 MB, where 16 MiB are computed at once
    const model = await fileOf('model', { [KEY]: entry([side, side], 1, 'F16') });
    const lora = await loraOf('a', entry([side, 1], 2), entry([1, side], 3));
    const info = withLoras(gpu, 'unet', model, [{ lora, strength: 1 }]).tensors.get(KEY)!;
    const whole = await readBytes(info.source, 0, info.byteLength);
    for (const offset of [0, 2 ** 24 - 64, 2 ** 24 + 62, info.byteLength - 128]) {
      expect(await readBytes(info.source, offset, 128)).toEqual(whole.slice(offset, offset + 128));
    }
    const [w, up, down] = [entry([1], 1), entry([side], 2).data, entry([side], 3).data];
    const bits = toFloat32(whole.slice(0, 2), 'F16')[0]!;
    expect(Math.abs(bits - (w.data[0]! + up[0]! * down[0]!))).toBeLessThan(1e-3);
    const last = toFloat32(whole.slice(-2), 'F16')[0]!;
    const before = (await numbersOf(model, KEY)).at(-1)!;
    expect(Math.abs(last - (before + up[side - 1]! * down[side - 1]!))).toBeLessThan(1e-3);
  });

  test('leaves infinities and NaNs of the model for the averager to refuse, and makes none by itself', async () => {
    const data = Float32Array.of(1, Number.POSITIVE_INFINITY, Number.NaN, -65504);
    const model = await fileOf('model', { [KEY]: { shape: [2, 2], data, dtype: 'F16' } });
    const one = { shape: [2, 1], data: Float32Array.of(1, 1) };
    const lora = await loraOf('a', one, { shape: [1, 2], data: Float32Array.of(1, 1) });
    const baked = withLoras(gpu, 'unet', model, [{ lora, strength: 1 }]);
    expect([...(await numbersOf(baked, KEY))]).toEqual([2, Number.POSITIVE_INFINITY, Number.NaN, -65504]);
  });
});

test('what was baked is averaged and written like any weights', async () => {
  const w = entry([6, 6], 1, 'F16');
  const model = await fileOf('model', { [KEY]: w });
  const lora = await loraOf('a', entry([6, 2], 2), entry([2, 6], 3));
  const baked = withLoras(gpu, 'unet', model, [{ lora, strength: 1 }]);
  const pieces: number[] = [];
  for await (const piece of mergeSafetensors(gpu, layOutFile(outputsOf(blendOf([model, baked])))))
    pieces.push(...piece);
  const merged = toFloat32(Uint8Array.from(pieces.slice(-72)), 'F16');
  const [a, b] = [await numbersOf(model, KEY), await numbersOf(baked, KEY)];
  expect([...merged]).toEqual([
    ...toFloat32(
      fromFloat32(
        a.map((x, i) => (x + b[i]!) / 2),
        'F16',
      ),
      'F16',
    ),
  ]);
});

test('no LoRA, or one of strength 0, changes nothing', async () => {
  const model = await fileOf('model', { [KEY]: entry([4, 4], 1, 'F16') });
  const lora = await loraOf('a', entry([4, 2], 2), entry([2, 4], 3));
  expect(withLoras(gpu, 'unet', model, [])).toBe(model);
  expect(withLoras(gpu, 'unet', model, [{ lora, strength: 0 }])).toBe(model);
  expect(() => withLoras(gpu, 'unet', model, [{ lora, strength: Number.NaN }])).toThrow(/strength of a is NaN/);
});

test('a LoRA with a NaN in it is refused with its place', async () => {
  const model = await fileOf('model', { [KEY]: entry([2, 2], 1, 'F16') });
  const up = { shape: [2, 1], data: Float32Array.of(1, Number.NaN) };
  const lora = await loraOf('broken', up, entry([1, 2], 3));
  const baked = withLoras(gpu, 'unet', model, [{ lora, strength: 1 }]);
  await expect(numbersOf(baked, KEY)).rejects.toThrow(/broken: tensor ".*lora_up.weight" is NaN at element 1/);
});
