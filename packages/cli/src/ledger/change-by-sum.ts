/**
 * A shard into a soup or out of it by its running sums: sum' = sum ± p θ, soup' = sum' / q. Only the soup, its sums and
 * the one shard are read; the others may be anywhere.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  add,
  type Blend,
  type Change,
  CheckpointError,
  closeWeights,
  formatLedger,
  fraction,
  type Gpu,
  LARGEST_MIX,
  type Ledger,
  type LedgerComponents,
  type LedgerIngredient,
  layOutFile,
  multiply,
  openSafetensors,
  outputsOf,
  type PlannedFile,
  parentsOf,
  parentsOfSoup,
  parseFraction,
  type Sealed,
  seal,
  soupMetadata,
  type WeightedComponent,
  type Weights,
  weightsOf,
  ZERO,
} from '@diffusion-soup/core';
import { writeFolderAtomic } from '../atomic-folder.js';
import { fileSource } from '../files.js';
import { sha256 } from '../hash/weights.js';
import { openModel } from '../kitchen.js';
import { type ComputedHashes, contentOf, rootOf } from '../merging/content.js';
import { scaleOf, sumFile, wholeWeight } from '../merging/running-sum.js';
import { withNarrowSums } from '../merging/soup.js';
import { folderFile } from '../merging/write.js';
import type { Output } from '../output.js';
import { byteProgress } from '../progress.js';
import { printable } from '../text.js';
import { version } from '../version.js';
import { LEDGER_FILE } from './file.js';

type Part = WeightedComponent;

/** The parts that the shard changes; or why the sums do not do, in words. */
export function partsBySum({ before, plan, share, action }: Change, shard: LedgerIngredient): Part[] | string {
  if (!before.sums) return 'the soup keeps no running sums';
  const changed: Part[] = [];
  for (const [part, { root }] of Object.entries(shard.components) as [Part, { root: string }][]) {
    const others = plan.ingredients.filter(({ name, components }) => name !== share.name && components[part]);
    const roots = new Set(others.map(({ components }) => components[part]!.root));
    const isFrozen = roots.size === 1 && roots.has(root);
    if (before.sums[part] && roots.size > 1) changed.push(part);
    else if (before.sums[part] || !isFrozen)
      return `what remains of the ${part} is ${action === 'add' ? 'no' : 'not'} a sum`;
  }
  return changed;
}

export interface BySumOptions {
  readonly gpu: Gpu;
  readonly output: Output;
  readonly soup: string;
  readonly out: string;
  /** Where the shard is. */
  readonly shardPath: string;
  readonly parts: readonly Part[];
}

export async function changeBySum(change: Change, options: BySumOptions): Promise<Sealed> {
  const { soup, shardPath, parts } = options;
  const folder = await openModel(shardPath);
  const open: Weights[] = [];
  try {
    const blends = new Map<Part, Summed>();
    for (const part of parts) {
      const shard = await weightsOf(folder, part);
      open.push(shard);
      const sum = await openSum(soup, change.before, part);
      open.push(sum);
      blends.set(part, summed(change, part, shard, sum));
    }
    return await withNarrowSums((words) => write(change, blends, words, options));
  } finally {
    for (const weights of open) await closeWeights(weights);
  }
}

/** A sum that is what the ledger says. */
async function openSum(soup: string, { sums }: Ledger, part: Part): Promise<Weights> {
  const { path, sha256: expected } = sums![part]!;
  const full = join(soup, path);
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(full).on('error', () => {})) hash.update(chunk);
  if (hash.digest('hex') === expected) return openSafetensors(await fileSource(full));
  throw new CheckpointError(
    `${printable(full)} is not the running sum that the ledger speaks of: it was changed or damaged. Make the soup again ` +
      'from its ingredients, with --keep-sum.',
    { file: full, expected },
  );
}

interface Summed {
  /** The new soup, and the new sum before it is divided. */
  readonly average: Blend;
  readonly sum: Blend;
  readonly scale: ReturnType<typeof scaleOf>;
}

