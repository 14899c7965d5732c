/**
 * Adding to a soup and removing from it, as decisions about its ledger: withIngredient and withoutIngredient say what is
 * to be averaged, and refuse what has no meaning; once the weights are there, `seal` enters what was done.
 */
import { printable } from '../checkpoint/printable.js';
import { UsageError } from '../errors.js';
import { add, isZero, parseFraction, ZERO } from '../soup/fraction.js';
import { toHex } from './canonical.js';
import { checkLedgerRules, contentOf } from './ledger.js';
import { inclusionPath, type Sha256 } from './merkle.js';
import { receiptOf } from './receipt.js';
import { byShare, modelRoot, setRoot, shareLeaves } from './roots.js';
import {
  type HistoryEntry,
  LEDGER_TYPE,
  type Ledger,
  type LedgerComponents,
  type LedgerIngredient,
  type Removal,
  type RemovalReceipt,
  type Share,
  type Tombstone,
  VERSION,
} from './schema.js';

/** What a soup is to be made of. */
export type Plan = Omit<Ledger, 'type' | 'version' | 'result' | 'sums' | 'set' | 'history' | 'tombstones'>;

export type Change = { readonly before: Ledger; readonly plan: Plan; readonly share: Share } & (
  | { readonly action: 'add'; readonly lifted: readonly string[] }
  | { readonly action: 'remove'; readonly tombstone: Tombstone }
);

export function shareOf({ name, root, weight, blocks, loras }: LedgerIngredient): Share {
  const settings = {
    ...(blocks !== undefined && { blocks }),
    ...(loras !== undefined && { loras: loras.map(({ sha256, strength }) => ({ sha256, strength })) }),
  };
  return { name, root, weight, ...(Object.keys(settings).length > 0 && { settings }) };
}

const refuse = (key: string, found: unknown, wanted: string): never => {
  throw new UsageError(`${key} is ${printable(String(found))}; ${wanted}`, { key });
};

/** The same model may go in twice if it is changed in different ways before, by LoRAs or block weights. */
export function refuseTwins(ingredients: readonly LedgerIngredient[]): void {
  const seen = new Map<string, string>();
  for (const ingredient of ingredients) {
    const content = contentOf(ingredient);
    const twin = seen.get(content);
    if (twin !== undefined) {
      const both = `${printable(twin)} and ${printable(ingredient.name)}`;
      throw new UsageError(`${both} are the same model; name it once, with the sum of the weights`, {
        root: ingredient.root,
      });
    }
    seen.set(content, ingredient.name);
  }
}

/** The ledger of a new soup, from what it is made of and the weights that were written. */
export function makeLedger(plan: Plan, components: LedgerComponents, sha256: Sha256): Ledger {
  const ingredients = [...plan.ingredients].sort(byShare);
  refuseTwins(ingredients);
  const set = setRoot(ingredients.map(shareOf), sha256);
  const root = modelRoot(components, sha256);
  const ledger: Ledger = {
    ...{ type: LEDGER_TYPE, version: VERSION },
    ...plan,
    ingredients,
    result: { root, components },
    set,
    history: [{ action: 'made', soup: root, set }],
    tombstones: [],
  };
  checkLedgerRules(ledger, refuse);
  return ledger;
}

export interface AddOptions {
  /** Take back what was removed before. */
  readonly force?: boolean;
}

/** The soup with one more ingredient. Refuses one that was removed before, also under another name. */
export function withIngredient(
  before: Ledger,
  ingredient: LedgerIngredient,
  { force = false }: AddOptions = {},
): Change {
  const shown = printable(ingredient.name);
  if (before.ingredients.some(({ name }) => name === ingredient.name)) {
    throw new UsageError(`${shown} is in the soup already; remove it first, or add this model under another name`);
  }
  const stones = before.tombstones.filter((stone) => isBuried(stone, ingredient, before));
  if (stones.length > 0 && !force) {
    const names = stones.map(({ name }) => printable(name)).join(', ');
    const same = stones.some(({ root }) => root === ingredient.root) ? 'is' : 'shares weights with';
    throw new UsageError(
      `${shown} ${same} ${names}, which was removed from this soup. It stays out; --force takes it back all the same.`,
      { name: ingredient.name, root: ingredient.root },
    );
  }
  const plan = planOf(before, [...before.ingredients, ingredient]);
  refuseTwins(plan.ingredients);
  checkLedgerRules({ ...before, ...plan, tombstones: [] }, refuse);
  return { before, plan, action: 'add', share: shareOf(ingredient), lifted: stones.map(({ root }) => root) };
}

