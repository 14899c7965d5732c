/** Pictures that soups are judged by: files with captions beside them, or what each candidate draws by itself. */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  CheckpointError,
  type Fraction,
  type Image,
  type Model,
  parseFraction,
  type ReconstructionPicture,
} from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { draw } from '../drawing.js';
import type { Size } from '../flags.js';
import type { Output } from '../output.js';
import { readStartPicture } from '../start-picture.js';
import { printable } from '../text.js';

const PICTURES = /\.(?:png|jpe?g|webp|avif|gif|tiff?)$/i;
const LONGEST_CAPTION = 10_000;

export interface HeldOutFile {
  readonly path: string;
  readonly prompt: string;
  /** Of the picture's bytes and its caption. */
  readonly sha256: string;
}

/** The pictures of a folder by name; "apple.txt" is what "apple.png" shows. */
export async function heldOutFiles(folder: string): Promise<HeldOutFile[]> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const files: HeldOutFile[] = [];
  for (const name of names.filter((name) => PICTURES.test(name)).sort()) {
    const path = join(folder, name);
    const prompt = await readFile(path.replace(PICTURES, '.txt'), 'utf8').catch(() => '');
    const sha256 = createHash('sha256')
      .update(await readFile(path))
      .update(prompt)
      .digest('hex');
    files.push({ path, prompt: prompt.trim().slice(0, LONGEST_CAPTION), sha256 });
  }
  if (files.length > 0) return files;
  throw new CheckpointError(`${printable(folder)} has no pictures (png, jpg, webp, ...).`, { file: folder });
}

export const readHeldOut = (files: readonly HeldOutFile[], size: Size): Promise<ReconstructionPicture[]> =>
  Promise.all(files.map(async ({ path, prompt }) => ({ image: await readStartPicture(path, size), prompt })));

export interface DrawHeldOut {
  readonly prompts: readonly string[];
  readonly candidates: number;
  readonly seed: bigint;
  readonly steps: number;
  readonly size: Size;
}

/** Every prompt drawn by every candidate alone. */
export async function drawHeldOut(
  model: Model,
  options: DrawHeldOut,
  output: Output,
): Promise<ReconstructionPicture[]> {
  const { prompts, candidates, seed, steps, size } = options;
  const pictures: ReconstructionPicture[] = [];
  for (let i = 0; i < candidates; i++) {
    const alone: Fraction[] = Array.from({ length: candidates }, (_, k) => parseFraction(Number(k === i)));
    await model.reblend(alone, { signal: output.io.signal });
    for (const prompt of prompts) {
      await draw(model, { prompt, seed, steps, ...size }, output, {
        prefix: `picture ${pictures.length + 1} of ${candidates * prompts.length}: `,
        onImage: async (image: Image) => void pictures.push({ image, prompt }),
      });
    }
  }
  return pictures;
}
