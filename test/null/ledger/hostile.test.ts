/** Ledgers and receipts that are damaged, or made to mislead: each is refused, and the message says where and why. */
import { describe, expect, test } from 'vitest';
import { ConfigError } from '../../../packages/core/src/errors.ts';
import {
  formatLedger,
  type Ledger,
  MAX_LEDGER_BYTES,
  parseLedger,
  parseReceipt,
  withoutIngredient,
} from '../../../packages/core/src/ledger/index.ts';
import { ledgerOf, sealed } from './ledgers.ts';

const good = sealed(
  withoutIngredient(
    ledgerOf([
      { name: 'ink', weight: '1', parts: ['unet', 'vae'] },
      { name: 'noto', weight: '2/3', parts: ['unet'], blocks: { IN01: '1/2' } },
      { name: 'fluent', weight: '1', parts: ['unet'] },
    ]),
    'fluent',
  ),
);

/** The ledger with the value at a path replaced, or taken out. */
function withValue(path: string, value: unknown): string {
  const copy = JSON.parse(formatLedger(good.ledger));
  const keys = path.split('.');
  const last = keys.pop()!;
  const holder = keys.reduce((at, key) => at[key], copy);
  if (value === undefined) delete holder[last];
  else Object.defineProperty(holder, last, { value, enumerable: true, configurable: true, writable: true });
  return JSON.stringify(copy);
}

const refusal = (text: string): Error => {
  try {
    parseLedger(text, 'my/soup.json');
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return error as Error;
  }
  throw new Error('it was accepted');
};

test('the good one is accepted', () => {
  expect(parseLedger(formatLedger(good.ledger))).toEqual(good.ledger);
});

const file = { path: 'unet/a.safetensors', bytes: 1, sha256: '0'.repeat(64) };

test.each<[string, string, unknown, RegExp]>([
  ['another type', 'type', 'recipe', /"type" is "recipe"; expected "diffusion-soup-ledger"/],
  ['no type', 'type', undefined, /"type" is missing/],
  ['a newer version', 'version', 2, /"version" is 2; this program reads version 1/],
  ['a key too many', 'extra', 1, /may have only/],
  [
    'a key too many, deep',
    'ingredients.0.components.unet.extra',
    1,
    /"ingredients\[0\].components.unet" .* may have only root, files/,
  ],
  ['__proto__', '__proto__', { polluted: true }, /"__proto__" is .*expected no key of that name/],
  ['__proto__ of parameters', 'parameters.__proto__', 1, /"parameters.__proto__"/],
  ['__proto__ of blocks', 'ingredients.1.blocks.__proto__', '1', /"ingredients\[1\].blocks.__proto__"/],
  ['constructor as a part', 'parts', { constructor: 'average' }, /may have only unet, vae, text_encoder/],
  ['a part that does not exist', 'result.components.brain', { root: '', files: [] }, /may have only unet/],
  ['a list for an object', 'result', [], /"result" is \[\]; expected an object/],
  ['null for an object', 'result', null, /"result" is null; expected an object/],
  ['an object for a list', 'ingredients', {}, /"ingredients" is \{\}; expected a list of 1 to 4096/],
  ['no ingredients', 'ingredients', [], /expected a list of 1 to 4096/],
  ['a million ingredients', 'ingredients', Array(100_000).fill(0), /expected/],
  ['a flood of files', 'result.components.unet.files', Array(1001).fill(file), /expected a list of 0 to 1000/],
  ['a root that is no hash', 'ingredients.0.root', 'abc', /"ingredients\[0\].root" is "abc"; expected a SHA-256/],
  ['a root in capitals', 'set', 'A'.repeat(64), /expected a SHA-256 as 64 digits 0-9a-f/],
  ['a root that is a number', 'result.root', 7, /"result.root" is 7; expected a SHA-256/],
  ['a root with a line feed', 'set', `${'a'.repeat(64)}\n`, /expected a SHA-256/],
  ['a weight that is a number', 'ingredients.0.weight', 0.5, /is 0.5; expected a fraction in text/],
  ['a weight in decimals', 'ingredients.0.weight', '0.5', /expected a fraction in text/],
  ['a weight over zero', 'ingredients.0.weight', '1/0', /expected a fraction in text/],
  [
    'a weight not in lowest terms',
    'ingredients.0.weight',
    '2/4',
    /"ingredients\[0\].weight" is "2\/4"; expected lowest terms: "1\/2"/,
  ],
  ['a whole weight over one', 'ingredients.0.weight', '2/1', /expected lowest terms: "2"/],
  ['a weight of a thousand digits', 'ingredients.0.weight', '9'.repeat(1000), /expected a fraction in text/],
  ['a strange block', 'ingredients.1.blocks', { '../x': '1' }, /"ingredients\[1\].blocks" .*factors by block/],
  [
    'two of one name',
    'ingredients.1.name',
    'ink',
    /"ingredients\[1\].name" is "ink"; another ingredient has that name/,
  ],
  ['two of one root', 'ingredients.1', { ...good.ledger.ingredients[0], name: 'b' }, /the same model as ink/],
  ['an empty name', 'ingredients.0.name', '', /expected a name of 1 to 255/],
  ['an endless name', 'ingredients.0.name', 'x'.repeat(1e6), /more characters.*expected a name of 1 to 255/],
  ['a path upwards', 'result.components.unet.files.0.path', '../../etc/passwd', /expected a path inside the model/],
  ['an absolute path', 'result.components.unet.files.0.path', '/etc/passwd', /expected a path inside the model/],
  ['a path of Windows', 'result.components.unet.files.0.path', 'C:\\x', /expected a path inside the model/],
  ['bytes below zero', 'result.components.unet.files.0.bytes', -1, /expected a whole number/],
  ['half a byte', 'result.components.unet.files.0.bytes', 0.5, /expected a whole number/],
  ['a text for true', 'normalize', 'yes', /"normalize" is "yes"; expected true or false/],
  ['an arithmetic of its own', 'arithmetic', 'roughly', /expected "exact" or "deterministic"/],
  ['a type of number of its own', 'dtype', 'F8_E4M3', /expected F16, BF16 or F32/],
  ['a method that is no word', 'method', 'rm -rf', /expected the name of a method/],
  ['a parameter that is a list', 'parameters.t', [1], /expected a number, a text, true or false/],
  ['a part from nowhere', 'parts', { vae: { from: 'nobody' } }, /"parts.vae.from" is "nobody"; expected the name of/],
  [
    'a part that its model lacks',
    'parts',
    { vae: { from: 'noto' } },
    /"parts.vae.from" is "noto"; that model has no vae/,
  ],
  ['an action of its own', 'history.0.action', 'stolen', /"history\[0\]\.?(action)?" .*"made", "add" or "remove"/],
  ['no history', 'history', [], /expected a list of 1 to 1000/],
  [
    'an endless proof',
    'history.1.proof.path',
    Array(65).fill('0'.repeat(64)),
    /"history\[1\].proof.path" .*expected a list of 0 to 64/,
  ],
  [
    'a tombstone of what is there',
    'tombstones.0.root',
    good.ledger.ingredients[0]!.root,
    /ink has that root and is in the soup/,
  ],
  [
    'a base of the same name',
    'base',
    { ...good.ledger.ingredients[0], weight: undefined, root: '0'.repeat(64) },
    /another model has that name/,
  ],
])('%s', (_, path, value, message) => {
  const { message: said } = refusal(withValue(path, value));
  expect(said).toMatch(message);
  expect(said).toMatch(/^my\/soup.json/);
  expect(said.length).toBeLessThan(700);
});

