/** The store that --out names. */
import { UsageError } from '@diffusion-soup/core';
import type { Io } from '../output.js';
import { printable } from '../text.js';
import { folderStore, type Store } from './store.js';

export async function openStore(out: string, env: Io['env']): Promise<Store> {
  if (out.trim() === '') throw new UsageError('--out is empty; give a folder, or s3://bucket/prefix');
  if (/^s3:\/\//i.test(out)) {
    const { s3Store } = await import('./s3-store.js');
    return s3Store(out, env);
  }
  if (/^\w{2,}:\/\//.test(out)) throw new UsageError(`--out ${printable(out)}: give a folder, or s3://bucket/prefix`);
  return folderStore(out);
}
