/** Files of a part in shards: divided and named as huggingface_hub does, and read back. */
import { openModelFolder, shardLayout, type TensorSpec, UsageError } from '@diffusion-soup/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fileOf, memoryFolder } from '../../support/safetensors.ts';
import { bytesOf } from '../../support/single-file.ts';

const tensor = (name: string, size: number): TensorSpec => ({ name, dtype: 'U8', shape: [size] });
const STEM = 'diffusion_pytorch_model';

describe('shardLayout', () => {
  it.each<[string, number[], number, string[][]]>([
    ['what fits', [1, 2, 3], 6, [['0', '1', '2']]],
    ['what does not', [1, 2, 3], 5, [['0', '1'], ['2']]],
    ['each alone', [3, 3, 3], 3, [['0'], ['1'], ['2']]],
    ['one that is too large, before the file that was being filled', [1, 9, 1], 5, [['1'], ['0', '2']]],
    ['one that is too large at the end', [2, 2, 9], 3, [['0'], ['2'], ['1']]],
    ['only such', [9, 9], 5, [['0'], ['1']]],
    [
      'empty tensors',
      [5, 0, 5, 0],
      5,
      [
        ['0', '1'],
        ['2', '3'],
      ],
    ],
    ['nothing', [], 5, [[]]],
  ])('%s', (_, sizes, maxBytes, wanted) => {
    const tensors = sizes.map((size, i) => tensor(`${i}`, size));
    const { files, index } = shardLayout(STEM, tensors, maxBytes);
    expect(files.map((file) => file.tensors.map(({ name }) => name))).toEqual(wanted);
    expect(index !== undefined).toBe(wanted.length > 1);
    if (wanted.length === 1) expect(files[0]!.name).toBe(`${STEM}.safetensors`);
  });

  it('names files and index as diffusers and transformers do', () => {
    const layout = shardLayout('model', [tensor('b', 2), tensor('a', 3), tensor('c', 4)], 5);
    expect(layout.files.map(({ name }) => name)).toEqual([
      'model-00001-of-00002.safetensors',
      'model-00002-of-00002.safetensors',
    ]);
    expect(layout.index).toEqual({
      name: 'model.safetensors.index.json',
      text: `{
  "metadata": {
    "total_size": 9
  },
  "weight_map": {
    "a": "model-00001-of-00002.safetensors",
    "b": "model-00001-of-00002.safetensors",
    "c": "model-00002-of-00002.safetensors"
  }
}
`,
    });
  });

  it.each([0, -1, Number.NaN])('refuses shards of %s bytes', (maxBytes) => {
    expect(() => shardLayout(STEM, [tensor('a', 1)], maxBytes)).toThrow(UsageError);
  });

  it('is read back, whatever the sizes', async () => {
    const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { minLength: 1, maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: 1, max: 30 }), async (sizes, maxBytes) => {
        const tensors = sizes.map((size, i) => ({ ...tensor(`t${i}`, size), bytes: new Uint8Array(size).fill(i + 1) }));
        const { files, index } = shardLayout(STEM, tensors, maxBytes);
        for (const file of files) {
          const bytes = file.tensors.reduce((sum, { bytes }) => sum + bytes.length, 0);
          expect(bytes <= maxBytes || file.tensors.length === 1).toBe(true);
        }
        const { folder } = memoryFolder({
          'unet/config.json': '{}',
          ...Object.fromEntries(files.map(({ name, tensors }) => [`unet/${name}`, fileOf(tensors)])),
          ...(index && { [`unet/${index.name}`]: index.text }),
        });
        const weights = (await (await openModelFolder(folder)).weights('unet'))!;
        expect(weights.tensors.size).toBe(tensors.length);
        for (const { name, bytes } of tensors) expect(await bytesOf(weights.tensors.get(name)!)).toEqual(bytes);
      }),
      { numRuns: 100 },
    );
  });
});
