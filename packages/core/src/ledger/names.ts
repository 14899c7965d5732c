/** What models are called in a ledger. */
import { toHex } from './canonical.js';
import type { Plan } from './change.js';
import { contentOf } from './ledger.js';
import type { Sha256 } from './merkle.js';
import type { LedgerIngredient, LedgerModel } from './schema.js';

/** Models of one name are told apart by their content, so that a ledger does not depend on the order of words. */
export function withOwnNames(plan: Plan, sha256: Sha256): Plan {
  const keyOf = (model: LedgerModel & Pick<LedgerIngredient, 'blocks' | 'loras'>): string =>
    model.blocks === undefined && !model.loras ? model.root : toHex(hashOf(sha256, contentOf(model)));
  const all = [...plan.ingredients, ...(plan.base ? [plan.base] : []), ...(plan.sources ?? [])];
  const own = <Model extends LedgerModel>(model: Model): Model => {
    const key = keyOf(model);
    const isAlone = all.every((other) => other.name !== model.name || keyOf(other) === key);
    return isAlone ? model : { ...model, name: `${model.name}@${key.slice(0, 8)}` };
  };
  return {
    ...plan,
    ingredients: plan.ingredients.map(own),
    ...(plan.base && { base: own(plan.base) }),
    ...(plan.sources && { sources: plan.sources.map(own) }),
  };
}

function hashOf(sha256: Sha256, text: string): Uint8Array {
  const state = sha256();
  state.update(new TextEncoder().encode(text));
  return state.digest();
}