describe('texts', () => {
  test.each([
    ['nothing', '', /not valid JSON at byte 0/],
    ['half of one', formatLedger(good.ledger).slice(0, 300), /not valid JSON/],
    ['null', 'null', /is no ledger: expected a JSON object/],
    ['a list', '[]', /is no ledger/],
    ['a number', '1e999', /is no ledger/],
    ['a key twice', '{"type":"diffusion-soup-ledger","type":"x"}', /the key "type" occurs twice/],
    ['depth', `{"a":${'['.repeat(1e5)}`, /deeper than 128/],
    [
      'not a number',
      withValue('parameters', {}).replace('"parameters":{}', '"parameters":{"t":NaN}'),
      /"parameters.t" is NaN/,
    ],
    ['a flood', ' '.repeat(MAX_LEDGER_BYTES + 1), /more than 16000000 characters/],
  ])('%s', (_, text, message) => {
    expect(refusal(text).message).toMatch(message);
  });

  test('escape sequences in names do not reach the terminal', () => {
    const said = refusal(withValue('ingredients.0.root', '\u001b[2J\u202e')).message;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
    expect(said).not.toMatch(/[\u001b\u202e]/);
  });
});

describe('receipts', () => {
  test.each<[string, object, RegExp]>([
    ['a ledger', good.ledger, /"type" is "diffusion-soup-ledger"; expected "diffusion-soup-removal-receipt"/],
    ['no remaining', { ...good.receipt, remaining: [] }, /expected a list of 1 to 4096/],
    ['a key too many', { ...good.receipt, note: 1 }, /may have only/],
    ['no digest', { ...good.receipt, digest: undefined }, /"digest" is missing/],
  ])('%s', (_, value, message) => {
    expect(() => parseReceipt(JSON.stringify(value))).toThrow(message);
  });
});

test('a ledger is data: nothing of it is changed by a removal', () => {
  const before = formatLedger(good.ledger);
  const frozen = freeze(structuredClone(good.ledger) as Ledger);
  sealed(withoutIngredient(frozen, 'ink'));
  expect(formatLedger(frozen)).toBe(before);
});

function freeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) Object.values(Object.freeze(value)).forEach(freeze);
  return value;
}
