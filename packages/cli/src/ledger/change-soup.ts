/** Adds a shard to a soup or takes one out: the ledger decides, and what remains is averaged anew. */
import { existsSync } from 'node:fs';
import { basename, isAbsolute, resolve } from 'node:path';
import {
  type Change,
  CheckpointError,
  checkLedger,
  type Fraction,
  formatFraction,
  formatLedger,
  formula,
  type Gpu,
  type Ledger,
  type LedgerComponents,
  type LedgerIngredient,
  type LedgerModel,
  type Plan,
  parentsOf,
  parseFraction,
  type Sealed,
  seal,
  soupMetadata,
  UsageError,
} from '@diffusion-soup/core';
import { openHashCache } from '../hash/cache.js';
import { hashModel, ledgerComponents } from '../hash/model.js';
import { type HashOptions, sha256 } from '../hash/weights.js';
import { admitAll } from '../merging/admission.js';
import { pathFrom } from '../merging/ledger.js';
import { isSingleFile, type MergeSettings, planMerge, writeMerge } from '../merging/merge.js';
import type { Output } from '../output.js';
import { byteProgress } from '../progress.js';
import { recipeOf } from '../recipe.js';
import { printable } from '../text.js';
import { version } from '../version.js';
import { changeBySum, partsBySum } from './change-by-sum.js';
import { ledgerPath, needLedger } from './file.js';
import { ledgerFolder, locateModel } from './locate.js';
import { type OpenedLedger, openLedger } from './open.js';

/** Every byte is read, and what is learnt is kept. */
export function freshHashing(output: Output, doing: string): HashOptions {
  const line = byteProgress();
  return {
    signal: output.io.signal,
    cache: openHashCache(output.io.env),
    fresh: true,
    onProgress: (done, total) => output.status(`${doing}: ${line(done, total)}`),
  };
}

/** The ledger of a soup that is what its ledger says. */
export async function soundLedger(soup: string, output: Output): Promise<Ledger> {
  const file = ledgerPath(soup);
  const ledger = await needLedger(soup, file);
  const [contradiction] = checkLedger(ledger, sha256);
  if (contradiction !== undefined) {
    throw new CheckpointError(
      `${printable(file)} contradicts itself: ${contradiction}. It was changed by hand, or damaged.`,
      { file },
    );
  }
  const { root } = await hashModel(soup, freshHashing(output, 'reading the soup'));
  if (root === ledger.result.root) return ledger;
  throw new CheckpointError(
    `the weights of ${printable(soup)} are not those that its ledger speaks of; see "soup verify". Make the soup again ` +
      'before anything is added or removed.',
    { file: soup, expected: ledger.result.root, found: root },
  );
}

export interface ChangeSoupOptions {
  readonly gpu: Gpu;
  readonly output: Output;
  /** Where the new soup goes: the old one's place, or another. */
  readonly out: string;
  readonly settings?: MergeSettings;
  /** The shard that is added. One that is removed is in the ledger. */
  readonly shard?: { readonly ledger: LedgerIngredient; readonly path: string };
  readonly dryRun: boolean;
}

/** The soup after a change and its ledger, written together; in a dry run all is checked and nothing written. */
export async function changeSoup(
  soup: string,
  change: Change,
  options: ChangeSoupOptions,
): Promise<Sealed | undefined> {
  const { gpu, output, out, shard, dryRun } = options;
  const { before, share } = change;
  const ledgerShard = shard?.ledger ?? before.ingredients.find(({ name }) => name === share.name)!;
  const parts = partsBySum(change, ledgerShard);
  if (typeof parts === 'object' && !isSingleFile(out) && !dryRun) {
    const shardPath = shard?.path ?? (await locateModel(ledgerShard, locatingFrom(soup, output))).path;
    const plan = rebased(change, ledgerFolder(ledgerPath(soup)), ledgerFolder(ledgerPath(out)), shardPath);
    return changeBySum({ ...change, plan }, { gpu, output, soup: resolve(soup), out, shardPath, parts });
  }
  if (before.sums && typeof parts === 'string') {
    output.note(`the running sums do not do here, since ${parts}: all ingredients are read`);
  }
  return changeFromScratch(soup, change, options);
}