function summed({ before, plan, share, action }: Change, part: Part, shard: Weights, kept: Weights): Summed {
  const weight = parseFraction(share.weight);
  const old = parseFraction(before.sums![part]!.scale);
  const scale = scaleOf([weight], old);
  const signed = action === 'add' ? weight : multiply(fraction(-1n), weight);
  const total = plan.ingredients
    .filter(({ components }) => components[part])
    .reduce((sum, one) => add(sum, parseFraction(one.weight)), ZERO);
  const p = wholeWeight(signed, scale)!;
  const times = Number(scale.n / old.n);
  const q = wholeWeight(total, scale);
  if (q === undefined || q <= 0 || times > LARGEST_MIX) {
    throw new CheckpointError(
      `the weights of the ${part} are too fine for its running sum; make the soup again without it`,
    );
  }
  const blend = (q: number): Blend => ({
    ingredients: [shard],
    mix: () => ({ p: [p], q }),
    sum: { weights: kept, p: times },
    dtype: 'F16',
  });
  return { average: blend(q), sum: blend(1), scale };
}

async function write(
  change: Change,
  blends: ReadonlyMap<Part, Summed>,
  words: 1 | 2,
  { soup, shardPath, out, gpu, output }: BySumOptions,
): Promise<Sealed> {
  const { before, plan } = change;
  const planned = [...blends].flatMap(([part, { average, sum, scale }]): PlannedFile[] => {
    const tensors = outputsOf(average);
    const { size, header } = layOutFile(tensors);
    const path = before.result.components[part]!.files[0]!.path;
    return [
      { path, kind: 'averaged', tensors, parts: [part], bytes: size - header.length },
      sumFile(part, outputsOf(sum), scale, words),
    ];
  });
  const kept = await keptFiles(soup, new Set([...planned.map(({ path }) => path), LEDGER_FILE]));
  const { signal } = output.io;
  const computed: ComputedHashes = new Map();
  const old = await openModel(soup);
  const shard = plan.ingredients.filter(({ name }) => change.action === 'add' && name === change.share.name);
  const added = await parentsOf(shard, await Promise.all(shard.map(() => openModel(shardPath))));
  const parents = new Map([...(await parentsOfSoup(old)), ...added]);
  const metadata = await soupMetadata(plan, { models: [old], parents });
  const contents = planned.map((file) =>
    folderFile(file.path, () => contentOf(gpu, file, { signal, metadata }, computed)),
  );
  let sealed: Sealed | undefined;
  const total = planned.reduce((sum, { bytes }) => sum + bytes, 0);
  const line = byteProgress();
  await writeFolderAtomic(
    out,
    [
      ...contents,
      ...kept.map((path) => ({ path, content: () => createReadStream(join(soup, path)) })),
      {
        path: LEDGER_FILE,
        async *content(written) {
          const files = new Map(written.map((file) => [file.path, file]));
          const components: LedgerComponents = { ...before.result.components };
          const sums = { ...before.sums };
          for (const [part, { average, scale }] of blends) {
            const [weights, sum] = planned.filter(
              ({ parts }: PlannedFile & { parts?: readonly Part[] }) => parts![0] === part,
            );
            Object.assign(components, {
              [part]: { root: rootOf(computed.get(average)!), files: [files.get(weights!.path)!] },
            });
            sums[part] = { ...files.get(sum!.path)!, scale: `${scale.n}` };
          }
          const made = seal(change, components, { tool: version, sha256 });
          sealed = { ...made, ledger: { ...made.ledger, sums } };
          yield new TextEncoder().encode(formatLedger(sealed.ledger));
        },
      },
    ],
    { signal, onProgress: (done) => output.status(`changing the soup: ${line(Math.min(done, total), total)}`) },
  );
  output.endStatus();
  return sealed!;
}

/** What is taken over from the old soup as it is. */
async function keptFiles(soup: string, replaced: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(soup, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(join(soup, '.').length + 1))
    .filter((path) => !replaced.has(path))
    .sort();
}
