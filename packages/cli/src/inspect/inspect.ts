/** What a file or folder is, from its first bytes and headers; tensors and pixels are never read. */
import { statSync } from 'node:fs';
import {
  CheckpointError,
  type Ledger,
  parseLedger,
  parsePantryIndex,
  parseReceipt,
  parseRecipe,
  type Recipe,
  type RemovalReceipt,
  readBytes,
} from '@diffusion-soup/core';
import { fileSource } from '../files.js';
import { readTextFile } from '../recipe-file.js';
import { printable } from '../text.js';
import { type InspectedWeights, inspectFolder, inspectWeights } from './models.js';
import { type InspectedPicture, inspectExif, inspectPng } from './picture.js';

export type Inspected =
  | InspectedWeights
  | InspectedPicture
  | { readonly kind: 'recipe'; readonly path: string; readonly recipe: Recipe }
  | { readonly kind: 'ledger'; readonly path: string; readonly ledger: Ledger }
  | { readonly kind: 'receipt'; readonly path: string; readonly receipt: RemovalReceipt }
  | { readonly kind: 'pantry'; readonly path: string; readonly models: readonly string[] };

const PNG = '\x89PNG';
const LONGEST_LOOK = 512;

export async function inspect(path: string): Promise<Inspected> {
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory()) return inspectFolder(path);
  const source = await fileSource(path);
  try {
    const start = await readBytes(source, 0, Math.min(source.size, LONGEST_LOOK));
    const text = String.fromCharCode(...start);
    if (text.startsWith(PNG)) return await inspectPng(path, source);
    if (/^(\xff\xd8\xff|RIFF....WEBP|....ftypavif)/s.test(text)) return await inspectExif(path);
    if (/^(RIFF|GIF8|BM|....ftyp)/s.test(text)) {
      throw new CheckpointError(
        `${printable(path)} is a picture or a film of a kind whose texts are not read; expected PNG, JPEG, WebP or AVIF.`,
        { file: path },
      );
    }
    // A safetensors file begins with a length, of which the upper bytes are 0.
    const isText = /\.(ya?ml|json)$/i.test(path) || (!/\.safetensors$/i.test(path) && !text.includes('\0'));
    if (!isText) return await inspectWeights(path, source);
  } finally {
    await source.close?.();
  }
  return inspectText(path, await readTextFile(path));
}

function inspectText(path: string, text: string): Inspected {
  const type = /"type"\s*:\s*"(diffusion-soup-[a-z-]{1,40})"/.exec(text)?.[1];
  if (type === 'diffusion-soup-ledger') return { kind: 'ledger', path, ledger: parseLedger(text, path) };
  if (type === 'diffusion-soup-removal-receipt') return { kind: 'receipt', path, receipt: parseReceipt(text, path) };
  if (type === 'diffusion-soup-pantry') {
    return { kind: 'pantry', path, models: parsePantryIndex(text, path).models.map(({ name }) => name) };
  }
  return { kind: 'recipe', path, recipe: parseRecipe(text, { file: path }) };
}
