/** Adding, removing, and the receipts of it. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  checkLedger,
  formatLedger,
  type Ledger,
  parseLedger,
  parseReceipt,
  type RemovalReceipt,
  receiptsOf,
  verifyReceipt,
  withIngredient,
  withoutIngredient,
} from '../../../packages/core/src/ledger/index.ts';
import { hashOf, ingredient, ledgerOf, type Spec, sealed, sha256, specs } from './ledgers.ts';

const without = (ledger: Ledger, name: string) => sealed(withoutIngredient(ledger, name));
const withOne = (ledger: Ledger, spec: Spec, force = false) =>
  sealed(withIngredient(ledger, ingredient(spec), { force }));
const content = ({ history, tombstones, ...rest }: Ledger) => rest;

/** A ledger, and the place of one of its ingredients. */
const soupAndOne = specs(2).chain((list) => fc.tuple(fc.constant(list), fc.nat(list.length - 1)));

describe('add and remove', () => {
  test('a removal gives the ledger of the soup without it, and adding it again the ledger there was', () => {
    fc.assert(
      fc.property(soupAndOne, ([list, at]) => {
        const whole = ledgerOf(list);
        const { ledger: less } = without(whole, list[at]!.name);
        expect(content(less)).toEqual(content(ledgerOf(list.toSpliced(at, 1))));
        const { ledger: again } = withOne(less, list[at]!, true);
        expect(content(again)).toEqual(content(whole));
        expect(again.tombstones).toEqual([]);
        expect(checkLedger(again, sha256)).toEqual([]);
      }),
    );
  });

  test('the order of adding changes nothing but the history', () => {
    fc.assert(
      fc.property(specs(2), fc.infiniteStream(fc.nat()), (list, numbers) => {
        const shuffled = list.map((one) => ({ one, key: numbers.next().value! })).sort((a, b) => a.key - b.key);
        const cook = (specsInOrder: readonly Spec[]) =>
          specsInOrder
            .slice(1)
            .reduce((ledger, one) => withOne(ledger, one).ledger, ledgerOf(specsInOrder.slice(0, 1)));
        const [a, b] = [cook(list), cook(shuffled.map(({ one }) => one))];
        expect(a.set).toBe(b.set);
        expect(content(a)).toEqual(content(b));
        expect(content(a)).toEqual(content(ledgerOf(list)));
      }),
    );
  });

  test('any history checks, survives its text, and gives its receipts again', () => {
    const steps = fc.array(fc.tuple(fc.boolean(), fc.nat()), { maxLength: 12 });
    fc.assert(
      fc.property(specs(3), steps, (list, changes) => {
        let ledger = ledgerOf(list.slice(0, 2));
        const receipts: (RemovalReceipt | undefined)[] = [];
        for (const [adds, number] of changes) {
          const there = ledger.ingredients;
          const others = list.filter(({ name }) => !there.some((one) => one.name === name));
          if (adds && others.length > 0) ledger = withOne(ledger, others[number % others.length]!, true).ledger;
          if (adds || there.length < 2) continue;
          const sealedOne = without(ledger, there[number % there.length]!.name);
          ledger = sealedOne.ledger;
          receipts.push(sealedOne.receipt);
        }
        expect(checkLedger(ledger, sha256)).toEqual([]);
        const text = formatLedger(ledger);
        expect(formatLedger(parseLedger(text))).toBe(text);
        expect(parseLedger(text)).toEqual(ledger);
        expect(receiptsOf(ledger, sha256)).toEqual(receipts);
      }),
    );
  });

  const [noto, ink, fluent]: [Spec, Spec, Spec] = [
    { name: 'noto', weight: '1', parts: ['unet', 'vae'] },
    { name: 'ink', weight: '1', parts: ['unet', 'vae'] },
    { name: 'fluent', weight: '1/2', parts: ['unet', 'vae'] },
  ];
  const soup = ledgerOf([noto, ink, fluent]);

  test.each([
    [
      'an unknown name',
      () => withoutIngredient(soup, 'paragon'),
      /no ingredient paragon; it is made of fluent, ink, noto/,
    ],
    ['the last one', () => withoutIngredient(ledgerOf([noto]), 'noto'), /nothing would be left/],
    ['a name that is taken', () => withIngredient(soup, ingredient(ink)), /ink is in the soup already/],
    [
      'the same model twice',
      () => withIngredient(soup, { ...ingredient(ink), name: 'b' }),
      /b and ink are the same model/,
    ],
    [
      'one that lends a part',
      () => withoutIngredient({ ...soup, parts: { vae: { from: 'ink' } } }, 'ink'),
      /takes its vae/,
    ],
    ['the base', () => withoutIngredient({ ...soup, base: ingredient(noto) }, 'noto'), /starts from/],
    [
      'what leaves weights of sum 0',
      () => withoutIngredient(ledgerOf([noto, ink, { ...fluent, weight: '-1' }]), 'noto'),
      /add up to 0/,
    ],
  ])('%s is refused', (_, change, message) => {
    expect(change).toThrow(message);
  });

  test('by its root, too', () => {
    expect(without(soup, ingredient(ink).root).receipt!.removed.name).toBe('ink');
  });

  test('the same model may be in it twice, changed in two ways; then neither is taken out alone', () => {
    const changed = { ...ingredient(ink), name: 'ink-2', blocks: { IN01: '1/2' } };
    const { ledger } = sealed(withIngredient(soup, changed));
    expect(parseLedger(formatLedger(ledger))).toEqual(ledger);
    expect(checkLedger(ledger, sha256)).toEqual([]);
    expect(() => withoutIngredient(ledger, 'ink')).toThrow(/ink and ink-2 are the same model, changed in two ways/);
    expect(checkLedger(without(ledger, 'noto').ledger, sha256)).toEqual([]);
  });

  test('what was removed stays out, under any name, unless forced', () => {
    const { ledger } = without(soup, 'ink');
    const renamed = { ...ingredient(ink), name: 'octopus' };
    expect(() => withIngredient(ledger, renamed)).toThrow(/octopus is ink, which was removed/);
    const alone = { ...ingredient({ ...ink, parts: ['unet'] }), name: 'octopus' };
    expect(() => withIngredient(ledger, alone)).toThrow(/octopus shares weights with ink, which was removed/);
    const { ledger: back } = sealed(withIngredient(ledger, alone, { force: true }));
    expect(back.tombstones).toEqual([]);
    expect(checkLedger(back, sha256)).toEqual([]);
    // The frozen VAE is in all of them, and no reason to keep a stranger out.
    expect(withOne(ledger, { name: 'stranger', weight: '1', parts: ['unet', 'vae'] }).ledger.ingredients).toHaveLength(
      3,
    );
  });
});

