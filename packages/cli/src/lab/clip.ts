/** CLIP in the lab: a checkpoint by content, and how well drawings show what they were asked for. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { clipCosines, type LoadedClip, loadClip } from '@diffusion-soup/core';
import { diskError } from '../atomic-file.js';
import { diskFolder } from '../files.js';
import type { Drawing, Painter } from './drawing.js';
import type { Lab } from './session.js';

/** SHA-256 over the folder's files of weights and configs, by name. */
export async function clipRoot(folder: string): Promise<string> {
  const names = await readdir(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const hash = createHash('sha256');
  for (const name of names.filter((name) => /\.(safetensors|json|txt)$/.test(name)).sort()) {
    const own = createHash('sha256');
    for await (const chunk of createReadStream(join(folder, name))) own.update(chunk as Buffer);
    hash.update(`${name}\0${own.digest('hex')}\n`);
  }
  return hash.digest('hex');
}

export interface LabClip {
  readonly model: LoadedClip;
  readonly root: string;
}

export const openLabClip = async ({ gpu }: Pick<Lab, 'gpu'>, folder: string): Promise<LabClip> => ({
  root: await clipRoot(folder),
  model: await loadClip(gpu, diskFolder(folder)),
});

/** The cosine of each drawing and its prompt. */
export async function cosinesOf(
  { measurements, identity, flags }: Lab,
  { model, root }: LabClip,
  painter: Painter,
  drawings: readonly Drawing[],
): Promise<number[]> {
  const { steps, guidance, sampler } = flags;
  const found: number[] = [];
  for (const { prompt, seed, image } of drawings) {
    const drawn = { painter: painter.key, prompt, seed: String(seed), steps, guidance, sampler: sampler ?? null };
    const make = async () => (await clipCosines(model, [{ image, prompt }]))[0]!;
    found.push(await measurements.of({ measure: 'clip-cosine', identity, clip: root, ...drawn }, make));
  }
  return found;
}
