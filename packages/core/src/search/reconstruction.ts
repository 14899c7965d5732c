/**
 * How well a soup denoises given pictures: the loss that diffusion models are trained with, on noise that is the same
 * for every soup, so that scores differ by the soup alone.
 */
import { throwIfAborted, UsageError } from '../errors.js';
import type { Image } from '../image/image.js';
import { captionOf, checkTimesteps, denoisingLosses, type LossCase, latentsOf } from '../lab/denoising-loss.js';
import { mean } from '../lab/statistics.js';
import type { Model } from '../pipeline/model.js';
import { randn } from '../sampler/index.js';
import { alphasCumprod } from '../sampler/training-noise.js';

export interface ReconstructionPicture {
  readonly image: Image;
  /** What it shows; "" for a soup judged without words. */
  readonly prompt?: string;
}

export interface ReconstructionOptions {
  /** Of the training; by default spread over all but the ends, where pictures or noise are all there is to see. */
  readonly timesteps?: readonly number[];
  readonly seed?: bigint;
  readonly signal?: AbortSignal;
}

/** A picture under noise, and its caption. */
interface Case extends Omit<LossCase, 'context'> {
  readonly prompt: string;
}

const DEFAULT_PARTS = [0.1, 0.3, 0.5, 0.7, 0.9];

/**
 * Prepares a loss: the mean of lab/denoising-loss.ts over pictures and timesteps.
 * Pictures go through the VAE that the model has now; prompts through the text encoder of each soup.
 */
export async function reconstructionLoss(
  model: Model,
  pictures: readonly ReconstructionPicture[],
  { timesteps, seed = 0n, signal }: ReconstructionOptions = {},
): Promise<() => Promise<number>> {
  if (pictures.length === 0) throw new UsageError('a reconstruction needs at least one picture');
  const alphaBars = alphasCumprod(model.scheduler);
  const asked = timesteps ?? DEFAULT_PARTS.map((part) => Math.round(part * (alphaBars.length - 1)));
  checkTimesteps(alphaBars, asked);
  const [first] = pictures;
  const size = { height: first!.image.height / model.vae.factor, width: first!.image.width / model.vae.factor };
  const cases: Case[] = [];
  for (const [i, { image, prompt = '' }] of pictures.entries()) {
    throwIfAborted(signal);
    checkSize(image, size, model.vae.factor);
    const latents = await latentsOf(model.vae, image);
    for (const [j, timestep] of asked.entries()) {
      cases.push({ latents, noise: randn(seed + BigInt(i * asked.length + j), [latents.length]), timestep, prompt });
    }
  }
  return () => lossOf(model, cases, size, signal);
}

interface Size {
  readonly height: number;
  readonly width: number;
}

function checkSize({ width, height }: Image, size: Size, factor: number): void {
  if (height === size.height * factor && width === size.width * factor && height % factor === 0) return;
  throw new UsageError(
    `a picture is ${width} x ${height}; all must be of one size, a multiple of ${factor}: scale them first`,
  );
}

async function lossOf(model: Model, cases: readonly Case[], size: Size, signal?: AbortSignal): Promise<number> {
  const contexts = new Map<string, Float32Array>();
  for (const prompt of new Set(cases.map((one) => one.prompt))) contexts.set(prompt, await captionOf(model, prompt));
  const asked = cases.map((one) => ({ ...one, context: contexts.get(one.prompt)! }));
  return mean(await denoisingLosses(model.unet, model.scheduler, size, asked, { signal }));
}
