/** Good files: what is read, what the writer writes, how much is read, and how fast. */
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../../packages/core/src/checkpoint/safetensors.ts';
import { encodeSafetensorsHeader, type TensorSpec } from '../../../packages/core/src/checkpoint/safetensors-writer.ts';
import { readBytes, type Source } from '../../../packages/core/src/checkpoint/source.ts';
import { CheckpointError, DiskError } from '../../../packages/core/src/errors.ts';
import { cpuTime } from '../../support/cpu-time.ts';
import { fileSource, PANTRY, REFERENCE } from '../../support/files.ts';
import { rejection, safetensorsFile, source } from '../../support/safetensors.ts';

const tensor = (dtype: string, shape: number[], begin: number, end: number) =>
  JSON.stringify({ dtype, shape, data_offsets: [begin, end] });
const F32 = tensor('F32', [2], 0, 8);

describe('openSafetensors accepts', () => {
  it.each<[string, string, number, string[]]>([
    ['one tensor', `{"w":${F32}}`, 8, ['w']],
    ['no tensors', '{}', 0, []],
    ['leading white space', ` \t\r\n{"w":${F32}}`, 8, ['w']],
    ['trailing white space', `{"w":${F32}} \t\r\n`, 8, ['w']],
    ['rank 0', `{"w":${tensor('F32', [], 0, 4)}}`, 4, ['w']],
    ['rank 1000', `{"w":${tensor('U8', Array(1000).fill(1), 0, 1)}}`, 1, ['w']],
    [
      'an empty tensor, at an odd offset',
      `{"b":${tensor('F32', [0, 9], 3, 3)},"a":${tensor('U8', [3], 0, 3)}}`,
      3,
      ['b', 'a'],
    ],
    ['an empty tensor with huge other sides', `{"w":${tensor('F32', [0, 2 ** 52, 2 ** 52], 0, 0)}}`, 0, ['w']],
    ['sub-byte types that fill whole bytes', `{"w":${tensor('F4', [2, 3], 0, 3)}}`, 3, ['w']],
    ['any order of offsets', `{"b":${tensor('U8', [1], 1, 2)},"a":${tensor('U8', [1], 0, 1)}}`, 2, ['b', 'a']],
    ['any order of fields', '{"w":{"data_offsets":[0,1],"shape":[1],"dtype":"U8"}}', 1, ['w']],
    ['unknown fields', '{"w":{"dtype":"U8","x":{"y":[1e3]},"shape":[1],"data_offsets":[0,1]}}', 1, ['w']],
    ['"__metadata__": null', `{"__metadata__":null,"w":${F32}}`, 8, ['w']],
    [
      'names of Object.prototype',
      `{"__proto__":${tensor('U8', [1], 0, 1)},"toString":${tensor('U8', [1], 1, 2)}}`,
      2,
      ['__proto__', 'toString'],
    ],
    [
      'odd but lawful names',
      `{"../\\u0000\\u001b[31m":${tensor('U8', [1], 0, 1)},"":${tensor('U8', [1], 1, 2)}}`,
      2,
      ['../\0\u001b[31m', ''],
    ],
    ['a name of 1 MB', `{"${'n'.repeat(1e6)}":${F32}}`, 8, ['n'.repeat(1e6)]],
  ])('%s', async (_, header, data, names) => {
    const weights = await openSafetensors(source(safetensorsFile(header, { data })));
    expect([...weights.tensors.keys()]).toEqual(names);
  });

  it('metadata without a prototype', async () => {
    const header = '{"__metadata__":{"format":"pt","__proto__":"x","\\u00e9":"\\n"}}';
    const { metadata } = await openSafetensors(source(safetensorsFile(header)));
    expect(Object.entries(metadata)).toEqual([
      ['format', 'pt'],
      ['__proto__', 'x'],
      ['é', '\n'],
    ]);
    expect(metadata.toString).toBeUndefined();
  });

  it('and says where the bytes are', async () => {
    const header = `{"a":${tensor('U8', [1], 0, 1)},"w":${tensor('F16', [3, 1], 1, 7)}}`;
    const file = source(safetensorsFile(header, { data: 7 }));
    const { name, tensors } = await openSafetensors(file);
    expect(name).toBe(file.name);
    expect(tensors.get('w')).toEqual({
      name: 'w',
      dtype: 'F16',
      shape: [3, 1],
      source: file,
      offset: 8 + header.length + 1,
      byteLength: 6,
    });
  });
});

