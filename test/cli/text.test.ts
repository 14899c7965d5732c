import { describe, expect, it } from 'vitest';
import { printable, printableLines } from '../../packages/cli/src/text.js';
import { cpuTime } from '../support/cpu-time.ts';

describe('printable', () => {
  it.each([
    ['plain text', 'a cat (1.2) – 日本 👩‍🚀 é', 'a cat (1.2) – 日本 👩‍🚀 é'],
    ['colours', 'a\x1b[31;1mred\x1b[0m', 'ared'],
    ['cursor movement', '\x1b[2J\x1b[Hx\x1b[?25l', 'x'],
    ['a title', 'a\x1b]0;evil\x07b\x1b]2;evil\x1b\\c', 'abc'],
    ['a link', '\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\', 'text'],
    ['a picture', '\x1b_Ga=T;AAAA\x1b\\x\x1bPq#0\x1b\\y', 'xy'],
    ['C1 sequences', 'a\x9b31mb\x9d0;evil\x9cc', 'abc'],
    ['an escape without an end', 'a\x1b', 'a'],
    ['a title without an end', 'a\x1b]0;evil', 'a'],
    ['other escapes', 'a\x1bcb\x1b(Bd', 'abd'],
    ['an escape that appears when another goes', '\x1b\x1b[m[31mx', '[31mx'],
    ['control bytes', 'a\x00\x08\x7f\x85b', 'a b'],
    ['line breaks', 'a\nb\r\nc\td\u2028e', 'a b c d e'],
    ['bidi overrides', 'gpj.\u202eexe\u2066x\u2069\u200f', 'gpj.exex'],
    ['what cannot be seen', 'a\u200b\ufeff\u00ad\u{e0041}\u2060b', 'ab'],
    ['half characters', 'a\ud800b', 'ab'],
  ])('%s', (_, text, shown) => expect(printable(text)).toBe(shown));

  it('leaves nothing that a terminal obeys, whatever is nested', () => {
    let text = 'x';
    for (let i = 0; i < 20; i++) text = `\x1b[${text}\x9b\x1b]${text}`.slice(0, 5000);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must be absent
    expect(printable(text)).not.toMatch(/[\x00-\x1f\x7f-\x9f]/);
  });

  it('takes linear time', () => {
    const begun = cpuTime();
    for (const piece of ['\x1b]', '\x1b[0', '\x1b', '\x9d', '0;']) printable(`\x1b[${piece.repeat(100_000)}`);
    expect(cpuTime() - begun).toBeLessThan(2_000);
  });
});

it('printableLines keeps lines', () => expect(printableLines('a\x1b[1m\r\nb\tc')).toBe('a\nb c'));
