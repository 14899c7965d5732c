/** From the flags of a search to its scorer. */
import {
  clipScorer,
  type Fraction,
  loadClip,
  type Model,
  reconstructionLoss,
  type ScoredPicture,
  type Scorer,
  scorerOfPictures,
  UsageError,
} from '@diffusion-soup/core';
import { draw, loadWithProgress } from '../drawing.js';
import { diskFolder } from '../files.js';
import type { Size } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import type { Kitchen } from '../kitchen.js';
import type { Output } from '../output.js';
import { run } from '../run.js';
import { commandScorer } from './command-scorer.js';
import { wholeWeights } from './formula.js';
import { drawHeldOut, type HeldOutFile, readHeldOut } from './held-out.js';

export interface ScorerFlags {
  readonly prompt?: readonly string[];
  readonly scorer?: string;
  /** A CLIP checkpoint, by which pictures of the prompts are scored. */
  readonly clip?: string;
  readonly timesteps?: readonly number[];
  readonly seed: bigint;
  readonly steps: number;
  readonly size?: Size;
  readonly adapter?: string;
}

export async function openScorer(
  kitchen: Kitchen,
  flags: ScorerFlags,
  files: readonly HeldOutFile[] | undefined,
  output: Output,
): Promise<{ score: Scorer; close: () => Promise<void> }> {
  const { signal } = output.io;
  if (flags.scorer !== undefined) {
    const write = (weights: readonly Fraction[], folder: string) => merge(kitchen, weights, folder, flags, output);
    return { score: commandScorer({ command: flags.scorer, write, signal }), close: async () => {} };
  }
  const opened = await openGpuFor({ adapter: flags.adapter });
  const { model } = await loadWithProgress(opened, kitchen, output);
  try {
    if (flags.clip !== undefined) return await clipOf(flags.clip, model, flags, output);
    const side = model.unet.config.sampleSize * model.vae.factor;
    const size = flags.size ?? { width: side, height: side };
    const { prompt: prompts = [], seed, steps } = flags;
    const candidates = kitchen.ingredients.length;
    const pictures = files
      ? await readHeldOut(files, size)
      : await drawHeldOut(model, { prompts, candidates, seed, steps, size }, output);
    const loss = await reconstructionLoss(model, pictures, { timesteps: flags.timesteps, seed, signal });
    const score: Scorer = async (weights) => {
      await model.reblend(weights, { signal });
      return loss();
    };
    return { score, close: () => model.destroy() };
  } catch (error) {
    await model.destroy();
    throw error;
  }
}

/** The mean CLIP score of the prompts' pictures, each soup's from the same noise. */
async function clipOf(folder: string, model: Model, { prompt = [], seed, steps, size }: ScorerFlags, output: Output) {
  const clip = await loadClip(model.gpu, diskFolder(folder));
  const score = scorerOfPictures(clipScorer(clip), async (weights) => {
    await model.reblend(weights, { signal: output.io.signal });
    const pictures: ScoredPicture[] = [];
    for (const text of prompt) {
      await draw(model, { prompt: text, seed, steps, ...size }, output, {
        onImage: async (image) => void pictures.push({ image, prompt: text }),
      });
    }
    return pictures;
  });
  const close = async () => {
    await clip.destroy();
    await model.destroy();
  };
  return { score, close };
}

/** The soup as a folder, as `soup merge` writes it. */
async function merge(
  { ingredients, base }: Kitchen,
  weights: readonly Fraction[],
  folder: string,
  { adapter }: ScorerFlags,
  { io }: Output,
): Promise<void> {
  const members = ingredients.map(({ path }, i) => ({ path, n: wholeWeights(weights)[i]! })).filter(({ n }) => n > 0n);
  let complaints = '';
  const quiet = { write: () => {} };
  const words = [
    ...['merge', ...members.map(({ path }) => path), '--weights', members.map(({ n }) => n).join(',')],
    ...['--out', folder, '--quiet', ...(base ? ['--base', base.path] : []), ...(adapter ? ['--adapter', adapter] : [])],
  ];
  const stderr = {
    write(text: string) {
      complaints += text;
    },
  };
  const code = await run(words, { ...io, stdout: quiet, stderr });
  if (code !== 0) throw new UsageError(`a soup could not be written for the scorer. ${complaints.trim()}`, { code });
}
