/** From a ledger to an open recipe, every model compared with what the ledger says of it before it is used. */
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import {
  CheckpointError,
  type ContentHash,
  fractionToNumber,
  type LedgerIngredient,
  type LedgerModel,
  type LoadedLora,
  type ModelFolder,
  type OpenRecipe,
  openSafetensors,
  type Plan,
  parseFraction,
  readLora,
  type WeightedComponent,
} from '@diffusion-soup/core';
import { fileSource } from '../files.js';
import { openModelAt } from '../hash/model.js';
import { hashFiles } from '../hash/pool.js';
import type { HashedModel } from '../merging/hashes.js';
import { pantryFolder } from '../pantry/find.js';
import { printable } from '../text.js';
import { type Located, type LocateOptions, locateModel } from './locate.js';
import { fromScalars, methodOf } from './settings.js';

export interface FoundModel extends Located {
  readonly folder: ModelFolder;
}

export interface OpenedLedger {
  readonly recipe: OpenRecipe;
  /** What is known of a model's parts, read anew. */
  readonly hashOf: (folder: ModelFolder, part: WeightedComponent) => ContentHash | undefined;
  /** The hashes of all of a model's parts. */
  readonly hashed: (folder: ModelFolder) => HashedModel;
  /** Where each model was found, by its name in the ledger. */
  readonly found: ReadonlyMap<string, FoundModel>;
  close(): Promise<void>;
}

export async function openLedger(plan: Plan, options: LocateOptions): Promise<OpenedLedger> {
  const found = new Map<string, FoundModel>();
  const byRoot = new Map<string, FoundModel>();
  const hashes = new Map<ModelFolder, Located>();
  const open: { close(): Promise<void> }[] = [];
  const model = async (of: LedgerModel): Promise<ModelFolder> => {
    let model = byRoot.get(of.root);
    if (!model) {
      const located = await locateModel(of, options);
      model = { ...located, folder: await openModelAt(located.path) };
      byRoot.set(of.root, model);
      hashes.set(model.folder, located);
    }
    found.set(of.name, model);
    return model.folder;
  };
  const loras = async (list: LedgerIngredient['loras']): Promise<LoadedLora[] | undefined> => {
    if (!list) return undefined;
    const loaded: LoadedLora[] = [];
    for (const one of list) loaded.push(await openLora(one, options, open));
    return loaded;
  };
  const close = async () => {
    for (const one of open) await one.close();
  };
  try {
    const ingredients: OpenRecipe['ingredients'][number][] = [];
    for (const one of plan.ingredients) {
      const blocks = typeof one.blocks === 'object' ? factors(one.blocks) : one.blocks;
      const baked = await loras(one.loras);
      ingredients.push({
        folder: await model(one),
        weight: parseFraction(one.weight),
        ...(blocks !== undefined && { blocks }),
        ...(baked && { loras: baked }),
      });
    }
    const base = plan.base && (await model(plan.base));
    const others = [...plan.ingredients, ...(plan.base ? [plan.base] : []), ...(plan.sources ?? [])];
    const parts: Partial<Record<WeightedComponent, 'average' | ModelFolder>> = {};
    for (const [part, from] of Object.entries(plan.parts ?? {}) as [
      WeightedComponent,
      'average' | { from: string },
    ][]) {
      parts[part] = from === 'average' ? from : await model(others.find(({ name }) => name === from.from)!);
    }
    const baked = await loras(plan.loras);
    const recipe: OpenRecipe = {
      ingredients,
      method: methodOf(plan.method),
      parameters: fromScalars(plan.parameters),
      normalize: plan.normalize,
      parts,
      ...(base && { base }),
      ...(plan.dtype && { dtype: plan.dtype }),
      ...(plan.allowNonFinite && { allowNonFinite: true }),
      ...(baked && { loras: baked }),
    };
    const hashOf = (folder: ModelFolder, part: WeightedComponent) => hashes.get(folder)?.hash.components.get(part);
    const hashed = (folder: ModelFolder) => hashes.get(folder)!.hash as HashedModel;
    return { recipe, hashOf, hashed, found, close };
  } catch (error) {
    await close();
    throw error;
  }
}

const factors = (blocks: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(blocks).map(([block, factor]) => [block, parseFraction(factor)]));

type LedgerLora = NonNullable<LedgerIngredient['loras']>[number];

async function openLora(
  lora: LedgerLora,
  { env, from, signal }: LocateOptions,
  open: { close(): Promise<void> }[],
): Promise<LoadedLora> {
  const paths = [resolve(from, lora.from), resolve(lora.from), join(pantryFolder(env), lora.from)];
  const path = paths.find((one) => statSync(one, { throwIfNoEntry: false })?.isFile());
  const shown = printable(lora.name);
  if (path === undefined) {
    throw new CheckpointError(
      `the LoRA ${shown} is nowhere to be found: not at ${printable(paths[0]!)}. Bring it back.`,
      {
        file: paths[0],
      },
    );
  }
  const source = await fileSource(path);
  open.push({ close: async () => source.close?.() });
  const [hash] = await hashFiles([{ path, stamp: source.stamp, size: source.size, ranges: [] }], {
    ...(signal && { signal }),
  });
  if (hash!.sha256 !== lora.sha256) {
    throw new CheckpointError(
      `the LoRA ${shown} at ${printable(path)} is not what went into the soup: its SHA-256 is ${hash!.sha256}, and the ` +
        `ledger has ${lora.sha256}. Bring back the original.`,
      { file: path, expected: lora.sha256, found: hash!.sha256 },
    );
  }
  return {
    lora: await readLora(await openSafetensors(source)),
    strength: fractionToNumber(parseFraction(lora.strength)),
  };
}
