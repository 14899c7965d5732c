/** The strict reader against JSON.parse, and where it is stricter. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { JsonReader, parseConfigJson } from '../../../packages/core/src/checkpoint/json.ts';
import { ConfigError } from '../../../packages/core/src/errors.ts';
import { cpuTime } from '../../support/cpu-time.ts';

const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
const failing = (text: string) =>
  new JsonReader(text, (what, byte) => {
    throw new Error(`${what} @${byte}`);
  });

describe('parseConfigJson', () => {
  it('agrees with JSON.parse on anything JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.nat(3), (value, indent) => {
        const text = JSON.stringify(value, null, indent);
        expect(plain(parseConfigJson(text))).toEqual(JSON.parse(text));
      }),
      { numRuns: 2000 },
    );
  });

  it.each([
    ['-Infinity', -Infinity],
    ['[Infinity, NaN]', [Infinity, NaN]],
    [' "\\ud83d\\ude00\\u0041\\/\\n" ', '😀A/\n'],
    ['1e-05', 1e-5],
    ['-0.5E+2', -50],
  ])('reads %s as Python does', (text, value) => expect(parseConfigJson(text)).toEqual(value));

  it('takes "__proto__" and "constructor" as plain keys', () => {
    const value = parseConfigJson('{"__proto__": {"polluted": true}, "constructor": 1}') as Record<string, unknown>;
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
    expect(value.polluted).toBeUndefined();
  });

  it.each([
    ['', 0, 'expected a number, found the end'],
    ['{"a":1,}', 7, 'expected a key in quotes'],
    ['[1,]', 3, 'expected a number'],
    ['{"a":1 "b":2}', 7, 'expected ","'],
    ['{"a":1,"a":2}', 7, 'the key "a" occurs twice'],
    ['{"w":1,"\\u0077":2}', 7, 'the key "w" occurs twice'],
    ['{"ä":1,"ä":2}', 8, 'the key "ä" occurs twice'], // bytes, not characters
    ['"a\nb"', 2, 'control character'],
    ['"\\x"', 1, 'backslash that escapes nothing'],
    ['"\\u12g4"', 1, 'four hexadecimal digits'],
    ['"\\ud800"', 1, 'half of a surrogate pair'],
    ['"\\udc00\\ud800"', 1, 'half of a surrogate pair'],
    ['"abc', 4, 'ends inside a string'],
    ['01', 1, 'expected nothing more'],
    ['+1', 0, 'expected a number'],
    ['.5', 0, 'expected a number'],
    ['1.', 1, 'expected nothing more'],
    ['truex', 4, 'expected nothing more'],
    ['nul', 0, 'expected a number'],
    ['\ufeff{}', 0, 'expected a number, found "\\u{feff}"'],
    ['{}\0', 2, 'expected nothing more, found "\\u{0}"'],
    ["{'a':1}", 1, 'expected a key in quotes'],
    ['[1] // note', 4, 'expected nothing more'],
    ['['.repeat(1_000_000), 129, 'nest deeper than 128'],
    ['{"a":'.repeat(1_000_000), 645, 'nest deeper than 128'],
  ])('refuses %.40s at byte %i', (text, byte, what) => {
    const error = (() => {
      try {
        return parseConfigJson(text, 'unet/config.json');
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toBeInstanceOf(ConfigError);
    expect((error as ConfigError).message).toContain(`unet/config.json: not valid JSON at byte ${byte}: `);
    expect((error as ConfigError).message).toContain(what);
    expect((error as ConfigError).facts).toMatchObject({ file: 'unet/config.json', byte });
  });

  it('finds a duplicate among many keys', () => {
    const keys = Array.from({ length: 1000 }, (_, i) => `"k${i}":${i}`);
    expect(() => parseConfigJson(`{${[...keys, '"k500":0'].join()}}`)).toThrow('the key "k500" occurs twice');
  });
});

describe('integer', () => {
  it.each([
    ['0', 0],
    [' 42,', 42],
    ['9007199254740991', 2 ** 53 - 1],
  ])('reads %s', (text, value) => expect(failing(text).integer()).toBe(value));

  it.each([
    '-1',
    '-0',
    '1.0',
    '1e3',
    '1E3',
    '01',
    '9007199254740992',
    '18446744073709551615',
    '1'.repeat(400),
    '"1"',
    '',
  ])('refuses %.40s', (text) => expect(() => failing(text).integer()).toThrow('number'));
});

describe('skip', () => {
  it('passes any value', () => {
    const reader = failing('{"a": [1, {"b": "\\n"}, null], "a": true} 7');
    reader.skip();
    expect(reader.integer()).toBe(7);
  });

  it('keeps nothing of 30 MB of empty objects, and is quick', () => {
    const reader = failing(`[${'{},'.repeat(10_000_000)}{}]`);
    const start = cpuTime();
    reader.skip();
    reader.end();
    expect(cpuTime() - start).toBeLessThan(5000);
  });
});
