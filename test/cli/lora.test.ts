/** `soup lora`: out of a fine-tune into a file, and what is said of files. */
import { writeFileSync } from 'node:fs';
import { closeWeights, openModelFolder, openSafetensors, readBytes, toFloat32 } from '@diffusion-soup/core';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { encodeSafetensorsHeader } from '../../packages/core/src/checkpoint/safetensors-writer.ts';
import { scratch, soup } from '../support/cli.ts';
import { diskFolder, fileSource, PANTRY } from '../support/files.ts';

let folder: ReturnType<typeof scratch>;
beforeEach(() => {
  folder = scratch();
});
afterEach(() => folder.remove());

test('extract writes a file that inspect reads, and that fits the base', async () => {
  const out = folder.in('noto.safetensors');
  const extracted = await soup([
    'lora',
    'extract',
    'noto',
    '--base',
    'base',
    '--rank',
    '2',
    '-o',
    out,
    '--iterations',
    '0',
    '--json',
  ]);
  expect(extracted.code, extracted.stderr).toBe(0);
  const result = JSON.parse(extracted.stdout);
  expect(result.path).toBe(out);
  const [unet] = result.parts;
  expect(unet.part).toBe('unet');
  expect(unet.layers.length).toBeGreaterThan(100);
  expect(unet.error).toBeGreaterThan(0.1);
  expect(unet.error).toBeLessThan(1);
  expect(unet.leftOut.every((key: string) => /\.bias$|norm/.test(key))).toBe(true);

  const inspected = await soup(['lora', 'inspect', out, '--model', 'base', '--json']);
  expect(inspected.code, inspected.stderr).toBe(0);
  expect(JSON.parse(inspected.stdout).loras).toMatchObject([
    {
      path: out,
      parts: [{ part: 'unet', layers: unet.layers.length, ranks: [2], alphas: [2], dtypes: ['F16'] }],
      fits: { layers: unet.layers.length },
      metadata: {
        ss_network_dim: '2',
        ss_sd_model_name: 'base',
        'modelspec.title': 'noto',
        'modelspec.prediction_type': 'v',
      },
    },
  ]);
  const baked = await soup(['merge', 'base', '--lora', `${out}:1`, '--out', folder.in('baked'), '--json']);
  expect(baked.code, baked.stderr).toBe(0);
  const key = 'mid_block.attentions.0.proj_in.weight';
  const numbers = async (path: string) => {
    const weights = (await (await openModelFolder(diskFolder(path))).weights('unet'))!;
    const { source, offset, byteLength, dtype } = weights.tensors.get(key)!;
    const found = toFloat32(await readBytes(source, offset, byteLength), dtype);
    await closeWeights(weights);
    return found;
  };
  const [a, b, c] = await Promise.all([`${PANTRY}/base`, `${PANTRY}/noto`, folder.in('baked')].map(numbers));
  const distance = (x: Float32Array, y: Float32Array) => Math.hypot(...x.map((v, i) => v - y[i]!));
  const lost = unet.layers.find((layer: { key: string }) => layer.key === key).error;
  expect(distance(b!, c!) / distance(a!, b!)).toBeCloseTo(lost, 2);

  const source = await fileSource(out);
  expect((await openSafetensors(source)).metadata).not.toHaveProperty('modelspec.architecture');
  await source.close?.();
}, 180_000);

describe('refusals', () => {
  test.each<[string, string[], number, RegExp]>([
    ['no base', ['lora', 'extract', 'noto', '-o', 'x.safetensors'], 2, /--base/],
    ['another ending', ['lora', 'extract', 'noto', '--base', 'base', '-o', 'x.ckpt'], 2, /ends in .safetensors/],
    ['no change', ['lora', 'extract', 'base', '--base', 'base', '-o', 'x.safetensors'], 2, /there is no LoRA in it/],
    [
      'a rank of 0',
      ['lora', 'extract', 'noto', '--base', 'base', '--rank', '0', '-o', 'x.safetensors'],
      2,
      /from 1 to 1024/,
    ],
    ['a model', ['lora', 'inspect', `${PANTRY}/noto/unet/diffusion_pytorch_model.safetensors`], 3, /no name of a LoRA/],
    ['no file', ['lora', 'inspect', 'nowhere.safetensors'], 3, /does not exist/],
  ])('%s', async (_, args, code, message) => {
    const result = await soup(args);
    expect([result.code, result.stderr]).toEqual([code, expect.stringMatching(message)]);
  });

  test('a LoRA of another architecture', async () => {
    const place = 'lora_unet_input_blocks_30_1_proj_in';
    const shapes = { up: [2, 1], down: [1, 2] };
    const { header, size } = encodeSafetensorsHeader(
      Object.entries(shapes).map(([role, shape]) => ({
        name: `${place}.lora_${role}.weight`,
        dtype: 'F16' as const,
        shape,
      })),
    );
    const bytes = new Uint8Array(size);
    bytes.set(header);
    writeFileSync(folder.in('other.safetensors'), bytes);
    const result = await soup(['lora', 'inspect', folder.in('other.safetensors'), '--model', 'noto']);
    expect([result.code, result.stderr]).toEqual([
      4,
      expect.stringMatching(/changes a layer that .* has not: "lora_unet_input/),
    ]);
  });
});
