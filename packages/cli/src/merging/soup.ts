/** From an open kitchen to a soup with its ledger: what `soup merge`, the demo and the terminal's kitchen do. */
import {
  formatLedger,
  type Gpu,
  type Ledger,
  type LedgerComponents,
  type MergePlan,
  makeLedger,
  type Plan,
  parentsOf,
  SumOverflowError,
  soupMetadata,
  UsageError,
} from '@diffusion-soup/core';
import { sha256 } from '../hash/weights.js';
import type { Kitchen } from '../kitchen.js';
import { ledgerPath } from '../ledger/file.js';
import type { Output } from '../output.js';
import { type Admissions, admitAll } from './admission.js';
import { checkRoots, hashModels, type ModelHashes } from './hashes.js';
import { ledgerPlan, modelsOf } from './ledger.js';
import { isSingleFile, type Merged, type MergeSettings, planMerge, writeMerge } from './merge.js';
import { ledgerSums, noSumBecause, withSums } from './running-sum.js';
import { checkFileTarget, checkFolderTarget } from './target.js';
import type { WrittenFile } from './write.js';

export interface SoupSettings extends MergeSettings {
  readonly force?: boolean;
  /** Do not look at every number before work begins. */
  readonly skipAdmission?: boolean;
  /** Keep the running sums beside the soup, by which a shard is added or removed without reading the others. */
  readonly keepSum?: boolean;
}

export interface PreparedSoup {
  readonly plan: MergePlan;
  readonly hashes: ModelHashes;
  readonly madeOf: Plan;
  readonly admitted: Admissions;
}

/** Refuses a target that must not be written, before the ingredients are read. */
export async function checkTarget(target: string, kitchen: Kitchen, settings: SoupSettings): Promise<void> {
  const { force = false } = settings;
  const reason = settings.keepSum ? noSumBecause(kitchen) : undefined;
  if (reason !== undefined) throw new UsageError(`--keep-sum: there is no running sum, since ${reason}`);
  if (settings.keepSum && isSingleFile(target)) {
    throw new UsageError('--keep-sum keeps its sums in a folder; give --out the name of one');
  }
  if (isSingleFile(target)) checkFileTarget(target, { force });
  else await checkFolderTarget(target, { force, inputs: modelsOf(kitchen).map(({ path }) => path) });
}

/** All that can be found out without writing anything: a dry run ends here. Whoever asks closes the plan. */
export async function prepareSoup(
  gpu: Gpu,
  kitchen: Kitchen,
  target: string,
  settings: SoupSettings,
  output: Output,
): Promise<PreparedSoup> {
  const hashes = await hashModels(modelsOf(kitchen), output);
  checkRoots(kitchen.ingredients, hashes);
  const options = { ...settings, hashOf: hashes.hashOf, signal: output.io.signal };
  const plan = await planMerge(gpu, kitchen.open, target, options);
  try {
    const admitted = settings.skipAdmission ? new Map() : await admitAll(gpu, plan, hashes.hashOf, output);
    const madeOf = await ledgerPlan(kitchen, hashes, plan.arithmetic, ledgerPath(target));
    return { plan, hashes, madeOf, admitted };
  } catch (error) {
    await plan.close();
    throw error;
  }
}

export async function writeSoup(
  gpu: Gpu,
  kitchen: Kitchen,
  prepared: PreparedSoup,
  target: string,
  settings: SoupSettings,
  output: Output,
): Promise<Merged & { readonly ledger: Ledger }> {
  if (!settings.keepSum) return writePlan(gpu, kitchen, prepared, prepared.plan, target, settings, output);
  return withNarrowSums((words) => {
    const plan = withSums(prepared.plan, kitchen, words);
    return writePlan(gpu, kitchen, prepared, plan, target, settings, output);
  });
}

/** Sums of the weights that models have fit 32 bits; where they do not, all is written again with 64. */
export async function withNarrowSums<T>(write: (words: 1 | 2) => Promise<T>): Promise<T> {
  try {
    return await write(1);
  } catch (error) {
    if (error instanceof SumOverflowError) return write(2);
    throw error;
  }
}

async function writePlan(
  gpu: Gpu,
  { title, ingredients, base }: Kitchen,
  { hashes: { hashOf }, madeOf }: PreparedSoup,
  plan: MergePlan,
  target: string,
  settings: SoupSettings,
  output: Output,
): Promise<Merged & { readonly ledger: Ledger }> {
  let ledger: Ledger | undefined;
  const folders = ingredients.map(({ folder }) => folder);
  const metadata = await soupMetadata(madeOf, {
    models: base ? [...folders, base.folder] : folders,
    parents: await parentsOf(madeOf.ingredients, folders),
    singleFile: isSingleFile(target),
  });
  const ledgerText = (components: LedgerComponents, written: readonly WrittenFile[]) => {
    const sums = ledgerSums(plan, written);
    ledger = { ...makeLedger(madeOf, components, sha256), ...(sums && { sums }) };
    return formatLedger(ledger);
  };
  const merged = await writeMerge(gpu, plan, target, { ...settings, hashOf, title, metadata, ledgerText }, output);
  return { ...merged, ledger: ledger! };
}

/** Both in one, for those who need not know what is planned. */
export async function cookSoup(
  gpu: Gpu,
  kitchen: Kitchen,
  target: string,
  settings: SoupSettings,
  output: Output,
): Promise<Merged & { readonly ledger: Ledger }> {
  await checkTarget(target, kitchen, settings);
  const prepared = await prepareSoup(gpu, kitchen, target, settings, output);
  try {
    return await writeSoup(gpu, kitchen, prepared, target, settings, output);
  } finally {
    await prepared.plan.close();
  }
}
