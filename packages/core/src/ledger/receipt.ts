/** Removal receipts: what was taken out of a soup, with what anybody needs to check it. */

import { safeParse } from 'zod/mini';
import { printable } from '../checkpoint/printable.js';
import { byCodePoint, canonicalJson, fromHex, toHex } from './canonical.js';
import { type Sha256, verifyInclusion } from './merkle.js';
import { byShare, modelRoot, setRoot, shareLeaf } from './roots.js';
import { RECEIPT_TYPE, type Removal, type RemovalReceipt, receiptSchema, type Share, VERSION } from './schema.js';

/** What is claimed, and how to check it. */
const statementOf = (remaining: number): string =>
  `The soup with the new root is the one that is made from scratch of the ${remaining} ` +
  `${remaining === 1 ? 'ingredient that remains' : 'ingredients that remain'}. To check it, run "soup verify": it makes ` +
  'that soup again and compares its hashes, tensor by tensor.';

/** Said with every removal: a soup without a shard does not make the soup with it disappear. */
const warningOf = (remaining: number): string =>
  'The shard is out of the new soup, not out of the world. Whoever has both soups can compute the shard from them, up to ' +
  `rounding: of ${remaining + 1} equal weights it is ${remaining + 1} * old - ${remaining} * new, and other weights have a ` +
  'formula like it. Copies of the old soup, of pictures made with it and of the shard itself remain what they are.';

export function receiptOf(entry: Removal, remaining: readonly Share[], sha256: Sha256): RemovalReceipt {
  const { share, soup, set, proof, tombstone } = entry;
  const rest = {
    type: RECEIPT_TYPE,
    version: VERSION,
    removed: share,
    ...{ soup, set, proof, tombstone },
    remaining: [...remaining].sort(byShare) as RemovalReceipt['remaining'],
    statement: statementOf(remaining.length),
    warning: warningOf(remaining.length),
  } as const;
  return { ...rest, digest: digestOf(rest, sha256) };
}

function digestOf(rest: Omit<RemovalReceipt, 'digest'>, sha256: Sha256): string {
  const state = sha256();
  state.update(new TextEncoder().encode(canonicalJson(rest)));
  return toHex(new Uint8Array(state.digest()));
}

/**
 * What is wrong with a receipt, in words; nothing when it proves what it says: the shard was in the old set, the new
 * set is the old one without it, and its tombstone is the shard's. That the new weights are those of the new set, no
 * receipt can prove: `soup verify` makes them again.
 */
export function verifyReceipt(receipt: RemovalReceipt, sha256: Sha256): string[] {
  const form = safeParse(receiptSchema, receipt);
  if (!form.success) {
    const { path, message } = form.error.issues[0]!;
    return [`${printable(path.join('.'))}: ${message}`];
  }
  const { digest, ...rest } = receipt;
  const { removed, remaining, set, proof, tombstone } = receipt;
  const old = [...remaining, removed].sort(byShare);
  const leaf = shareLeaf(removed, sha256);
  const path = proof.path.map(fromHex);
  const inclusion = { leaf, index: proof.index, size: proof.size, path, root: fromHex(set.old) };
  const components = Object.fromEntries(Object.entries(tombstone.components).map(([part, root]) => [part, { root }]));
  const claims: [boolean, string][] = [
    [digestOf(rest, sha256) === digest, 'the digest is that of another receipt: something was changed'],
    [
      remaining.every((one, i) => i === 0 || byCodePoint(remaining[i - 1]!.name, one.name) < 0),
      'the remaining are not in order',
    ],
    [!remaining.some(({ root }) => root === removed.root), 'the removed shard is among the remaining'],
    [!remaining.some(({ name }) => name === removed.name), 'the name of the removed shard is among the remaining'],
    [setRoot(remaining, sha256) === set.new, 'the root of the remaining is not the new one'],
    [setRoot(old, sha256) === set.old, 'the remaining and the removed shard do not make the old set'],
    [verifyInclusion(inclusion, sha256), 'the proof does not lead from the removed shard to the root of the old set'],
    [proof.size === old.length && old[proof.index] === removed, 'the proof is for another place in the set'],
    [tombstone.name === removed.name && tombstone.root === removed.root, 'the tombstone is that of another shard'],
    [modelRoot(components, sha256) === tombstone.root, 'the parts on the tombstone do not make its root'],
    [receipt.statement === statementOf(remaining.length), 'the statement is not the one that belongs there'],
    [receipt.warning === warningOf(remaining.length), 'the warning is not the one that belongs there'],
  ];
  return claims.filter(([holds]) => !holds).map(([, problem]) => problem);
}
