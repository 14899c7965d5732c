/**
 * Whether taking a model out of a soup leaves the soup that never had it: by the commands' own machinery, on the disk. A
 * soup of all is made with its ledger; each model is removed from it and added again; and beside it the soup of the
 * others is made from nothing. What counts is the Merkle root over all tensors.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { withIngredient, withoutIngredient } from '@diffusion-soup/core';
import { openKitchen } from '../kitchen.js';
import { changeSoup } from '../ledger/change-soup.js';
import { noSumBecause } from '../merging/running-sum.js';
import { cookSoup } from '../merging/soup.js';
import type { Output } from '../output.js';
import { makeFolder } from '../picture-file.js';
import type { Lab } from './session.js';

export interface Removal {
  readonly name: string;
  /** Of the soup after the removal. */
  readonly removed: string;
  /** Of the soup that never had it. */
  readonly never: string;
  /** Of the soup to which it was added again. */
  readonly added: string;
}

export interface LedgerDrill {
  /** Of the soup of all. */
  readonly whole: string;
  readonly removals: readonly Removal[];
  /** Removed by subtracting from the running sums, without reading the others. */
  readonly bySum: boolean;
}

export async function drillLedger(lab: Lab, tick: () => void): Promise<LedgerDrill> {
  const { kitchen, gpu, output, flags } = lab;
  const quiet: Output = { ...output, note() {}, print() {}, show() {}, result() {}, status() {}, endStatus() {} };
  await makeFolder(flags.out);
  const folder = await mkdtemp(join(resolve(flags.out), '.drill-'));
  const at = (name: string) => join(folder, name);
  try {
    const bySum = noSumBecause(kitchen) === undefined;
    const { ledger } = await cookSoup(gpu, kitchen, at('all'), { keepSum: bySum }, quiet);
    const removals: Removal[] = [];
    for (const [i, { name }] of kitchen.ingredients.entries()) {
      output.io.signal.throwIfAborted();
      const share = ledger.ingredients.find(({ root }) => root === lab.hashes.of(kitchen.ingredients[i]!.folder).root)!;
      const without = at(`without-${i}`);
      const change = { gpu, output: quiet, dryRun: false };
      const removed = await changeSoup(at('all'), withoutIngredient(ledger, share.name), { ...change, out: without });
      const again = withIngredient(removed!.ledger, share, { force: true });
      const shard = { ledger: share, path: kitchen.ingredients[i]!.path };
      const added = await changeSoup(without, again, { ...change, out: at(`again-${i}`), shard });
      const others = kitchen.order.ingredients.filter((_, other) => other !== i);
      const base = kitchen.base && { base: kitchen.base.path };
      const small = await openKitchen({ ...kitchen.order, ...base, ingredients: others }, quiet);
      try {
        const never = await cookSoup(gpu, small, at(`never-${i}`), {}, quiet);
        removals.push({
          name,
          removed: removed!.ledger.result.root,
          never: never.ledger.result.root,
          added: added!.ledger.result.root,
        });
      } finally {
        await small.close();
      }
      for (const each of ['without', 'again', 'never']) await rm(at(`${each}-${i}`), { recursive: true, force: true });
      tick();
    }
    return { whole: ledger.result.root, removals, bySum };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
