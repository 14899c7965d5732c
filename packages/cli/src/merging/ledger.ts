/** What a soup is made of, as its ledger has it. */
import { basename, dirname, relative, resolve, sep } from 'node:path';
import {
  type ContentHash,
  formatFraction,
  type LedgerComponents,
  type LedgerModel,
  type MergePlan,
  type Plan,
  parseFraction,
  refuseTwins,
  type WeightedComponent,
  withOwnNames,
} from '@diffusion-soup/core';
import { fileSource } from '../files.js';
import { hashFiles } from '../hash/pool.js';
import { sha256 } from '../hash/weights.js';
import type { Kitchen, NamedLora, NamedModel } from '../kitchen.js';
import { toScalars, withoutOrder } from '../ledger/settings.js';
import { version } from '../version.js';
import type { HashedModel, ModelHashes } from './hashes.js';

/** Every model that takes part, once. */
export const modelsOf = ({ ingredients, base, sources }: Kitchen): NamedModel[] =>
  [...new Set([...ingredients, ...(base ? [base] : []), ...sources].map(({ path }) => path))].map(
    (path) => [...ingredients, ...(base ? [base] : []), ...sources].find((model) => model.path === path)!,
  );

/** `ledgerFile` is where the ledger will be: paths are noted from there. */
export async function ledgerPlan(
  kitchen: Kitchen,
  hashes: ModelHashes,
  arithmetic: MergePlan['arithmetic'],
  ledgerFile: string,
): Promise<Plan> {
  const { order, ingredients, base, sources } = kitchen;
  const from = dirname(resolve(ledgerFile));
  const model = (named: NamedModel): LedgerModel => ({
    name: stemOf(named),
    from: pathFrom(from, named.path),
    root: hashes.of(named.folder).root,
    components: componentsOf(hashes.of(named.folder)),
  });
  const loras = async (list: readonly NamedLora[]) => {
    const entries = [];
    for (const one of list) entries.push(await ledgerLora(one, from));
    return entries;
  };
  const results = await loras(kitchen.loras);
  const plan: Plan = {
    tool: version,
    method: order.method ?? 'linear',
    parameters: toScalars(order.parameters ?? {}),
    normalize: order.normalize ?? true,
    arithmetic,
    ...(order.dtype && { dtype: order.dtype }),
    ...(order.allowNonFinite && { allowNonFinite: true }),
    ...(base && { base: model(base) }),
    ingredients: await Promise.all(
      ingredients.map(async (one) => {
        const its = await loras(one.loras ?? []);
        const { blocks } = one;
        return {
          ...model(one),
          weight: formatFraction(one.weight),
          ...(blocks !== undefined && { blocks: typeof blocks === 'string' ? blocks : factors(blocks) }),
          ...(its.length > 0 && { loras: its }),
        };
      }),
    ),
    ...(sources.length > 0 && { sources: sources.map(model) }),
    ...(results.length > 0 && { loras: results }),
  };
  refuseTwins(plan.ingredients); // now, rather than when all is written
  const named = withOwnNames(plan, sha256);
  const parts = partsOf(kitchen, named);
  return withoutOrder({ ...named, ...(parts && { parts }) });
}

const stemOf = ({ path }: NamedModel): string => basename(path).replace(/\.safetensors$/i, '');

const factors = (blocks: Readonly<Record<string, { n: bigint; d: bigint }>>) =>
  Object.fromEntries(Object.entries(blocks).map(([block, factor]) => [block, formatFraction(factor)]));

function partsOf({ order, ingredients, base, sources, lenders }: Kitchen, plan: Plan): Plan['parts'] {
  if (!order.components) return undefined;
  const names = new Map<string, string>([
    ...sources.map(({ path }, i) => [path, plan.sources![i]!.name] as const),
    ...(base ? [[base.path, plan.base!.name] as const] : []),
    ...ingredients.map(({ path }, i) => [path, plan.ingredients[i]!.name] as const),
  ]);
  return Object.fromEntries(
    Object.keys(order.components).map((part) => {
      const lender = lenders.get(part as WeightedComponent);
      return [part, lender ? { from: names.get(lender.path)! } : 'average'];
    }),
  );
}

async function ledgerLora({ lora, path, strength }: NamedLora, from: string) {
  const source = await fileSource(path);
  try {
    const [hash] = await hashFiles([{ path, stamp: source.stamp, size: source.size, ranges: [] }]);
    const weight = formatFraction(parseFraction(strength));
    return { name: lora.name, from: pathFrom(from, path), sha256: hash!.sha256, strength: weight };
  } finally {
    await source.close?.();
  }
}

/** With slashes, and relative where that does not lead through the root. */
export function pathFrom(folder: string, path: string): string {
  const full = resolve(path);
  const short = relative(folder, full);
  return (short === '' ? '.' : short.length < full.length ? short : full).split(sep).join('/');
}

const componentsOf = ({ components }: HashedModel): LedgerComponents =>
  Object.fromEntries([...components].map(([part, { root, files }]) => [part, { root, files }]));

/** The result's parts, from what was written and from what was copied. */
export function resultComponents(
  plan: MergePlan,
  hashOf: (folder: NamedModel['folder'], part: WeightedComponent) => ContentHash | undefined,
  computed: ReadonlyMap<WeightedComponent, string>,
  files: readonly { readonly path: string; readonly bytes: number; readonly sha256: string }[],
  nameOf: (path: string) => string,
): LedgerComponents {
  const entries = [...plan.cooked].map(([part, { from }]) => {
    const planned = plan.files.filter((file) => belongs(file, part));
    const written = planned.map(({ path }) => files.find((file) => file.path === path)!);
    const root = computed.get(part) ?? hashOf(from[0]!, part)!.root;
    return [part, { root, files: written.map((file) => ({ ...file, path: nameOf(file.path) })) }];
  });
  return Object.fromEntries(entries) as LedgerComponents;
}

/** Files of weights, and not those of running sums. */
const belongs = (file: MergePlan['files'][number], part: WeightedComponent): boolean =>
  file.kind === 'averaged'
    ? !file.sums && file.parts.includes(part)
    : file.kind === 'copied' && file.path.startsWith(`${part}/`);
