/** Whether the models of a pantry are what its index says. */
import { existsSync } from 'node:fs';
import { CancelledError, SoupError } from '@diffusion-soup/core';
import { hashModel } from '../hash/model.js';
import type { HashOptions } from '../hash/weights.js';
import type { PantryModel } from './models.js';

export type Verdict = 'ok' | 'changed' | 'missing' | 'damaged' | 'not indexed';

export interface Checked {
  readonly name: string;
  readonly path: string;
  readonly verdict: Verdict;
  /** As it is now; undefined when it cannot be read. */
  readonly root?: string;
  /** As the index has it. */
  readonly expected?: string;
  /** Why, for people. */
  readonly detail?: string;
}

/** Reads every byte of a model's weights. */
export async function checkModel({ name, path, entry }: PantryModel, options: HashOptions): Promise<Checked> {
  const facts = { name, path, ...(entry && { expected: entry.root }) };
  if (!existsSync(path)) return { ...facts, verdict: 'missing', detail: 'there is nothing at its path' };
  try {
    const { root, components } = await hashModel(path, { ...options, fresh: true });
    if (!entry) return { ...facts, root, verdict: 'not indexed' };
    if (root === entry.root) return { ...facts, root, verdict: 'ok' };
    const before: Readonly<Record<string, { readonly root: string } | undefined>> = entry.components;
    const parts = new Set([...Object.keys(before), ...components.keys()]);
    const differing = [...parts].filter((part) => {
      const now = [...components].find(([of]) => of === part)?.[1];
      return now?.root !== before[part]?.root;
    });
    return { ...facts, root, verdict: 'changed', detail: `other weights in ${differing.join(', ')}` };
  } catch (error) {
    if (!(error instanceof SoupError) || error instanceof CancelledError) throw error;
    return { ...facts, verdict: 'damaged', detail: error.message };
  }
}
