/**
 * Prompts to ids: the pantry's vocabulary against transformers 5.17, and CLIP's own rules
 * against OpenAI's encoder. Of OpenAI's vocabulary (MIT, openai/CLIP) the test has the merges that its reference uses.
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../../packages/core/src/errors.ts';
import { createTokenizer, type TokenizerFiles } from '../../packages/core/src/model/tokenizer.ts';
import { cpuTime } from '../support/cpu-time.ts';
import { PANTRY, REFERENCE } from '../support/files.ts';

interface Case {
  text: string;
  ids: number[];
}

const text = (file: string) => readFileSync(`${PANTRY}/base/tokenizer/${file}`, 'utf8');
const json = (path: string | URL) => JSON.parse(readFileSync(path, 'utf8'));
const here = json(new URL('./tokenizer-cases.json', import.meta.url));

const pantry = {
  vocab: text('vocab.json'),
  merges: text('merges.txt'),
  config: text('tokenizer_config.json'),
  specialTokens: text('special_tokens_map.json'),
};
const [BOS, EOS] = [1712, 1713];
const tokenizer = createTokenizer(pantry, { maxLength: 32 });
/** The same with a window that nothing is too long for. */
const wide = createTokenizer({ ...pantry, config: undefined }, { maxLength: 200_000 });
const idsOf = (prompt: string) => {
  const { ids, tokens } = wide.encode(prompt);
  return ids.slice(1, 1 + tokens.length);
};

describe('the pantry', () => {
  // The reference takes accented letters for punctuation; transformers 5.17 with the same files does not, nor do we.
  const golden = (json(`${REFERENCE}/tokenizer-golden.json`) as Case[]).filter(({ text }) => !/[è-û]/.test(text));

  it.each(golden)('reads $text as the reference does', ({ text, ids }) => {
    expect(tokenizer.encode(text).ids).toEqual(ids);
  });

  it.each(here.transformers as Case[])('reads $text as transformers does', ({ text, ids }) => {
    // Theirs knows special tokens by their exact letters; ours takes a prompt that is nothing else for one.
    expect(idsOf(text)).toEqual(text === '<|ENDOFTEXT|>' ? [EOS] : ids);
  });
});

describe("OpenAI's CLIP", () => {
  const merges = Object.entries(here.openaiMerges as Record<string, string>).map(([i, pair]) => ({
    i: Number(i),
    pair,
  }));
  const printable = Array.from({ length: 256 }, (_, b) => b).filter(
    (b) => (b > 32 && b < 127) || (b > 160 && b < 173) || b > 173,
  );
  const letters = [...printable, ...Array.from({ length: 256 - printable.length }, (_, i) => 256 + i)].map((code) =>
    String.fromCodePoint(code),
  );
  const vocab = Object.fromEntries([
    ...letters.map((letter, i) => [letter, i]),
    ...letters.map((letter, i) => [`${letter}</w>`, 256 + i]),
    ...merges.map(({ i, pair }) => [pair.replace(' ', ''), 512 + i]),
    ['<|startoftext|>', 49406],
    ['<|endoftext|>', 49407],
  ]);
  const files = { vocab: JSON.stringify(vocab), merges: merges.map(({ pair }) => pair).join('\n') };
  const openai = createTokenizer(files, { maxLength: 1000 });
  const { cases } = json(`${REFERENCE}/clip-tokenizer-golden.json`) as { cases: Case[] };

  it.each(cases)('reads $text', ({ text, ids }) => {
    const encoding = openai.encode(text);
    expect(encoding.ids.slice(1, 1 + encoding.tokens.length)).toEqual(ids);
    expect([encoding.ids[0], encoding.ids[ids.length + 1]]).toEqual([49406, 49407]);
  });

  it('reads the same from a tokenizer.json, whatever pattern that has', () => {
    const tokenizerJson = JSON.stringify({
      model: {
        type: 'BPE',
        end_of_word_suffix: '</w>',
        vocab,
        merges: merges.map(({ pair }, i) => (i % 2 ? pair : pair.split(' '))),
      },
      pre_tokenizer: { type: 'Split', pattern: { Regex: '(a+)+$' } },
      added_tokens: [{ id: 49408, content: '<soup>' }],
    });
    const other = createTokenizer({ tokenizerJson }, { maxLength: 1000 });
    for (const { text } of cases) expect(other.encode(text)).toEqual(openai.encode(text));
    expect(other.encode('a <soup> a').ids.slice(0, 5)).toEqual([49406, 320, 49408, 320, 49407]);
  });
});

