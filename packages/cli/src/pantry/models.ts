/** What is in a pantry: the models of its index, and folders that simply lie in it. */
import { statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  byCodePoint,
  COMPONENTS,
  type Component,
  type PantryEntry,
  SoupError,
  type UNetConfig,
} from '@diffusion-soup/core';
import { openModelAt } from '../hash/model.js';
import { INDEX_FILE, pathOf, readIndex } from './find.js';

export interface PantryModel {
  readonly name: string;
  readonly path: string;
  readonly kind: 'folder' | 'file';
  /** Undefined for what lies in the pantry without being indexed. */
  readonly entry?: PantryEntry;
}

/** In order of their names. Nothing is opened. */
export async function modelsIn(folder: string): Promise<PantryModel[]> {
  const indexed = (readIndex(folder)?.models ?? []).map((entry): PantryModel => {
    const { name, kind } = entry;
    return { name, kind, path: pathOf(folder, entry), entry };
  });
  const known = new Set(indexed.flatMap(({ name, path }) => [name, path]));
  const plain: PantryModel[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    if (name.startsWith('.') || name === INDEX_FILE || known.has(path)) continue;
    const facts = statSync(path, { throwIfNoEntry: false });
    if (facts?.isDirectory() && (await looksLikeModel(path))) {
      if (!known.has(name)) plain.push({ name, path, kind: 'folder' });
    } else if (facts?.isFile() && name.endsWith('.safetensors')) {
      const stem = name.slice(0, -'.safetensors'.length);
      if (!known.has(stem)) plain.push({ name: stem, path, kind: 'file' });
    }
  }
  return [...indexed, ...plain].sort((a, b) => byCodePoint(a.name, b.name));
}

/** A folder that is damaged is a model, too; one that has nothing of a model is none. */
async function looksLikeModel(path: string): Promise<boolean> {
  const inside: readonly string[] = await readdir(path).catch(() => []);
  return inside.includes('model_index.json') || COMPONENTS.some((part) => inside.includes(part));
}

export interface Description {
  readonly parts: readonly (Component | 'file')[];
  /** In a few words: "SD 2.x", or the channels of the UNet. */
  readonly architecture?: string;
}

/** What can be said of a model from its configs; undefined when they cannot be read. */
export async function describeModel({
  path,
  kind,
}: Pick<PantryModel, 'path' | 'kind'>): Promise<Description | undefined> {
  try {
    const folder = await openModelAt(path);
    const architecture = folder.components.has('unet') ? architectureOf(await folder.unetConfig()) : undefined;
    return { parts: [...folder.components], ...(architecture !== undefined && { architecture }) };
  } catch (error) {
    if (error instanceof SoupError) return kind === 'file' ? { parts: ['file'] } : undefined;
    throw error;
  }
}

const SD_CHANNELS = '320-640-1280-1280';
const SD_VERSIONS: Readonly<Record<number, string>> = { 768: 'SD 1.x', 1024: 'SD 2.x' };

function architectureOf({ blockOutChannels, crossAttentionDim, inChannels }: UNetConfig): string {
  const channels = blockOutChannels.join('-');
  const version = channels === SD_CHANNELS ? SD_VERSIONS[crossAttentionDim[0]!] : undefined;
  const extra = inChannels === 9 ? ' inpainting' : inChannels === 4 ? '' : `, ${inChannels} latents`;
  return `${version ?? `UNet ${channels}`}${extra}`;
}
