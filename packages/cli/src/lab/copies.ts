/** The training pictures nearest to a drawing: by pixels, by latents, and by CLIP's embeddings where there is a model. */
import { cosine, type Image, type Nearest, nearestOf, nearestPicture, pixelDistance, rms } from '@diffusion-soup/core';
import { sha256Of } from '../batch/address.js';
import type { LabClip } from './clip.js';
import type { Rivals } from './rivals.js';
import type { Lab } from './session.js';
import type { TrainingPicture } from './training.js';

export const DISTANCES = ['pixels', 'latents', 'clip'] as const;
export type Distance = (typeof DISTANCES)[number];

export interface Copy extends Omit<Nearest, 'index'> {
  /** Of the nearest picture. */
  readonly set: string;
  readonly caption: string;
  readonly id: string;
}

export type Copies = Readonly<Partial<Record<Distance, Copy>>>;

export interface Looked {
  /** All that decides the picture. */
  readonly key: unknown;
  readonly prompt: string;
  readonly image: Image;
  /** (C, h, w), scaled. */
  latents(): Promise<Float32Array>;
}

export interface CopyFinder {
  /** `prompt`'s own pictures are always among those that are looked at closely. */
  find(looked: Looked): Promise<Copies>;
}

export interface CopyOptions {
  readonly training: readonly TrainingPicture[];
  /** Pictures that are looked at closely for each drawing. */
  readonly shortlist: number;
  readonly clip?: LabClip;
}

/** Blocks of a side whose mean colours are compared with all training pictures. */
const BLOCKS = 32;

/**
 * Every training picture is compared by the mean colours of 32 x 32 blocks; the nearest of them, and all that have the
 * prompt as their caption, then by all pixels (mean difference in steps of 255), by latents (root of the mean squared
 * difference) and by CLIP (1 - cosine).
 */
export function copyFinder(lab: Lab, rivals: Rivals, { training, shortlist, clip }: CopyOptions): CopyFinder {
  const { measurements, identity } = lab;
  const among = {
    training: sha256Of(training.map(({ id, caption }) => [id, caption])),
    shortlist,
    clip: clip?.root ?? null,
  };
  let small: Float32Array[] | undefined;
  const embeds = new Map<string, Float32Array>();
  const embed = async (id: string, image: () => Promise<Image>): Promise<Float32Array> => {
    const found = embeds.get(id) ?? (await clip!.model.embedImages([await image()]))[0]!;
    embeds.set(id, found);
    return found;
  };

  async function closest({ prompt, image, latents }: Looked): Promise<Copies> {
    if (!small) {
      small = [];
      for (const picture of training) small.push(blocksOf(await picture.image()));
    }
    const own = blocksOf(image);
    const rough = nearestOf(
      small.map((other) => difference(own, other)),
      shortlist,
    );
    const captioned = training.flatMap(({ caption }, i) => (caption === prompt ? [i] : []));
    const candidates = [...new Set([...rough, ...captioned])].map((i) => training[i]!);
    const by = async (distanceTo: (picture: TrainingPicture) => Promise<number>): Promise<Copy> => {
      const distances: number[] = [];
      for (const candidate of candidates) distances.push(await distanceTo(candidate));
      const { index, ...rest } = nearestPicture(distances);
      const { set, caption, id } = candidates[index]!;
      return { ...rest, set, caption, id };
    };
    const mine = await latents();
    const ownEmbed = clip && (await clip.model.embedImages([image]))[0]!;
    return {
      pixels: await by(async (picture) => pixelDistance(image, await picture.image())),
      latents: await by(async (picture) => rms(mine, await rivals.latents(picture))),
      ...(ownEmbed && {
        clip: await by(async (picture) => 1 - cosine(ownEmbed, await embed(picture.id, picture.image))),
      }),
    };
  }
  return {
    find: (looked) =>
      measurements.of({ measure: 'copies', identity, looked: looked.key, prompt: looked.prompt, ...among }, () =>
        closest(looked),
      ),
  };
}

/** Mean colours, transparency aside: (32, 32, 3). */
function blocksOf({ width, height, pixels }: Image): Float32Array {
  const sums = new Float32Array(BLOCKS * BLOCKS * 3);
  const counts = new Float32Array(BLOCKS * BLOCKS);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const block = Math.floor((y * BLOCKS) / height) * BLOCKS + Math.floor((x * BLOCKS) / width);
      counts[block]!++;
      for (let c = 0; c < 3; c++) sums[block * 3 + c]! += pixels[(y * width + x) * 4 + c]!;
    }
  }
  return sums.map((sum, i) => sum / Math.max(1, counts[Math.floor(i / 3)]!));
}

function difference(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum;
}