/** By content: the same model, or a part of it that nothing left in the soup has as well (a frozen VAE is everybody's). */
function isBuried(stone: Tombstone, candidate: LedgerIngredient, ledger: Ledger): boolean {
  if (stone.root === candidate.root) return true;
  const kept = [...ledger.ingredients, ...(ledger.base ? [ledger.base] : []), ...(ledger.sources ?? [])];
  return Object.entries(candidate.components).some(([part, { root }]) => {
    const name = part as keyof LedgerComponents;
    return stone.components[name] === root && !kept.some(({ components }) => components[name]?.root === root);
  });
}

/** The soup without one of its ingredients, which is named by name or by root. */
export function withoutIngredient(before: Ledger, name: string): Change {
  const gone =
    before.ingredients.find((one) => one.name === name) ?? before.ingredients.find((one) => one.root === name);
  const shown = printable(name);
  if (!gone) {
    const names = before.ingredients.map((one) => printable(one.name)).join(', ');
    throw new UsageError(`the soup has no ingredient ${shown}; it is made of ${names}`);
  }
  if (before.ingredients.length === 1) {
    throw new UsageError(`${shown} is all that the soup is made of: nothing would be left`);
  }
  const twin = before.ingredients.find((one) => one !== gone && one.root === gone.root);
  if (twin) {
    throw new UsageError(
      `${shown} and ${printable(twin.name)} are the same model, changed in two ways: without one of them it is still in ` +
        'the soup. Make the soup anew without both',
      { root: gone.root },
    );
  }
  const lent = Object.entries(before.parts ?? {}).find(
    ([, from]) => typeof from === 'object' && from.from === gone.name,
  );
  if (lent) throw new UsageError(`the soup takes its ${lent[0]} from ${shown}; make it anew with another one first`);
  const holder = [before.base, ...(before.sources ?? [])].find((model) => model?.root === gone.root);
  if (holder) throw new UsageError(`${shown} is also what the soup starts from; make it anew with another base first`);
  const plan = planOf(
    before,
    before.ingredients.filter((one) => one !== gone),
  );
  if (plan.normalize && isZero(plan.ingredients.reduce((sum, { weight }) => add(sum, parseFraction(weight)), ZERO))) {
    throw new UsageError(`without ${shown} the weights add up to 0: nothing would be left to divide by`);
  }
  const components = Object.fromEntries(Object.entries(gone.components).map(([part, { root }]) => [part, root]));
  const tombstone = { name: gone.name, root: gone.root, components };
  return { before, plan, action: 'remove', share: shareOf(gone), tombstone };
}

function planOf(
  { type, version, result, sums, set, history, tombstones, ...plan }: Ledger,
  ingredients: LedgerIngredient[],
): Plan {
  return { ...plan, ingredients: ingredients.sort(byShare) };
}

export interface Sealed {
  readonly ledger: Ledger;
  /** Of a removal. */
  readonly receipt?: RemovalReceipt;
}

/** The ledger after a change, once the new soup is written; `tool` is the version of the program that wrote it. */
export function seal(
  change: Change,
  components: LedgerComponents,
  { tool, sha256 }: { tool: string; sha256: Sha256 },
): Sealed {
  const { before, plan, share } = change;
  const root = modelRoot(components, sha256);
  const remaining = plan.ingredients.map(shareOf);
  const set = setRoot(remaining, sha256);
  const steps = { share, soup: { old: before.result.root, new: root }, set: { old: before.set, new: set } };
  let entry: HistoryEntry;
  let tombstones: readonly Tombstone[];
  if (change.action === 'add') {
    const { lifted } = change;
    entry = { action: 'add', ...steps, ...(lifted.length > 0 && { lifted }) };
    tombstones = before.tombstones.filter((stone) => !lifted.includes(stone.root));
  } else {
    entry = { action: 'remove', ...steps, proof: proofOf(change, sha256), tombstone: change.tombstone };
    tombstones = [...before.tombstones, change.tombstone];
  }
  const { sums, ...kept } = before; // they are of the old soup
  const ledger: Ledger = {
    ...kept,
    ...plan,
    tool,
    result: { root, components },
    set,
    history: [...before.history, entry],
    tombstones,
  };
  return { ledger, ...(entry.action === 'remove' && { receipt: receiptOf(entry, remaining, sha256) }) };
}

function proofOf({ before, share }: Change, sha256: Sha256): Removal['proof'] {
  const leaves = shareLeaves(before.ingredients.map(shareOf), sha256);
  const index = before.ingredients.findIndex(({ name }) => name === share.name);
  return { index, size: leaves.length, path: inclusionPath(leaves, index, sha256).map(toHex) };
}
