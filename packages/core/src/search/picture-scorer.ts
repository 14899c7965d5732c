/**
 * Scores of pictures. Whatever judges a picture by itself, or by the words that it was drawn from, is a PictureScorer: CLIP
 * here; ImageReward or TIFA would be others. `scorerOfPictures` makes of it what a search for soups takes.
 *
 *     const scorer = clipScorer(await loadClip(gpu, folder));
 *     await searchWeights({ score: scorerOfPictures(scorer, draw), goal: scorer.goal, ... });
 */
import type { Image } from '../image/image.js';
import { cosine } from '../lab/measures.js';
import { mean } from '../lab/statistics.js';
import type { ClipModel } from '../model/clip-model.js';
import type { Fraction } from '../soup/fraction.js';
import type { Goal, Scorer } from './evaluate.js';

export interface ScoredPicture {
  readonly image: Image;
  /** What it was meant to show. */
  readonly prompt: string;
}

export interface PictureScorer {
  /** For reports: "CLIP score". */
  readonly name: string;
  readonly goal: Goal;
  /** A finite number for each picture, in their order. The same picture has the same score, whatever is scored beside it. */
  score(pictures: readonly ScoredPicture[]): Promise<number[]>;
}

/** 2.5 * max(cos, 0) (Hessel et al. 2021, arXiv 2104.08718, eq. 1), from the cosine of picture and text. */
export const clipScore = (cos: number): number => 2.5 * Math.max(cos, 0);

/** The cosine of each picture and its prompt in CLIP's space. Prompts are read as they are, without "A photo depicts". */
export async function clipCosines(
  clip: Pick<ClipModel, 'embedImages' | 'embedTexts'>,
  pictures: readonly ScoredPicture[],
): Promise<number[]> {
  const images = await clip.embedImages(pictures.map(({ image }) => image));
  const prompts = [...new Set(pictures.map(({ prompt }) => prompt))];
  const texts = await clip.embedTexts(prompts);
  return pictures.map(({ prompt }, i) => cosine(images[i]!, texts[prompts.indexOf(prompt)]!));
}

export const clipScorer = (clip: Pick<ClipModel, 'embedImages' | 'embedTexts'>): PictureScorer => ({
  name: 'CLIP score',
  goal: 'max',
  score: async (pictures) => (await clipCosines(clip, pictures)).map(clipScore),
});

/** The mean score of what a soup draws. `draw` must draw the same for the same weights: fixed prompts and seeds. */
export const scorerOfPictures =
  (scorer: PictureScorer, draw: (weights: readonly Fraction[]) => Promise<readonly ScoredPicture[]>): Scorer =>
  async (weights) =>
    mean(await scorer.score(await draw(weights)));
