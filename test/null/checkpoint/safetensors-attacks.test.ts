/**
 * Wrong and hostile files. Every one must be refused with a CheckpointError that names the file, the tensor where
 * there is one and the byte, that says what to do, and that holds nothing a terminal would obey.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openSafetensors } from '../../../packages/core/src/checkpoint/safetensors.ts';
import { CheckpointError } from '../../../packages/core/src/errors.ts';
import { cpuTime } from '../../support/cpu-time.ts';
import { FILE, latin1, rejection, safetensorsFile, source } from '../../support/safetensors.ts';

const U8 = '{"dtype":"U8","shape":[1],"data_offsets":[0,1]}';
const field = (fields: string) => `{"w":{${fields}}}`;
const entry = (dtype: string, shape: string, offsets: string) =>
  field(`"dtype":"${dtype}","shape":${shape},"data_offsets":${offsets}`);
const two = (first: string, second: string) =>
  `{"a":{"dtype":"U8","shape":[4],"data_offsets":${first}},"b":{"dtype":"U8","shape":[4],"data_offsets":${second}}}`;
const length = (n: bigint) => safetensorsFile('{}', { length: n });
const join = (...parts: Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]));

interface Attack {
  what: string;
  file: Uint8Array;
  says: string;
  byte?: number;
  tensor?: string;
}
const attack = (what: string, file: Uint8Array | string, says: string, byte?: number, tensor?: string): Attack => ({
  what,
  file: typeof file === 'string' ? safetensorsFile(file, { data: 8 }) : file,
  says,
  byte,
  tensor,
});

const LENGTHS = [
  attack('an empty file', new Uint8Array(0), 'the file is empty', 0),
  attack('7 bytes', new Uint8Array(7), 'the file has 7 bytes', 0),
  attack('a length of 0', length(0n), 'the header is empty', 8),
  attack('a length of 1', safetensorsFile('{'), 'expected a key in quotes, found the end', 9),
  attack('a length beyond the file', length(3n), 'claims 3 bytes, but the file has 10 in all', 0),
  attack('a length of 100,000,001', length(100_000_001n), 'claims 100000001 bytes; at most 100000000', 0),
  attack('a length of 2^53', length(2n ** 53n), 'claims 9007199254740992 bytes', 0),
  attack('a length of 2^63', length(2n ** 63n), 'claims 9223372036854775808 bytes', 0),
  attack('a length of 2^64 - 1', length(2n ** 64n - 1n), 'claims 18446744073709551615 bytes', 0),
  attack('a file cut in the header', safetensorsFile(`{"w":${U8}}`).subarray(0, 30), 'but the file has 30 in all', 0),
  attack('a file cut in the data', safetensorsFile(entry('U8', '[9]', '[0,9]'), { data: 8 }), 'incomplete', 69, 'w'),
  attack('a file cut to its header', safetensorsFile(`{"w":${U8}}`), 'but the file ends at', 60 + 1, 'w'),
];

const TEXTS = [
  attack('no UTF-8', join(length(3n).subarray(0, 8), Uint8Array.of(0x7b, 0xff, 0x7d)), 'not UTF-8', 9),
  attack('overlong UTF-8', safetensorsFile(Uint8Array.of(0x7b, 0x22, 0xc0, 0x80, 0x22)), 'not UTF-8', 10),
  attack('a UTF-8 surrogate', safetensorsFile(Uint8Array.of(0x7b, 0x22, 0xed, 0xa0, 0x80, 0x22)), 'not UTF-8', 10),
  attack('half a UTF-8 character', safetensorsFile(Uint8Array.of(0x7b, 0x22, 0xe2, 0x82)), 'not UTF-8', 10),
  attack('a byte order mark', `\ufeff{"w":${U8}}`, 'expected an object, found "\\u{feff}"', 8),
  attack('UTF-16', safetensorsFile(latin1('\xff\xfe{\0}\0')), 'not UTF-8', 8),
  attack('no JSON', 'hello', 'expected an object, found "hello"', 8),
  attack('an array', '[]', 'expected an object', 8),
  attack('null', 'null', 'expected an object, found "null"', 8),
  attack('a number', '42', 'expected an object', 8),
  attack('a string', '"w"', 'expected an object', 8),
  attack('white space alone', '    ', 'expected an object, found the end', 12),
  attack('trailing NULs', '{}\0\0\0\0', 'expected nothing more, found "\\u{0}"', 10),
  attack('trailing garbage', '{}x', 'expected nothing more, found "x"', 10),
  attack('a second object', '{}{}', 'expected nothing more', 10),
  attack('a trailing comma', `{"w":${U8},}`, 'expected a key in quotes', 8 + 6 + U8.length),
  attack('a comment', '{/* */}', 'expected a key in quotes', 9),
  attack('single quotes', "{'w':1}", 'expected a key in quotes', 9),
  attack('arrays nested a million deep', field(`"x":${'['.repeat(1e6)}`), 'nest deeper than 128', undefined, 'w'),
  attack('objects nested a million deep', `{"w":{${'"x":{'.repeat(1e6)}`, 'nest deeper than 128', undefined, 'w'),
  attack('a lone surrogate in a name', `{"\\ud83d":${U8}}`, 'half of a surrogate pair', 10),
  attack('a raw control character in a name', `{"a\u001b[31m":${U8}}`, 'control character "\\u{1b}"', 11),
  attack('an unfinished name', '{"www', 'ends inside a string', 13),
];