describe('receipts', () => {
  test('verify, and any change of any field is found', () => {
    fc.assert(
      fc.property(soupAndOne, fc.nat(), ([list, at], place) => {
        const receipt = without(ledgerOf(list), list[at]!.name).receipt!;
        expect(verifyReceipt(receipt, sha256)).toEqual([]);
        expect(parseReceipt(formatLedger(receipt))).toEqual(receipt);
        expect(verifyReceipt(bent(receipt, place), sha256)).not.toEqual([]);
      }),
      { numRuns: 300 },
    );
  });

  test('whose digest was made to fit are still found, where there is something to prove', () => {
    const receipt = without(
      ledgerOf([
        { name: 'a', weight: '1', parts: ['unet'] },
        { name: 'b', weight: '2', parts: ['unet'] },
        { name: 'c', weight: '3', parts: ['unet'] },
      ]),
      'b',
    ).receipt!;
    const [a, c] = receipt.remaining as [RemovalReceipt['removed'], RemovalReceipt['removed']];
    const other = hashOf('other');
    const changes: Partial<RemovalReceipt>[] = [
      { removed: { ...receipt.removed, weight: '1' } },
      { removed: { ...receipt.removed, root: other } },
      { removed: a, tombstone: { ...receipt.tombstone, name: 'a', root: a.root } },
      { remaining: [c, a] },
      { remaining: [a] },
      { remaining: [a, receipt.removed, c] },
      { remaining: [a, { ...receipt.removed, weight: '7' }, c] },
      { remaining: [a, { ...c, settings: { blocks: 'flat' } }] },
      { set: { ...receipt.set, old: other } },
      { set: { ...receipt.set, new: other } },
      { proof: { ...receipt.proof, index: 0 } },
      { proof: { ...receipt.proof, size: 4 } },
      { proof: { ...receipt.proof, path: receipt.proof.path.toReversed() } },
      { tombstone: { ...receipt.tombstone, components: {} } },
      { tombstone: { ...receipt.tombstone, components: { unet: other } } },
      { statement: 'It never was there.' },
      { warning: 'None.' },
    ];
    expect(hashOf({ ...receipt, digest: undefined })).toBe(receipt.digest);
    for (const change of changes) {
      const { digest, ...rest } = { ...receipt, ...change };
      const forged = { ...rest, digest: hashOf(rest) };
      expect(verifyReceipt(forged, sha256), JSON.stringify(change)).not.toEqual([]);
    }
  });

  test('speak of differencing, and never of privacy', () => {
    const { receipt } = without(
      ledgerOf([
        { name: 'a', weight: '1', parts: ['unet'] },
        { name: 'b', weight: '1', parts: ['unet'] },
      ]),
      'a',
    );
    expect(receipt!.warning).toContain('of 2 equal weights it is 2 * old - 1 * new');
    expect(formatLedger(receipt!)).not.toMatch(/privacy|private|forgotten|unlearn/i);
  });

  test('that are no receipts are found as well', () => {
    expect(verifyReceipt({} as RemovalReceipt, sha256)).toHaveLength(1);
    expect(verifyReceipt(null as unknown as RemovalReceipt, sha256)).toHaveLength(1);
  });
});

