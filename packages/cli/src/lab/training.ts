/** The pictures that a soup's ingredients were trained on, each with its caption, and pictures like them that were not. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Image, UsageError } from '@diffusion-soup/core';
import { sha256Of } from '../batch/address.js';
import type { Size } from '../flags.js';
import { heldOutFiles } from '../search/held-out.js';
import { readStartPicture } from '../start-picture.js';
import { printable } from '../text.js';
import { EMOJI_SETS, emojiTraining } from './emoji.js';

export interface TrainingPicture {
  /** The ingredient that it belongs to. */
  readonly set: string;
  readonly caption: string;
  /** Its content and how it is made: a part of measurements' keys. */
  readonly id: string;
  image(): Promise<Image>;
}

export interface TrainingSet {
  /** The ingredient's name. */
  readonly name: string;
  readonly members: readonly TrainingPicture[];
  /** Of the same kind, but trained on by no ingredient. May be empty. */
  readonly heldOut: readonly TrainingPicture[];
}

export interface Training {
  readonly sets: readonly TrainingSet[];
  /** Where they come from and what is not known of them: for the report. */
  readonly notes: readonly string[];
}

/**
 * Of a folder: FOLDER/<ingredient>/ has its pictures, "apple.txt" beside "apple.png" the caption, and held-out/ in it, if
 * it is there, pictures that it was not trained on. Without a folder, those of the shipped emoji shards are drawn again.
 */
export async function openTraining(
  folder: string | undefined,
  names: readonly string[],
  size: Size,
): Promise<Training> {
  if (folder !== undefined) return ofFolder(folder, names, size);
  const unknown = names.find((name) => !Object.hasOwn(EMOJI_SETS, name));
  if (unknown === undefined) return emojiTraining(names, size);
  throw new UsageError(
    `it is not known what ${printable(unknown)} was trained on: give its pictures with --training FOLDER, ` +
      `in FOLDER/${printable(unknown)}/ with captions beside them (apple.txt for apple.png)`,
    { model: unknown },
  );
}

async function ofFolder(folder: string, names: readonly string[], size: Size): Promise<Training> {
  const sets: TrainingSet[] = [];
  for (const name of names) {
    const members = await picturesOf(join(folder, name), name, size);
    const apart = join(folder, name, 'held-out');
    const hasHeldOut = await stat(apart).then(
      (found) => found.isDirectory(),
      () => false,
    );
    sets.push({ name, members, heldOut: hasHeldOut ? await picturesOf(apart, name, size) : [] });
  }
  return {
    sets,
    notes: ['The training pictures are those of the folder that was given; that they are all is taken on trust.'],
  };
}

async function picturesOf(folder: string, set: string, size: Size): Promise<TrainingPicture[]> {
  return (await heldOutFiles(folder)).map(({ path, prompt, sha256 }) => ({
    ...{ set, caption: prompt, id: sha256Of({ sha256, ...size }) },
    image: () => readStartPicture(path, size),
  }));
}

/** `count` of them, the same for every order of the files; a larger count has the smaller one's in it. */
export function sampleOf(pictures: readonly TrainingPicture[], count: number, seed: bigint): TrainingPicture[] {
  // By caption, so that different sets give the same concepts where they have them.
  const ranked = pictures.map((picture) => ({
    picture,
    rank: sha256Of({ seed: String(seed), caption: picture.caption }),
  }));
  return ranked
    .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))
    .slice(0, count)
    .map(({ picture }) => picture);
}
