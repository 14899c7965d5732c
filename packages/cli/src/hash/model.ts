/** The content hashes of a whole model, as a ledger or the pantry's index notes them. */
import { statSync } from 'node:fs';
import { dirname } from 'node:path';
import {
  CheckpointError,
  closeWeights,
  type ModelFolder,
  modelRoot,
  openModelFolder,
  openSafetensors,
  openSingleFile,
  type PantryEntry,
  SoupError,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import { diskFolder, fileSource } from '../files.js';
import { printable } from '../text.js';
import { type ComponentHash, type HashOptions, hashComponents, sha256 } from './weights.js';

export const WEIGHTED = ['unet', 'vae', 'text_encoder'] as const satisfies WeightedComponent[];

export interface ModelHash {
  /** Merkle root over the roots of the components. */
  readonly root: string;
  readonly components: ReadonlyMap<Part, ComponentHash>;
  /** Of the files of weights. */
  readonly bytes: number;
}

/** A part of a model; or all of a file that is no model by itself (a LoRA, a VAE), with its tensors as they are named. */
export type Part = WeightedComponent | 'file';

const isFile = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;

/** A diffusers folder, or a single file of Stable Diffusion 1.x or 2.x. */
export const openModelAt = (path: string): Promise<ModelFolder> =>
  isFile(path) ? openSingleFile(() => fileSource(path)) : openModelFolder(diskFolder(path));

/** The weights of each part that a model has; whoever asks closes them. */
export async function openParts(path: string): Promise<Map<Part, Weights>> {
  const parts = new Map<Part, Weights>();
  try {
    const folder = await openModelAt(path);
    for (const part of WEIGHTED) {
      const weights = folder.components.has(part) ? await folder.weights(part) : undefined;
      if (weights) parts.set(part, weights);
    }
  } catch (error) {
    await closeParts(parts);
    // A damaged file is refused again, as what it is.
    if (isFile(path) && error instanceof SoupError) return new Map([['file', await openFile(path)]]);
    throw error;
  }
  if (parts.size > 0) return parts;
  throw new CheckpointError(`${printable(path)} has no weights: no ${WEIGHTED.join(', no ')} with *.safetensors.`, {
    file: path,
  });
}

async function openFile(path: string): Promise<Weights> {
  const source = await fileSource(path);
  return openSafetensors(source).catch(async (error: unknown) => {
    await source.close?.();
    throw error;
  });
}

export async function closeParts(parts: ReadonlyMap<string, Weights>): Promise<void> {
  for (const weights of parts.values()) await closeWeights(weights);
}

export async function hashModel(path: string, options: HashOptions = {}): Promise<ModelHash> {
  const parts = await openParts(path);
  try {
    const components = await hashComponents(parts, isFile(path) ? dirname(path) : path, options);
    const files = new Map(
      [...components.values()].flatMap((part) => part.files.map((file) => [file.path, file.bytes])),
    );
    return {
      root: modelRoot(Object.fromEntries(components), sha256),
      components,
      bytes: [...files.values()].reduce((sum, bytes) => sum + bytes, 0),
    };
  } finally {
    await closeParts(parts);
  }
}

/** Roots and files, without the tensors. */
export const ledgerComponents = (components: ModelHash['components']): PantryEntry['components'] =>
  Object.fromEntries([...components].map(([part, { root, files }]) => [part, { root, files }]));
