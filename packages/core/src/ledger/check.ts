/** Whether the hashes of a ledger agree with each other, from the set as it is back to the day it was made. */
import { printable } from '../checkpoint/printable.js';
import { canonicalJson } from './canonical.js';
import { shareOf } from './change.js';
import type { Sha256 } from './merkle.js';
import { receiptOf, verifyReceipt } from './receipt.js';
import { byShare, modelRoot, setRoot } from './roots.js';
import type { HistoryEntry, Ledger, LedgerModel, Removal, RemovalReceipt, Share } from './schema.js';

/**
 * What is wrong with a ledger, in words. A ledger without problems may still be another soup's: whether it is the
 * ledger of some weights, their hashes tell.
 */
export function checkLedger(ledger: Ledger, sha256: Sha256): string[] {
  const problems: string[] = [];
  const claim = (holds: boolean, problem: string) => holds || problems.push(problem);
  const models: LedgerModel[] = [
    ...ledger.ingredients,
    ...(ledger.base ? [ledger.base] : []),
    ...(ledger.sources ?? []),
  ];
  for (const { name, root, components } of models) {
    claim(modelRoot(components, sha256) === root, `the root of ${printable(name)} is not that of its parts`);
  }
  const { result } = ledger;
  claim(modelRoot(result.components, sha256) === result.root, 'the root of the result is not that of its parts');
  const shares = ledger.ingredients.map(shareOf);
  claim(
    shares.every((share, i) => i === 0 || byShare(shares[i - 1]!, share) < 0),
    'the ingredients are not in order',
  );
  claim(setRoot(shares, sha256) === ledger.set, 'the root of the set is not that of the ingredients');
  checkHistory(ledger, sha256, claim);
  return problems;
}

function checkHistory(ledger: Ledger, sha256: Sha256, claim: (holds: boolean, problem: string) => void): void {
  let [soup, set] = [ledger.result.root, ledger.set];
  const steps = replay(ledger);
  for (const { entry, at, before, after } of steps) {
    const say = (holds: boolean, problem: string) => claim(holds, `history[${at}]: ${problem}`);
    if (entry.action === 'made') {
      say(at === 0, 'only the first entry can be "made"');
      say(entry.soup === soup && entry.set === set, 'the next entry starts from another soup');
      continue;
    }
    say(at > 0, 'the first entry has to be "made"');
    say(entry.soup.new === soup && entry.set.new === set, 'the next entry starts from another soup');
    say(before !== undefined, `${printable(entry.share.name)} cannot have been there or gone as the ledger says`);
    if (before) say(setRoot(before, sha256) === entry.set.old, 'the set before is not the one whose root it names');
    if (entry.action === 'remove') {
      for (const problem of verifyReceipt(receiptOf(entry, after, sha256), sha256)) say(false, problem);
    }
    [soup, set] = [entry.soup.old, entry.set.old];
    if (!before) return;
  }
  const buried = new Map<string, Removal['tombstone']>();
  for (const entry of ledger.history) {
    if (entry.action === 'remove') buried.set(entry.tombstone.root, entry.tombstone);
    if (entry.action !== 'add') continue;
    claim(
      !buried.has(entry.share.root) || entry.lifted?.includes(entry.share.root) === true,
      'a removed shard is back unseen',
    );
    for (const root of entry.lifted ?? []) claim(buried.delete(root), 'a tombstone was lifted that was not there');
  }
  claim(
    canonicalJson([...buried.values()]) === canonicalJson(ledger.tombstones),
    'the tombstones are not those of the shards that were removed',
  );
}

interface Step {
  readonly entry: HistoryEntry;
  readonly at: number;
  /** The set before the entry; undefined when the entry cannot have led to the set after it. */
  readonly before: readonly Share[] | undefined;
  readonly after: readonly Share[];
}

/** The entries, latest first, with the set of ingredients before and after each. */
function replay(ledger: Ledger): Step[] {
  const steps: Step[] = [];
  let after: readonly Share[] = ledger.ingredients.map(shareOf);
  for (let at = ledger.history.length - 1; at >= 0; at--) {
    const entry = ledger.history[at]!;
    const before = entry.action === 'made' ? after : undo(entry, after);
    steps.push({ entry, at, before, after });
    if (!before) break;
    after = before;
  }
  return steps;
}

function undo({ action, share }: Exclude<HistoryEntry, { action: 'made' }>, after: readonly Share[]) {
  if (action === 'remove') {
    const isThere = after.some(({ name, root }) => name === share.name || root === share.root);
    return isThere ? undefined : [...after, share];
  }
  const there = after.find(({ name }) => name === share.name);
  return there && canonicalJson(there) === canonicalJson(share) ? after.filter((one) => one !== there) : undefined;
}

/** The receipts of all removals, earliest first, as they were given. */
export function receiptsOf(ledger: Ledger, sha256: Sha256): RemovalReceipt[] {
  const receipts = replay(ledger).flatMap(({ entry, after }) =>
    entry.action === 'remove' ? [receiptOf(entry, after, sha256)] : [],
  );
  return receipts.reverse();
}
