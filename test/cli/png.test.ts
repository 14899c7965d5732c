import { constants, crc32, deflateSync } from 'node:zlib';
import { bytesSource, CheckpointError, readPngText } from '@diffusion-soup/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodePng } from '../../packages/cli/src/image/png.js';
import { decode, noise } from './pictures.js';
import '../support/properties.ts';

const picture = noise(7, 5, 3);

/** A file of the given chunks, with right checksums. */
function pngOf(...chunks: [type: string, data: Uint8Array | string][]): Uint8Array {
  const header = Buffer.from(encodePng(picture)).subarray(0, 33);
  const parts = chunks.map(([type, data]) => {
    const body = Buffer.concat([Buffer.from(type), Buffer.from(data as string, 'latin1')]);
    const ends = Buffer.alloc(8);
    ends.writeUInt32BE(body.length - 4, 0);
    ends.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([ends.subarray(0, 4), body, ends.subarray(4)]);
  });
  return Buffer.concat([header, ...parts]);
}
const end: [string, string] = ['IEND', ''];

describe('encodePng', () => {
  it.each([3, 4] as const)('gives back the pixels of %i channels', async (channels) => {
    const original = noise(37, 11, channels);
    expect(await decode(encodePng(original))).toEqual(original);
  });

  it('leaves an opaque alpha channel out', async () => {
    const opaque = noise(8, 8, 4);
    for (let i = 3; i < opaque.pixels.length; i += 4) opaque.pixels[i] = 255;
    const decoded = await decode(encodePng(opaque));
    expect(decoded.pixels.length).toBe(8 * 8 * 3);
    expect(decoded.pixels[5]).toBe(opaque.pixels[6]);
  });

  it('gives the same bytes every time', () => {
    expect(encodePng(picture, { a: 'b' })).toEqual(encodePng(picture, { a: 'b' }));
  });

  it('puts text before the pixels: tEXt for Latin-1, iTXt for the rest', () => {
    const bytes = Buffer.from(encodePng(picture, { parameters: 'Größe', other: '東京' }));
    const at = (type: string) => bytes.indexOf(type);
    expect([at('tEXt') > at('IHDR'), at('iTXt') > at('tEXt'), at('IDAT') > at('iTXt')]).toEqual([true, true, true]);
  });

  it.each(['', ' a', 'a ', 'a  b', 'x'.repeat(80), 'a\nb', '東'])('refuses the keyword %j', (keyword) => {
    expect(() => encodePng(picture, { [keyword]: 'x' })).toThrow(RangeError);
  });

  it('refuses pixels of another size', () => {
    expect(() => encodePng({ width: 2, height: 2, pixels: new Uint8Array(5) })).toThrow('2 x 2');
    expect(() => encodePng({ width: 0, height: 2, pixels: new Uint8Array(0) })).toThrow(RangeError);
  });
});

const read = (bytes: Uint8Array) => readPngText(bytesSource(bytes, 'x.png'));

describe('readPngText', () => {
  it('reads what encodePng wrote', async () => {
    const keyword = fc.stringMatching(/^[a-zA-Z][a-zA-Z_ ]{0,20}[a-z]$/).filter((word) => !word.includes('  '));
    const value = fc.string({ unit: 'grapheme', maxLength: 200 }).filter((text) => !/[\r\0]/.test(text));
    await fc.assert(
      fc.asyncProperty(fc.dictionary(keyword, value), async (text) => {
        const { texts, width, height } = await read(encodePng(picture, text));
        expect(Object.fromEntries(texts)).toEqual({ ...text });
        expect([width, height]).toEqual([picture.width, picture.height]);
      }),
    );
  });

  it('reads compressed text, and the first of two with one name', async () => {
    const packed = deflateSync(Buffer.from('hello 東京'));
    const international = Buffer.concat([Buffer.from('b\0\x01\0de\0titel\0', 'latin1'), packed]);
    const bytes = pngOf(
      ['zTXt', Buffer.concat([Buffer.from('a\0\0'), deflateSync('packed')])],
      ['iTXt', international],
      ['tEXt', 'a\0second'],
      end,
    );
    expect([...(await read(bytes)).texts]).toEqual([
      ['a', 'packed'],
      ['b', 'hello 東京'],
    ]);
  });

  it('keeps hostile keywords harmless', async () => {
    expect((await read(pngOf(['tEXt', '__proto__\0x'], end))).texts.get('__proto__')).toBe('x');
  });

  const good = encodePng(picture, { parameters: 'a prompt' });
  const changed = (change: (bytes: Buffer) => void) => {
    const copy = Buffer.from(good);
    change(copy);
    return copy;
  };
  const bomb = deflateSync(Buffer.alloc(64 << 20), { level: constants.Z_BEST_SPEED });
  it.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(0), 'not a PNG'],
    ['another format', Buffer.from('GIF89a'), 'not a PNG'],
    ['a file that is cut short', good.subarray(0, good.length - 13), 'cut short'],
    ['a length of 2 GB', changed((bytes) => bytes.writeUInt32BE(0x7fffffff, 33)), '2147483647 bytes'],
    ['a length of 4 GB', changed((bytes) => bytes.writeUInt32BE(0xffffffff, 33)), '4294967295 bytes'],
    ['a wrong checksum', changed((bytes) => bytes.writeUInt8(0x41, 60)), 'checksum'],
    ['a broken header', changed((bytes) => bytes.writeUInt8(9, 20)), 'checksum'],
    ['a chunk type of control characters', pngOf(['\x00\x1b[m', '']), 'no valid type'],
    ['no header', changed((bytes) => bytes.write('IHDX', 12)), 'not a PNG header'],
    ['a bomb', pngOf(['zTXt', Buffer.concat([Buffer.from('a\0\0'), bomb])], end), 'unpacked'],
    ['a bomb in iTXt', pngOf(['iTXt', Buffer.concat([Buffer.from('a\0\x01\0\0\0'), bomb])], end), 'unpacked'],
    ['rubbish for zlib', pngOf(['zTXt', 'a\0\0rubbish'], end), 'unpacked'],
    ['an unknown compression', pngOf(['zTXt', 'a\0\x07x'], end), 'malformed'],
    ['text without a keyword', pngOf(['tEXt', '\0x'], end), 'malformed'],
    ['text without an end of its keyword', pngOf(['tEXt', 'x'.repeat(200)], end), 'malformed'],
    ['iTXt without its fields', pngOf(['iTXt', 'a\0\0\0en'], end), 'malformed'],
  ])('refuses %s', async (_, bytes, message) => {
    const error = await read(bytes).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toContain(message);
  });

  it('throws nothing but CheckpointError for any damage', async () => {
    const damage = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(damage, fc.nat(good.length), async (changes, length) => {
        const bytes = changed((copy) => {
          for (const [at, value] of changes) copy.writeUInt8(value, at);
        }).subarray(0, length);
        try {
          await read(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(CheckpointError);
        }
      }),
      { numRuns: 500 },
    );
  });
});