/** The same with one leaf of the tree of values changed into another of its kind. */
function bent<T>(value: T, place: number): T {
  const copy = structuredClone(value);
  const leaves: { holder: Record<string, unknown>; key: string }[] = [];
  const walk = (holder: Record<string, unknown>) => {
    for (const [key, inner] of Object.entries(holder)) {
      if (typeof inner === 'object' && inner !== null) walk(inner as Record<string, unknown>);
      else leaves.push({ holder, key });
    }
  };
  walk(copy as Record<string, unknown>);
  const { holder, key } = leaves[place % leaves.length]!;
  const old = holder[key];
  holder[key] = typeof old === 'number' ? old + 1 : /^[0-9a-f]{64}$/.test(String(old)) ? hashOf(old) : `${old}1`;
  return copy;
}

describe('checkLedger', () => {
  const chain = (): Ledger => {
    const spec = (name: string): Spec => ({ name, weight: '1', parts: ['unet', 'vae'] });
    const start = ledgerOf(['a', 'b', 'c'].map(spec));
    const added = withOne(without(without(start, 'b').ledger, 'a').ledger, spec('d')).ledger;
    return withOne(added, spec('a'), true).ledger;
  };

  test('finds what was changed', () => {
    const ledger = chain();
    expect(checkLedger(ledger, sha256)).toEqual([]);
    const other = hashOf('other');
    const entry = (at: number, change: object): Partial<Ledger> => ({
      history: ledger.history.map((one, i) => (i === at ? ({ ...one, ...change } as never) : one)),
    });
    const changes: Partial<Ledger>[] = [
      { set: other },
      { result: { ...ledger.result, root: other } },
      { ingredients: ledger.ingredients.map((one) => ({ ...one, weight: '2' })) },
      { ingredients: ledger.ingredients.map((one) => ({ ...one, root: other })) },
      { ingredients: ledger.ingredients.toReversed() },
      { ingredients: ledger.ingredients.slice(1) },
      { base: { ...ledger.ingredients[0]!, root: other } },
      { tombstones: [] },
      { tombstones: [{ ...ledger.tombstones[0]!, name: 'z' }] },
      { history: ledger.history.slice(1) },
      { history: ledger.history.slice(0, -1) },
      { history: [ledger.history[0]!] },
      { history: [ledger.history[0]!, ...ledger.history] },
      entry(0, { set: other }),
      entry(0, { soup: other }),
      entry(1, { soup: { old: other, new: other } }),
      entry(1, { proof: { index: 0, size: 3, path: [] } }),
      entry(1, { tombstone: { ...ledger.tombstones[0]!, root: other } }),
      entry(2, { share: { name: 'a', root: other, weight: '1' } }),
      entry(3, { share: { name: 'e', root: other, weight: '1' } }),
      entry(4, { lifted: undefined }),
      entry(4, { lifted: [other] }),
    ];
    for (const change of changes) {
      expect(checkLedger({ ...ledger, ...change }, sha256), JSON.stringify(change)).not.toEqual([]);
    }
  });
});