describe('openSafetensors', () => {
  it('reads the length and the header, and never a tensor', async () => {
    const header = `{"w":${tensor('F32', [1e9], 0, 4e9)}}`;
    const bytes = safetensorsFile(header);
    const reads: [number, number][] = [];
    const huge: Source = {
      ...source(bytes),
      size: bytes.length + 4e9,
      async readInto(target, offset) {
        reads.push([offset, offset + target.length]);
        target.set(bytes.subarray(offset, offset + target.length));
      },
    };
    await openSafetensors(huge);
    expect(reads).toEqual([
      [0, 272],
      [8, 8 + header.length],
    ]);
  });

  it.each([
    ['100,000 tensors', 100_000, false, 100_000],
    ['262,144 tensors in reverse', 262_144, true, 262_144],
    ['a flood of 1,000,000, by refusing it', 1_000_000, false, undefined],
  ])('copes with %s in 3 s', async (_, count, reversed, size) => {
    const entries = Array.from({ length: count }, (__, i) => `"t${i}":${tensor('U8', [1], i, i + 1)}`);
    if (reversed) entries.reverse();
    const file = source(safetensorsFile(`{${entries.join()}}`, { data: count }));
    const start = cpuTime();
    const weights = await openSafetensors(file).catch((error: unknown) => {
      expect(error).toBeInstanceOf(CheckpointError);
      expect((error as Error).message).toContain('more than 262144 tensors are listed');
    });
    expect(cpuTime() - start).toBeLessThan(3000);
    expect(weights?.tensors.size).toBe(size);
  });

  it.each([
    [
      'throws',
      async () => {
        throw new Error('EIO \u001b[2J');
      },
    ],
    [
      'shrinks',
      async () => {
        throw new RangeError('short read');
      },
    ],
  ])('says that the disk failed when the source %s', async (_, readInto) => {
    const error = await rejection(openSafetensors({ name: 'disk/w.safetensors', size: 100, readInto }));
    expect(error).toBeInstanceOf(DiskError);
    expect(error).toMatchObject({
      exitCode: 8,
      cause: expect.any(Error),
      facts: { file: 'disk/w.safetensors', byte: 0 },
    });
    expect((error as Error).message).not.toContain('\u001b');
  });
});

const REAL = [
  `${PANTRY}/base/unet/diffusion_pytorch_model.safetensors`,
  `${PANTRY}/base/vae/diffusion_pytorch_model.safetensors`,
  `${PANTRY}/base/text_encoder/model.safetensors`,
  `${PANTRY}/ink/unet/diffusion_pytorch_model.safetensors`,
  `${REFERENCE}/sd15-tiny/unet/diffusion_pytorch_model.safetensors`,
  `${REFERENCE}/sd15-tiny/golden-pipeline.safetensors`,
  `${REFERENCE}/sd21-tiny/text_encoder/model.safetensors`,
];

describe('a file that the reference implementation wrote', () => {
  it.each(REAL)('%s gets the same header from our writer, byte for byte', async (path) => {
    const file = await fileSource(path);
    const { tensors, metadata } = await openSafetensors(file);
    expect(tensors.size).toBeGreaterThan(0);
    const shuffled: TensorSpec[] = [...tensors.values()].sort((a, b) => a.byteLength - b.byteLength);
    const { header, offsets, size } = encodeSafetensorsHeader(shuffled, metadata);
    expect(size).toBe(file.size);
    expect(header).toEqual(await readBytes(file, 0, header.length));
    for (const { name, offset } of tensors.values()) expect(offsets.get(name)).toBe(offset);
    await file.close?.();
  });
});

describe('encodeSafetensorsHeader', () => {
  it('sorts by alignment, then by code point, and pads to 8', async () => {
    const specs: TensorSpec[] = [
      { name: 'byte', dtype: 'U8', shape: [3] },
      { name: '😀', dtype: 'F16', shape: [1] },
      { name: '\ufffd', dtype: 'F16', shape: [1] }, // before the face in UTF-8, after it in UTF-16
      { name: 'big', dtype: 'I64', shape: [] },
    ];
    const { header, offsets, size } = encodeSafetensorsHeader(specs, { format: 'pt' });
    expect([...offsets.keys()]).toEqual(['big', '\ufffd', '😀', 'byte']);
    expect(header.length % 8).toBe(0);
    expect(size).toBe(header.length + 15);
    const file = new Uint8Array(size);
    file.set(header);
    const weights = await openSafetensors(source(file));
    expect(weights.metadata).toEqual({ format: 'pt' });
    expect([...weights.tensors.values()].map(({ name, offset }) => [name, offset])).toEqual([...offsets]);
  });

  it.each<[string, TensorSpec[]]>([
    [
      'two of one name',
      [
        { name: 'w', dtype: 'U8', shape: [] },
        { name: 'w', dtype: 'U8', shape: [] },
      ],
    ],
    ['the name of the metadata', [{ name: '__metadata__', dtype: 'U8', shape: [] }]],
    ['half a surrogate pair', [{ name: '\ud800', dtype: 'U8', shape: [] }]],
    ['half a byte', [{ name: 'w', dtype: 'F4', shape: [3] }]],
    ['a negative side', [{ name: 'w', dtype: 'U8', shape: [-1] }]],
    ['a fractional side', [{ name: 'w', dtype: 'U8', shape: [1.5] }]],
    ['too many bytes to count', [{ name: 'w', dtype: 'U8', shape: [2 ** 50, 2 ** 50] }]],
  ])('refuses %s', (_, specs) => expect(() => encodeSafetensorsHeader(specs)).toThrow(CheckpointError));

  it('refuses metadata that could not be read back', () => {
    expect(() => encodeSafetensorsHeader([], { a: '\udc00' })).toThrow('surrogate');
    expect(() => encodeSafetensorsHeader([], { a: 'x'.repeat(100_000_000) })).toThrow('100000000');
  });
});
