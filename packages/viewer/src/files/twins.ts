/** Which tensors of a blend's models are the same bytes: those are read, held and averaged once. */
import { type ContentHash, closeWeights, type OpenRecipe, type Weights } from '@diffusion-soup/core';
import type { HashOf } from '../engine/files.js';
import type { KnownHashes } from './known-hashes.js';
import { WEIGHTED } from './library.js';
import { fileBehind, type ModelFile } from './model-file.js';

/**
 * As far as it is known without reading a tensor: by hashes, or because both are the same place of the same file. Only
 * headers are read. The texts are for comparing with each other; no file is given them.
 */
export async function twinsIn({ ingredients, base }: OpenRecipe, hashes: KnownHashes): Promise<HashOf> {
  const folders = [...new Set([...ingredients.map(({ folder }) => folder), ...(base ? [base] : [])])];
  const found = new Map<string, ContentHash>();
  for (const [i, folder] of folders.entries()) {
    for (const part of WEIGHTED) {
      const weights = folder.components.has(part) ? await folder.weights(part) : undefined;
      if (weights) found.set(`${i} ${part}`, await contentOf(weights, hashes));
    }
  }
  return (folder, part) => found.get(`${folders.indexOf(folder)} ${part}`);
}

async function contentOf(weights: Weights, hashes: KnownHashes): Promise<ContentHash> {
  try {
    const files = new Map<ModelFile, [number, number][]>();
    const tensors = new Map<string, { dataHash: string }>();
    for (const [name, { source, offset, byteLength, dtype, shape }] of weights.tensors) {
      const file = fileBehind(source);
      if (!file) throw new TypeError(`${source.name} is no file`);
      const range = [offset, offset + byteLength] as [number, number];
      files.set(file, [...(files.get(file) ?? []), range]);
      const { ranges } = await hashes.of(file);
      const content = ranges[range.join('-')] ?? `${file.stamp} ${offset}`;
      tensors.set(name, { dataHash: `${dtype} ${shape.join('x')} ${content}` });
    }
    for (const [file, ranges] of files) hashes.expect(file, ranges);
    const all = [...tensors].map(([name, { dataHash }]) => `${name} ${dataHash}`).sort();
    return { root: all.join('\n'), tensors };
  } finally {
    await closeWeights(weights);
  }
}