const locatingFrom = (soup: string, output: Output) => ({
  ...freshHashing(output, 'reading the ingredients'),
  env: output.io.env,
  from: ledgerFolder(ledgerPath(soup)),
});

async function changeFromScratch(
  soup: string,
  change: Change,
  { gpu, output, out, settings = {}, dryRun }: ChangeSoupOptions,
): Promise<Sealed | undefined> {
  const opened = await openLedger(change.plan, locatingFrom(soup, output));
  try {
    const { hashOf, recipe } = opened;
    const plan = moved(change.plan, opened, ledgerFolder(ledgerPath(out)));
    const merge = await planMerge(gpu, recipe, out, { ...settings, hashOf, signal: output.io.signal });
    try {
      await admitAll(gpu, merge, hashOf, output);
      if (dryRun) return undefined;
      let sealed: Sealed | undefined;
      const ledgerText = (components: LedgerComponents): string => {
        sealed = seal({ ...change, plan }, components, { tool: version, sha256 });
        return formatLedger(sealed.ledger);
      };
      const folders = recipe.ingredients.map(({ folder }) => folder);
      const metadata = await soupMetadata(plan, {
        models: recipe.base ? [...folders, recipe.base] : folders,
        parents: await parentsOf(plan.ingredients, folders),
        singleFile: isSingleFile(out),
      });
      const writing = { ...settings, hashOf, title: titleOf(plan), metadata, ledgerText };
      await writeMerge(gpu, merge, out, writing, output);
      return sealed;
    } finally {
      await merge.close();
    }
  } finally {
    await opened.close();
  }
}

/** The same for models that are not looked for, but for the shard. */
function rebased({ plan, share }: Change, before: string, after: string, shardPath: string): Plan {
  const one = <Model extends LedgerModel>(model: Model): Model => ({
    ...model,
    from: pathFrom(after, model.name === share.name ? shardPath : resolve(before, model.from)),
  });
  return {
    ...plan,
    ingredients: plan.ingredients.map(one),
    ...(plan.base && { base: one(plan.base) }),
    ...(plan.sources && { sources: plan.sources.map(one) }),
  };
}

/** The plan with its paths as seen from where the new ledger will be. */
function moved(plan: Plan, { found }: OpenedLedger, folder: string): Plan {
  const one = <Model extends LedgerModel>(model: Model): Model => {
    const path = found.get(model.name)?.path;
    return path === undefined ? model : { ...model, from: pathFrom(folder, path) };
  };
  return {
    ...plan,
    ingredients: plan.ingredients.map(one),
    ...(plan.base && { base: one(plan.base) }),
    ...(plan.sources && { sources: plan.sources.map(one) }),
  };
}

const titleOf = ({ ingredients, base }: Plan): string =>
  formula(
    recipeOf(
      ingredients.map(({ name, weight }) => ({ path: name, weight: parseFraction(weight) })),
      base?.name,
    ),
  );

/** A model as an ingredient of a soup, by what it holds. `from` is what it was called. */
export async function ingredientAt(
  path: string,
  { from, name, weight, output }: { from: string; name?: string; weight: Fraction; output: Output },
): Promise<LedgerIngredient> {
  const { root, components } = await hashModel(path, freshHashing(output, `reading ${printable(from)}`));
  if (components.has('file')) throw new UsageError(`${printable(path)} is no model that can be an ingredient`);
  return {
    name: name ?? basename(path).replace(/\.safetensors$/i, ''),
    from: existsSync(from) && !isAbsolute(from) ? resolve(from) : from,
    root,
    components: ledgerComponents(components) as LedgerComponents,
    weight: formatFraction(weight),
  };
}
