import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseInfotext, writeInfotext } from '../../../packages/core/src/metadata/infotext.ts';
import { cpuTime } from '../../support/cpu-time.ts';

const settings = { Steps: 20, Sampler: 'Euler', 'CFG scale': 7.5, Seed: 42, Size: '512x512' };

describe('writeInfotext', () => {
  it('writes the grammar that viewers know', () => {
    expect(writeInfotext('a cat', 'blurry', { ...settings, Model: 'noto', 'Model hash': undefined })).toBe(
      'a cat\nNegative prompt: blurry\nSteps: 20, Sampler: Euler, CFG scale: 7.5, Seed: 42, Size: 512x512, Model: noto',
    );
  });

  it('leaves an empty negative prompt out', () => {
    expect(writeInfotext('a cat', ' ', settings)).toMatch(/^a cat\nSteps: 20, /);
  });

  it.each([
    ['a, b', '"a, b"'],
    ['a: b', '"a: b"'],
    ['a\nb', '"a\\nb"'],
    ['say "x", then', '"say \\"x\\", then"'],
    ['plain "quotes"', 'plain "quotes"'],
    [' edge', '" edge"'],
  ])('quotes %j where it must', (value, written) => {
    expect(writeInfotext('', '', { ...settings, Recipe: value })).toMatch(
      new RegExp(`, Recipe: ${literally(written)}$`),
    );
  });

  it('refuses a name that readers could not find', () => {
    expect(() => writeInfotext('', '', { ...settings, 'a:b': 1 })).toThrow(RangeError);
  });
});

const literally = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

describe('parseInfotext', () => {
  it.each<[string, string, string]>([
    ['several lines', 'a cat\n\non a mat', 'ugly\nblurry'],
    ['a fake line of settings', 'a cat\nSteps: 1, Sampler: X, Seed: 9, Size: 1x1', ''],
    ['a fake line of settings at the end of the negative prompt', 'a', 'b\nSteps: 1, Sampler: X, Seed: 9, Size: 1x1'],
    ['commas and colons', '(a:1.2), [b], c: d', 'x: y, z'],
    ['no prompt', '', 'blurry'],
    ['no prompt at all', '', ''],
    ['line ends of Windows', 'a\r\nb', ''],
  ])('reads back a prompt with %s', (_, prompt, negativePrompt) => {
    const read = parseInfotext(writeInfotext(prompt, negativePrompt, settings));
    expect(read.prompt).toBe(prompt.replaceAll('\r', ''));
    expect(read.negativePrompt).toBe(negativePrompt);
    expect(read.settings.get('Seed')).toBe('42');
    expect(read.settings.size).toBe(5);
  });

  it('does not let a prompt forge a negative prompt', () => {
    const read = parseInfotext(writeInfotext('a\nNegative prompt: forged', 'real', settings));
    expect(read).toMatchObject({ prompt: 'a\nNegative prompt : forged', negativePrompt: 'real' });
  });

  it('takes text without settings for a prompt', () => {
    expect(parseInfotext('a cat, sitting: there')).toMatchObject({ prompt: 'a cat, sitting: there' });
    expect(parseInfotext('a cat, sitting: there').settings.size).toBe(0);
  });

  it('reads what the web UI wrote', () => {
    const { settings: read } = parseInfotext(
      'x\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x768, Model hash: 6ce0161689, ' +
        'Lora hashes: "a: 1f, b: 2e", Hires upscale/mode: 2, Version: v1.10.1',
    );
    expect(Object.fromEntries(read)).toMatchObject({
      Sampler: 'DPM++ 2M Karras',
      'Lora hashes': 'a: 1f, b: 2e',
      'Hires upscale/mode': '2',
      Version: 'v1.10.1',
    });
  });

  it('reads back any value', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1 }), (value) => {
        const { settings: read } = parseInfotext(writeInfotext('p', 'n', { ...settings, Recipe: value, Last: 'x' }));
        expect(read.get('Recipe')).toBe(value);
        expect(read.get('Last')).toBe('x');
      }),
      { numRuns: 500 },
    );
  });

  it('takes linear time on hostile lines', () => {
    const begun = cpuTime();
    for (const piece of ['a:"a', 'a', ':', ',a:"', '"\\', 'a: "x', '\n']) parseInfotext(piece.repeat(300_000));
    expect(cpuTime() - begun).toBeLessThan(5_000);
  });
});
