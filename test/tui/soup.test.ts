/** What turning, typing, equalising and normalising do to weights; and undoing it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jobOf, jobsFor, soupOf } from '../../packages/cli/src/tui/engine/jobs.ts';
import { changed, historyOf, redone, sealed, undone } from '../../packages/cli/src/tui/state/history.ts';
import { FIRST_PICTURE, shownField, turnedField, typedField } from '../../packages/cli/src/tui/state/picture.ts';
import { gridOf, leaveOneOut, sweepOf } from '../../packages/cli/src/tui/state/sheet.ts';
import {
  blockTurned,
  equalised,
  formulaOf,
  normalised,
  parseWeight,
  type Shard,
  shareOf,
  shownWeight,
  sumOf,
  switched,
  turned,
  weighed,
} from '../../packages/cli/src/tui/state/soup.ts';
import { characters, erased, inserted, lineOf, moved, wordBefore } from '../../packages/cli/src/tui/state/text-line.ts';
import { shard } from './support.tsx';
import '../support/properties.ts';

const weights = (shards: readonly Shard[]): number[] => shards.map(({ weight }) => weight);

const anyShards = fc
  .array(fc.record({ weight: fc.double({ min: 0, max: 2, noNaN: true }), on: fc.boolean(), locked: fc.boolean() }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((all) => all.map(({ weight, on, locked }, i) => shard(`s${i}`, undefined, { weight, on, locked })));

describe('weights', () => {
  test('turn between 0 and 1, switch a shard on, and do not pull a larger one back', () => {
    const shards = [shard('a', 0.5), shard('b')];
    expect(turned(shards, 'a', 0.1)[0].weight).toBe(0.6);
    expect(turned(shards, 'a', 9)[0].weight).toBe(1);
    expect(turned(shards, 'a', -9)[0].weight).toBe(0);
    expect(turned(shards, 'b', 0.01)[1]).toMatchObject({ on: true, weight: 0.01 });
    expect(turned([shard('a', 3)], 'a', 0.1)[0].weight).toBe(3);
    expect(turned([shard('a', -2)], 'a', -0.1)[0].weight).toBe(-2);
  });

  test.each([
    ['0.25', 0.25],
    ['.5', 0.5],
    ['2.', 2],
    ['1/3', 0.3333],
    ['-1', -1],
    [' 1 / 4 ', 0.25],
  ])('%j is %f', (text, weight) => {
    expect(parseWeight(text)).toBe(weight);
  });

  test.each(['', 'x', '1/0', '1/2/3', '1e3', '1001', 'NaN', '0x10', '--1'])('%j is none', (text) => {
    expect(() => parseWeight(text)).toThrow(/no weight/);
  });

  test('equal parts of what the locked ones leave', () => {
    const shards = [shard('a', 0.9), shard('b', 0.4, { locked: true }), shard('c', 0.1), shard('d')];
    expect(weights(equalised(shards))).toEqual([0.3, 0.4, 0.3, 0.5]);
    expect(weights(equalised([shard('a', 1, { locked: true }), shard('b', 0.2)]))).toEqual([1, 1]);
  });

  test('normalising keeps proportions and the locked', () => {
    const shards = [shard('a', 1), shard('b', 3), shard('c', 0.2, { locked: true })];
    expect(weights(normalised(shards))).toEqual([0.2, 0.6, 0.2]);
    const full = [shard('a', 1, { locked: true }), shard('b', 1)];
    expect(normalised(full)).toBe(full);
  });

  test('of any shards: sums are 1 after normalising, others stay, shares add up to 1', () => {
    fc.assert(
      fc.property(anyShards, (shards) => {
        const after = normalised(shards);
        for (const [i, one] of shards.entries()) if (!one.on || one.locked) expect(after[i]).toBe(one);
        if (after !== shards) expect(sumOf(after)).toBeCloseTo(1, 2);
        const even = equalised(shards).filter(({ on, locked }) => on && !locked);
        expect(new Set(weights(even)).size).toBeLessThanOrEqual(1);
        const shares = shards.map((one) => shareOf(one, shards) ?? 0);
        if (sumOf(shards) > 0.01) expect(shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 2);
      }),
    );
  });

  test('are shown and written into a formula', () => {
    expect([0.5, 1, 0.3333, 1.005, -2].map(shownWeight)).toEqual(['0.50', '1.00', '0.3333', '1.005', '-2.00']);
    const shards = [
      shard('a', 0.6),
      shard('b', -0.1),
      shard('c'),
      shard('d', 0),
      shard('e', 1, { blocks: { M00: 2 } }),
    ];
    expect(formulaOf(shards)).toBe('0.6 a - 0.1 b + 1 e*');
    expect(formulaOf([shard('a', -1)])).toBe('-1 a');
  });

  test('of blocks are kept where they are not 1', () => {
    const turnedOnce = blockTurned([shard('a', 1)], 'a', 'IN00', -0.25);
    expect(turnedOnce[0].blocks).toEqual({ IN00: 0.75 });
    expect(blockTurned(turnedOnce, 'a', 'IN00', 0.25)[0].blocks).toEqual({});
    expect(blockTurned(turnedOnce, 'a', 'IN00', 9)[0].blocks).toEqual({ IN00: 2 });
  });
});

describe('jobs', () => {
  const key = (shards: readonly Shard[], more = {}) =>
    jobOf(soupOf(shards)!, { ...FIRST_PICTURE, ...more }, 'full').key;

  test('equal soups have equal keys, in every order and scale', () => {
    const one = key([shard('a', 0.5), shard('b', 0.25)]);
    expect(key([shard('b', 1), shard('a', 2)])).toBe(one);
    expect(key([shard('a', 0.5), shard('b', 0.25), shard('c'), shard('d', 0)])).toBe(one);
    expect(key([shard('a', 0.5), shard('b', 0.26)])).not.toBe(one);
    expect(key([shard('a', 0.5), shard('b', 0.25)], { seed: 43n })).not.toBe(one);
    expect(key([shard('a', 0.5), shard('b', 0.25, { blocks: { M00: 0 } })])).not.toBe(one);
  });

  test('there is none of nothing, nor of weights that cancel each other', () => {
    expect(soupOf([shard('a'), shard('b', 0)])).toBeUndefined();
    expect(soupOf([shard('a', 1), shard('b', -1)])).toBeUndefined();
  });

  test('a sketch goes before pictures that take long', () => {
    const soup = soupOf([shard('a', 1)])!;
    expect(jobsFor(soup, FIRST_PICTURE).map(({ effort, picture }) => [effort, picture.steps])).toEqual([
      ['sketch', 4],
      ['full', 20],
    ]);
    expect(jobsFor(soup, { ...FIRST_PICTURE, steps: 8 })).toHaveLength(1);
  });

  test('with block weights every shard has a table: one alone would mean something else', () => {
    const soup = soupOf([shard('a', 0.5), shard('b', 0.5, { blocks: { M00: 0.5 } })])!;
    expect(soup.portions.map(({ blocks }) => blocks)).toEqual([{ BASE: 1 }, { BASE: 1, M00: 0.5 }]);
  });
});

describe('fields', () => {
  test('are turned within their bounds', () => {
    expect(turnedField({ ...FIRST_PICTURE, seed: 0n }, 'seed', -1, false).seed).toBe(2n ** 64n - 1n);
    expect(turnedField(FIRST_PICTURE, 'steps', -1, true).steps).toBe(10);
    expect(turnedField({ ...FIRST_PICTURE, steps: 3 }, 'steps', -1, true).steps).toBe(1);
    expect(turnedField(FIRST_PICTURE, 'guidance', 1, false).guidance).toBe(7.5);
    expect(turnedField(FIRST_PICTURE, 'prompt', 1, false)).toBe(FIRST_PICTURE);
    const sampler = turnedField(FIRST_PICTURE, 'sampler', 1, false);
    expect(sampler.sampler).toBeDefined();
    expect(turnedField(sampler, 'sampler', -1, false)).toEqual(FIRST_PICTURE);
  });

  test('are typed', () => {
    expect(typedField(FIRST_PICTURE, 'prompt', '  a cat ').prompt).toBe('a cat');
    expect(typedField(FIRST_PICTURE, 'seed', '18446744073709551615').seed).toBe(2n ** 64n - 1n);
    expect(typedField(FIRST_PICTURE, 'guidance', '.5').guidance).toBe(0.5);
    const named = typedField(FIRST_PICTURE, 'sampler', 'DPM++ 2M');
    expect(shownField(named, 'sampler')).toBe('dpmpp-2m');
    expect(shownField(typedField(named, 'sampler', ''), 'sampler')).toBe('own');
  });

  test.each([
    ['seed', '18446744073709551616'],
    ['seed', '-1'],
    ['steps', '0'],
    ['steps', '1001'],
    ['guidance', 'x'],
    ['guidance', '101'],
    ['sampler', 'nonsense'],
  ] as const)('%s refuses %j', (field, text) => {
    expect(() => typedField(FIRST_PICTURE, field, text)).toThrow(/./);
  });
});

describe('a line of text', () => {
  test('is typed into at its cursor, by characters as people count them', () => {
    const line = moved(inserted(lineOf('a👩‍🚀c'), 'd'), -2);
    expect(line).toEqual({ text: 'a👩‍🚀cd', cursor: 2 });
    expect(inserted(line, 'XY')).toEqual({ text: 'a👩‍🚀XYcd', cursor: 4 });
    expect(erased(line, 1)).toEqual({ text: 'acd', cursor: 1 });
    expect(erased(line, -1)).toEqual({ text: 'a👩‍🚀d', cursor: 2 });
    expect(erased(lineOf(''), 1)).toEqual({ text: '', cursor: 0 });
  });

  test('keeps out what would disturb a terminal, and texts without end', () => {
    expect(inserted(lineOf(''), 'a\x1b[2Jb\r\nc').text).toBe('ab c');
    expect(inserted(lineOf('a'), 'x'.repeat(3000)).text).toBe('a');
  });

  test('knows the word before the cursor', () => {
    expect(wordBefore(lineOf('red apple  '))).toBe(7);
    expect(wordBefore(lineOf(''))).toBe(0);
  });

  test('never has its cursor outside, whatever is done', () => {
    const step = fc.oneof(
      fc.record({ type: fc.constant('insert' as const), text: fc.string({ unit: 'grapheme', maxLength: 4 }) }),
      fc.record({ type: fc.constant('erase' as const), count: fc.integer({ min: -3, max: 3 }) }),
      fc.record({ type: fc.constant('move' as const), by: fc.integer({ min: -5, max: 5 }) }),
    );
    fc.assert(
      fc.property(fc.array(step), (steps) => {
        let line = lineOf('');
        for (const one of steps) {
          if (one.type === 'insert') line = inserted(line, one.text);
          else if (one.type === 'erase') line = erased(line, one.count);
          else line = moved(line, one.by);
          expect(line.cursor).toBeGreaterThanOrEqual(0);
          expect(line.cursor).toBeLessThanOrEqual(characters(line.text).length);
        }
      }),
    );
  });
});

describe('history', () => {
  test('undoing everything and redoing it leads back, whatever was done', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(5), fc.option(fc.constantFrom('x', 'y'), { nil: undefined }))), (steps) => {
        let history = historyOf(0);
        for (const [value, by] of steps) history = changed(history, value, by);
        const { present } = history;
        const distinct = history.past.length;
        for (let i = 0; i < distinct; i++) history = undone(history);
        expect(history.present).toBe(0);
        expect(undone(history).present).toBe(0);
        for (let i = 0; i < distinct; i++) history = redone(history);
        expect(history.present).toBe(present);
        expect(redone(history).present).toBe(present);
      }),
    );
  });

  test('takes one turn of one slider as one change, until it rests', () => {
    let history = changed(changed(historyOf(0), 1, 'turn a'), 2, 'turn a');
    expect(undone(history).present).toBe(0);
    history = changed(sealed(history), 3, 'turn a');
    expect(undone(history).present).toBe(2);
  });

  test('a change after undoing forgets what was undone', () => {
    const history = changed(undone(changed(historyOf(0), 1)), 2);
    expect(redone(history).present).toBe(2);
    expect(changed(history, 2)).toBe(history);
  });
});

describe('sheets', () => {
  const shards = [shard('a', 0.7), shard('b', 0.3), shard('c'), shard('d', 0.2)];
  const formulas = (cells: readonly { shards: readonly Shard[] }[]) => cells.map((cell) => formulaOf(cell.shards));

  test('a sweep goes from one shard to another, and nothing else is in it', () => {
    const { cells } = sweepOf(shards, 'a', 'b');
    expect(formulas(cells)).toEqual(['1 a', '0.75 a + 0.25 b', '0.5 a + 0.5 b', '0.25 a + 0.75 b', '1 b']);
    expect(cells.map(({ label }) => label)).toEqual(['0.00', '0.25', '0.50', '0.75', '1.00']);
  });

  test('a grid has a third shard downwards', () => {
    expect(formulas(gridOf(shards, 'a', 'b', 'c').cells)).toEqual([
      ...['1 a', '0.5 a + 0.5 b', '1 b'],
      ...['0.5 a + 0.5 c', '0.25 a + 0.25 b + 0.5 c', '0.5 b + 0.5 c'],
      ...['1 c', '1 c', '1 c'],
    ]);
  });

  test('leaving one out begins with all of them', () => {
    expect(formulas(leaveOneOut(shards).cells)).toEqual([
      ...['0.7 a + 0.3 b + 0.2 d', '0.3 b + 0.2 d', '0.7 a + 0.2 d', '0.7 a + 0.3 b'],
    ]);
    expect(switched(weighed(shards, 'c', 2), 'c')[2]).toMatchObject({ on: false, weight: 2 });
  });
});