const KEYS = [
  attack('a tensor twice', `{"w":${U8},"w":${U8}}`, 'the key "w" occurs twice', 61),
  attack('a tensor twice, once escaped', `{"w":${U8},"\\u0077":${U8}}`, 'the key "w" occurs twice', 61),
  attack('"__metadata__" twice', '{"__metadata__":{},"__metadata__":{}}', '"__metadata__" occurs twice', 27),
  attack('a metadata key twice', '{"__metadata__":{"a":"","a":""}}', 'the key "a" occurs twice', 32),
  attack(
    '"dtype" twice',
    field('"dtype":"U8","dtype":"F32","shape":[1],"data_offsets":[0,1]'),
    '"dtype" occurs twice',
    27,
    'w',
  ),
  attack(
    '"shape" twice',
    field('"shape":[1],"shape":[2],"dtype":"U8","data_offsets":[0,1]'),
    '"shape" occurs twice',
    26,
    'w',
  ),
  attack('"__proto__" twice', `{"__proto__":${U8},"__proto__":${U8}}`, '"__proto__" occurs twice', 69),
  attack('"__metadata__" is a list', '{"__metadata__":[]}', 'expected an object', 24),
  attack('metadata holds a number', '{"__metadata__":{"a":1}}', 'only strings, but "a" is "1"', 29),
  attack('metadata holds an object', '{"__metadata__":{"a":{}}}', 'only strings, but "a" is "{"', 29),
  attack('metadata holds null', '{"__metadata__":{"a":null}}', 'only strings, but "a" is "null"', 29),
  attack('a tensor that is a list', '{"w":["U8",[1],[0,1]]}', 'expected an object', 13, 'w'),
  attack('a tensor that is null', '{"w":null}', 'expected an object, found "null"', 13, 'w'),
  attack('a tensor without fields', '{"w":{}}', '"dtype" is missing', 13, 'w'),
  attack('no dtype', field('"shape":[1],"data_offsets":[0,1]'), '"dtype" is missing', 13, 'w'),
  attack('no shape', field('"dtype":"U8","data_offsets":[0,1]'), '"shape" is missing', 13, 'w'),
  attack('no data_offsets', field('"dtype":"U8","shape":[1]'), '"data_offsets" is missing', 13, 'w'),
];