describe('the window', () => {
  it('pads with the pad token of the config, as text or object, or with the end', () => {
    const padded = (config: object, specialTokens = {}) =>
      createTokenizer(
        { ...pantry, config: JSON.stringify(config), specialTokens: JSON.stringify(specialTokens) },
        { maxLength: 8 },
      ).encode('wing').ids;
    expect(padded({ pad_token: '!' })).toEqual([BOS, 718, EOS, 0, 0, 0, 0, 0]);
    expect(padded({ pad_token: { content: '!' } })).toEqual([BOS, 718, EOS, 0, 0, 0, 0, 0]);
    expect(padded({}, { pad_token: '!' })).toEqual([BOS, 718, EOS, 0, 0, 0, 0, 0]);
    expect(padded({})).toEqual([BOS, 718, EOS, EOS, EOS, EOS, EOS, EOS]);
  });

  it('is the shorter of what the text encoder takes and the tokenizer declares', () => {
    expect(tokenizer.window).toBe(32);
    expect(createTokenizer(pantry, { maxLength: 77 }).window).toBe(32);
    expect(createTokenizer(pantry, { maxLength: 16 }).encode('a').ids.length).toBe(16);
    const vast = { ...pantry, config: '{"model_max_length": 1e30}' };
    expect(createTokenizer(vast, { maxLength: 77 }).window).toBe(77);
  });

  it('drops the end of a long prompt and says which', () => {
    const words = Array.from({ length: 35 }, (_, i) => (i < 30 ? 'wing' : 'Red Apple')).join(' ');
    const { ids, tokens, dropped } = tokenizer.encode(words);
    expect(ids).toEqual([BOS, ...new Array(30).fill(718), EOS]);
    expect(tokens.length).toBe(30);
    expect(dropped).toBe(new Array(5).fill('red apple').join(' '));
    expect(tokenizer.encode(new Array(30).fill('wing').join(' ')).dropped).toBeUndefined();
  });
});

describe('odd prompts', () => {
  it.each(['', ' ', '\t\n\r ', '\u3000'])('%j is empty', (prompt) => {
    expect(tokenizer.encode(prompt)).toEqual({ ids: [BOS, ...new Array(31).fill(EOS)], tokens: [] });
  });

  it('lone surrogates are read as the replacement character', () => {
    expect(idsOf('a\ud83d b\udc00')).toEqual(idsOf('a\ufffd b\ufffd'));
  });

  it('special tokens are special', () => {
    expect(idsOf('<|endoftext|> wing <|startoftext|>')).toEqual([EOS, 718, BOS]);
  });

  it('HTML is read as text, escaped twice or not, and what is no entity stays', () => {
    expect(idsOf('red &amp;amp; &#98;lue &#x41;')).toEqual(idsOf('red & blue a'));
    expect(idsOf('&bogus; &#9999999; & &;')).toEqual(idsOf('&bogus ; &#9999999; & &;'));
  });

  it.each([
    ['one word', 'a'.repeat(100_000)],
    ['many words', 'zebra rocket '.repeat(7700)],
    ['emoji', '🍜'.repeat(50_000)],
    ['spaces', ' '.repeat(100_000)],
    ['entities', '&amp;'.repeat(20_000)],
    ['special tokens', '<|endoftext|>'.repeat(7700)],
    ['marks', `e${'\u0301'.repeat(100_000)}`],
  ])('100,000 characters of %s take no time', (_, prompt) => {
    const start = cpuTime();
    expect(tokenizer.encode(prompt).ids.length).toBe(32);
    expect(cpuTime() - start).toBeLessThan(5000);
  });
});

describe('damaged files', () => {
  const merges = pantry.merges.split('\n');
  const broken = (line: number, content: string) => merges.with(line - 1, content).join('\n');
  it.each<[string, TokenizerFiles, RegExp]>([
    ['no files', {}, /vocab\.json is missing/],
    ['no merges', { vocab: pantry.vocab }, /merges\.txt is missing/],
    ['vocab.json cut short', { ...pantry, vocab: pantry.vocab.slice(0, 5000) }, /vocab\.json.*not JSON/],
    ['a list', { ...pantry, vocab: '[]' }, /vocab\.json: expected an object/],
    ['an id of text', { ...pantry, vocab: '{"a": "1"}' }, /vocab\.json: "a": expected an id/],
    ['a huge id', { ...pantry, vocab: '{"a": 1e15}' }, /vocab\.json: "a": expected an id/],
    ['one id twice', { ...pantry, vocab: '{"a": 1, "b": 1}' }, /"b" and "a" have the same id, 1/],
    ['one part', { ...pantry, merges: broken(7, 'abc') }, /merges\.txt: line 7: expected two tokens/],
    ['three parts', { ...pantry, merges: broken(9, 'a b c') }, /merges\.txt: line 9: expected two tokens/],
    ['a stranger', { ...pantry, merges: broken(4, 'qq zz') }, /merges\.txt: line 4: makes "qqzz"/],
    ['no such token', { ...pantry, config: '{"eos_token": "\\u001b[31m"}' }, /special token "\\u\{1b\}\[31m"/],
    ['not BPE', { tokenizerJson: '{"model": {"type": "Unigram"}}' }, /tokenizer\.json: expected CLIP's model/],
    ['no model', { tokenizerJson: '{}' }, /tokenizer\.json: expected CLIP's model/],
  ])('%s', (_, files, message) => {
    const create = () => createTokenizer(files, { maxLength: 77 });
    expect(create).toThrow(CheckpointError);
    expect(create).toThrow(message);
  });

  it('line ends of Windows and blank lines do no harm', () => {
    const other = createTokenizer({ ...pantry, merges: `${merges.join('\r\n')}\r\n\r\n` }, { maxLength: 32 });
    expect(other.encode('a red apple')).toEqual(tokenizer.encode('a red apple'));
  });
});
