/**
 * Merging, from an open recipe to a model on the disk with its ledger. Every command that writes a soup comes through
 * here: merge, add, remove, demo, and the terminal's "save what I see".
 */
import { extname, resolve } from 'node:path';
import {
  type CookOptions,
  type Gpu,
  type LedgerComponents,
  type MergePlan,
  type OpenRecipe,
  planFolder,
  planSingleFile,
  type WeightedComponent,
} from '@diffusion-soup/core';
import type { Output } from '../output.js';
import { byteProgress, formatSeconds } from '../progress.js';
import { type ComputedHashes, rootOf } from './content.js';
import { resultComponents } from './ledger.js';
import { checkSpace } from './target.js';
import { type WrittenFile, writeModel } from './write.js';

export interface MergeSettings {
  /** Weights of more bytes than this are divided among several files. */
  readonly maxShardBytes?: number;
  /** Bytes of a staging buffer on the GPU. */
  readonly stagingBytes?: number;
}

export type HashOf = NonNullable<CookOptions['hashOf']>;

export const isSingleFile = (target: string): boolean => extname(target).toLowerCase() === '.safetensors';

/** What will be written; everything that can be checked without reading weights has been. */
export async function planMerge(
  gpu: Gpu,
  recipe: OpenRecipe,
  target: string,
  options: MergeSettings & { readonly hashOf: HashOf; readonly signal: AbortSignal },
): Promise<MergePlan> {
  const { hashOf, signal, maxShardBytes } = options;
  const plan = isSingleFile(target)
    ? await planSingleFile(gpu, recipe, { hashOf, signal })
    : await planFolder(gpu, recipe, { hashOf, signal, ...(maxShardBytes !== undefined && { maxShardBytes }) });
  try {
    await checkSpace(target, plan.bytes);
    return plan;
  } catch (error) {
    await plan.close();
    throw error;
  }
}

export interface Merged {
  readonly path: string;
  readonly files: readonly WrittenFile[];
  readonly bytes: number;
  readonly seconds: number;
}

export interface WriteSettings extends MergeSettings {
  readonly hashOf: HashOf;
  /** The recipe in a line. */
  readonly title: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** What is written into the ledger, once the hashes of the result are known. */
  readonly ledgerText: (components: LedgerComponents, written: readonly WrittenFile[]) => string;
}

/** Writes what was planned; the target is there whole, with its ledger, or as it was. */
export async function writeMerge(
  gpu: Gpu,
  plan: MergePlan,
  target: string,
  { hashOf, title, metadata, ledgerText, stagingBytes }: WriteSettings,
  output: Output,
): Promise<Merged> {
  const begun = performance.now();
  const line = byteProgress();
  const computed: ComputedHashes = new Map();
  const all = plan.files.reduce(
    (sum, file) => sum + (file.kind === 'averaged' ? file.tensors.reduce((n, { parts }) => n + parts.length, 0) : 0),
    0,
  );
  let tensors = 0;
  const { files, bytes } = await writeModel(gpu, plan, target, {
    signal: output.io.signal,
    metadata,
    ...(stagingBytes !== undefined && { stagingBytes }),
    computed,
    onTensors: (count) => {
      tensors += count;
    },
    onProgress: (done, total) => output.status(`merging ${title}: ${line(done, total)}, ${tensors} of ${all} tensors`),
    ledger(written, nameOf) {
      const roots = new Map<WeightedComponent, string>();
      for (const [part, { blend }] of plan.cooked) {
        const tensors = computed.get(blend);
        if (tensors) roots.set(part, rootOf(tensors));
      }
      return ledgerText(resultComponents(plan, hashOf, roots, written, nameOf), written);
    },
  });
  const seconds = (performance.now() - begun) / 1000;
  output.endStatus(`merged ${title} in ${formatSeconds(seconds)}`);
  return { path: resolve(target), files, bytes, seconds };
}