const TENSORS = [
  attack('an unknown dtype', entry('F7', '[1]', '[0,1]'), '"dtype" is "F7"; safetensors knows BOOL', 22, 'w'),
  attack('a lower-case dtype', entry('f32', '[1]', '[0,4]'), '"dtype" is "f32"', 22, 'w'),
  attack('dtype "__proto__"', entry('__proto__', '[1]', '[0,4]'), '"dtype" is "__proto__"', 22, 'w'),
  attack('dtype with an escape sequence', entry('\\u001b[31mU8', '[1]', '[0,1]'), '"\\u{1b}[31mU8"', 22, 'w'),
  attack('a number as dtype', field('"dtype":8,"shape":[1],"data_offsets":[0,1]'), 'expected a string', 22, 'w'),
  attack('half a byte', entry('F4', '[3]', '[0,2]'), 'no countable whole number of bytes', 13, 'w'),
  attack('six bits', entry('F6_E3M2', '[3]', '[0,3]'), 'no countable whole number of bytes', 13, 'w'),
  attack('a negative side', entry('U8', '[-1]', '[0,1]'), 'plain digits, 0 or more, found "-1"', 36, 'w'),
  attack('a fractional side', entry('U8', '[1.5]', '[0,1]'), 'found "1.5"', 36, 'w'),
  attack('a side 1.0', entry('U8', '[1.0]', '[0,1]'), 'found "1.0"', 36, 'w'),
  attack('a side 1e3', entry('U8', '[1e3]', '[0,1]'), 'found "1e3"', 36, 'w'),
  attack('a side -0', entry('U8', '[-0]', '[0,0]'), 'found "-0"', 36, 'w'),
  attack('a side 08', entry('U8', '[08]', '[0,8]'), 'found "08"', 36, 'w'),
  attack('a side in quotes', entry('U8', '["1"]', '[0,1]'), 'plain digits', 36, 'w'),
  attack('a side true', entry('U8', '[true]', '[0,1]'), 'found "true"', 36, 'w'),
  attack('a side NaN', entry('U8', '[NaN]', '[0,1]'), 'found "NaN"', 36, 'w'),
  attack('a side of 2^53', entry('U8', '[9007199254740992]', '[0,1]'), 'above 2^53 - 1', 36, 'w'),
  attack('a side of a thousand digits', entry('U8', `[${'9'.repeat(1000)}]`, '[0,1]'), 'above 2^53 - 1', 36, 'w'),
  attack('sides that wrap at 2^64', entry('U8', '[2,18446744073709551614]', '[0,8]'), 'above 2^53 - 1', 38, 'w'),
  attack('a product that wraps at 2^64', entry('U8', '[4294967296,4294967296]', '[0,0]'), 'no countable', 13, 'w'),
  attack('bits that wrap at 2^64', entry('F64', '[2305843009213693]', '[0,8]'), 'no countable', 13, 'w'),
  attack('a shape that is a number', entry('U8', '1', '[0,1]'), 'expected an array', 35, 'w'),
  attack('nested shapes', entry('U8', '[[1]]', '[0,1]'), 'plain digits', 36, 'w'),
  attack('one offset', entry('U8', '[1]', '[1]'), '"data_offsets" has 1 numbers', 54, 'w'),
  attack('three offsets', entry('U8', '[1]', '[0,1,2]'), '"data_offsets" has 3 numbers', 54, 'w'),
  attack('offsets reversed', entry('U8', '[1]', '[1,0]'), 'end at 0, before they begin at 1', 13, 'w'),
  attack('a negative offset', entry('U8', '[1]', '[-1,0]'), 'found "-1"', 55, 'w'),
  attack('too few bytes', entry('F32', '[2]', '[0,4]'), 'span 4 bytes, but shape [2] of F32 needs 8', 13, 'w'),
  attack('too many bytes', entry('F32', '[1]', '[0,8]'), 'span 8 bytes, but shape [1] of F32 needs 4', 13, 'w'),
  attack('bytes for an empty tensor', entry('F32', '[0]', '[0,8]'), 'span 8 bytes', 13, 'w'),
  attack('rank 100,000', entry('U8', `[${'2,'.repeat(1e5)}2]`, '[0,1]'), '2, ... (100001 dimensions)]', 13, 'w'),
];

const header = (json: string) => 8 + json.length;
const LAYOUTS = [
  attack('bytes beyond the file', entry('U8', '[9]', '[0,9]'), 'bytes end at 70, but the file ends at 69', 69, 'w'),
  attack('2^49 bytes', entry('U8', `[${2 ** 49}]`, `[0,${2 ** 49}]`), 'but the file ends at', undefined, 'w'),
  attack('a hole at the start', entry('U8', '[7]', '[1,8]'), 'a hole', 61, 'w'),
  attack('a hole between', two('[0,4]', '[5,9]'), 'a hole', header(two('[0,4]', '[5,9]')) + 4, 'b'),
  attack(
    'an overlap by one byte',
    two('[0,4]', '[3,7]'),
    'inside those of another',
    header(two('[0,4]', '[3,7]')) + 3,
    'b',
  ),
  attack('two tensors on the same bytes', two('[0,4]', '[0,4]'), 'inside those of another', undefined, 'b'),
  attack(
    '100,000 tensors on the same bytes',
    `{${Array.from({ length: 1e5 }, (_, i) => `"t${i}":${U8}`).join()}}`,
    'inside those of another',
    undefined,
    't1',
  ),
  attack('an empty tensor beyond the end', entry('U8', '[0]', '[9,9]'), 'a hole', 61, 'w'),
  attack(
    'an empty tensor inside another',
    two('[0,4]', '[2,2]').replace(/\[4\],("data_offsets":\[2)/, '[0],$1'),
    'inside',
    undefined,
    'b',
  ),
  attack('bytes after the last tensor', `{"w":${U8}}`, 'has 7 more that belong to none', 8 + 6 + U8.length + 1),
  attack('bytes and no tensor', '{}', 'has 8 more that belong to none', 10),
  attack(
    'a zip behind the tensors',
    join(safetensorsFile(`{"w":${U8}}`, { data: 1 }), latin1('PK\x05\x06')),
    'belong to none',
  ),
];

const OTHERS = [
  attack(
    'a zip (.ckpt)',
    latin1('PK\x03\x04\x14\0\0\0\b\bmodel/data.pkl and more'),
    'convert it to safetensors first',
    0,
  ),
  attack('a pickle', latin1('\x80\x02}q\0X\n\0\0\0state_dict'), 'Python pickle (.ckpt)', 0),
  attack('a GGUF file', latin1('GGUF\x03\0\0\0\x01\0\0\0\0\0\0\0'), 'a GGUF file', 0),
  attack('a web page', latin1('\n<!DOCTYPE html><html><body>404'), 'a web page', 0),
  attack('a git-lfs pointer', latin1('version https://git-lfs.github.com/spec/v1\noid sha256:0'), 'git lfs pull', 0),
  attack('a config', latin1('{"_class_name": "UNet2DConditionModel"}'), 'a JSON text', 0),
  attack('a PNG', latin1('\x89PNG\r\n\x1a\n'), 'a picture', 0),
  attack('zeros', new Uint8Array(1000), 'the header is empty', 8),
  attack('4 bytes of zip', latin1('PK\x03\x04'), 'a zip archive', 0),
];

const ALL = [...LENGTHS, ...TEXTS, ...KEYS, ...TENSORS, ...LAYOUTS, ...OTHERS];
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what must not be there
const UNSAFE = /[\x00-\x1f\x7f-\x9f\u2028\u202e]/;

describe('an attack', () => {
  it.each(ALL)('$what', async ({ file, says, byte, tensor }) => {
    const start = cpuTime();
    const error = await rejection(openSafetensors(source(file)));
    expect(cpuTime() - start).toBeLessThan(5000);
    expect(error).toBeInstanceOf(CheckpointError);
    const { message, facts, exitCode } = error as CheckpointError;
    expect(message).toContain(`${FILE}: `);
    expect(message).toContain(says);
    expect(message).toMatch(/(again|instead|first|convert.*|itself|to_safetensors)\.$/);
    expect(message).not.toMatch(UNSAFE);
    expect(message.length).toBeLessThan(800);
    expect(exitCode).toBe(3);
    expect(facts.file).toBe(FILE);
    expect(facts.byte).toEqual(byte ?? expect.any(Number));
    expect(facts.tensor).toBe(tensor);
    if (tensor !== undefined) expect(message).toContain(`tensor "${tensor}"`);
    expect(message).toContain(`(at byte ${facts.byte})`);
  });

  it('comes in at least 60 kinds', () => expect(new Set(ALL.map(({ what }) => what)).size).toBeGreaterThan(60));

  it.each([
    ['an escape sequence', '\\u001b]52;c;aGk=\\u0007', '\\u{1b}]52;c;aGk=\\u{7}'],
    ['a C1 control', '\\u009b31m', '\\u{9b}31m'],
    ['a right-to-left mark', 'a\u202eb', 'a\\u{202e}b'],
    ['a new line', 'a\\nb', 'a\\u{a}b'],
  ])('cannot smuggle %s through a name', async (_, name, shown) => {
    const file = safetensorsFile(`{"${name}":{}}`);
    const error = (await rejection(openSafetensors(source(file, 'bad\u001b[2Jname')))) as CheckpointError;
    expect(error.facts).toMatchObject({ tensor: shown, file: 'bad\\u{1b}[2Jname' });
    expect(error.message).toContain(shown);
    expect(error.message).not.toMatch(UNSAFE);
  });

  it('cannot fill the screen with a name of 10 MB', async () => {
    const error = (await rejection(
      openSafetensors(source(safetensorsFile(`{"${'n'.repeat(1e7)}":{}}`))),
    )) as CheckpointError;
    expect(error.message.length).toBeLessThan(500);
    expect(error.message).toContain('more characters');
  });
});

describe('20,000 mutated files', () => {
  const seeds = [
    `{"__metadata__":{"format":"pt"},"a":${U8},"b":{"dtype":"F16","shape":[1,2],"data_offsets":[1,5]}}`,
    two('[0,4]', '[4,8]'),
    `  {"\\u0077":${U8}, "x": {"dtype":"U8","shape":[],"data_offsets":[1,2],"more":[{"y":null}]}}  `,
  ].map((text) => safetensorsFile(text, { data: 8 }));
  const edit = fc.tuple(fc.nat(), fc.constantFrom(...latin1('{}[]",:\\u0123456789-+.eE \n\0\x7f\xc3\xff')), fc.nat(3));

  it('are read or refused with a CheckpointError', async () => {
    let refused = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...seeds),
        fc.array(edit, { maxLength: 6 }),
        fc.nat(20),
        async (seed, edits, cut) => {
          let bytes = [...seed];
          for (const [where, value, kind] of edits) {
            // Half of the edits hit the header; the length is hit often enough by the rest.
            const at = 8 + (where % (bytes.length - 8));
            if (kind === 0) bytes.splice(at, 1);
            else if (kind === 1) bytes.splice(at, 0, value);
            else if (kind === 2) bytes[at] = value;
            else bytes[where % 8] = value;
            if (bytes.length < 16) break;
          }
          if (cut === 0) bytes = bytes.slice(0, bytes.length >> 1);
          const error = await rejection(openSafetensors(source(Uint8Array.from(bytes))));
          if (error === undefined) return;
          refused++;
          expect(error).toBeInstanceOf(CheckpointError);
          expect((error as CheckpointError).message).not.toMatch(UNSAFE);
        },
      ),
      { numRuns: 20_000 },
    );
    expect(refused).toBeGreaterThan(10_000);
  });

  it('with any bytes as header', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 40 }), async (bytes) => {
        const error = await rejection(openSafetensors(source(safetensorsFile(bytes))));
        if (error !== undefined) expect(error).toBeInstanceOf(CheckpointError);
      }),
      { numRuns: 2000 },
    );
  });
});
