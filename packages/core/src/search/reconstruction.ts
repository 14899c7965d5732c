/**
 * How well a soup denoises given pictures: the loss that diffusion models are trained with, on noise that is the same
 * for every soup, so that scores differ by the soup alone.
 */
import { CancelledError, UsageError } from '../errors.js';
import { fromImage, type Image } from '../image/image.js';
import { join } from '../image/layout.js';
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

/** A picture under noise, and what the network should say to it. */
interface Case {
  readonly timestep: number;
  readonly noisy: Float32Array;
  readonly target: Float32Array;
  readonly prompt: string;
}

/** Pictures are asked about one timestep at a time, all in one batch of at most so many. */
const LARGEST_BATCH = 8;
const DEFAULT_PARTS = [0.1, 0.3, 0.5, 0.7, 0.9];

/**
 * Prepares a loss: the mean of (prediction - target)² over pictures, timesteps and latents, the target being noise or
 * velocity as the model predicts (Ho et al. 2020, arXiv 2006.11239, eq. 14; Salimans & Ho 2022, arXiv 2202.00512).
 * Pictures go through the VAE that the model has now; prompts through the text encoder of each soup.
 */
export async function reconstructionLoss(
  model: Model,
  pictures: readonly ReconstructionPicture[],
  { timesteps, seed = 0n, signal }: ReconstructionOptions = {},
): Promise<() => Promise<number>> {
  if (pictures.length === 0) throw new UsageError('a reconstruction needs at least one picture');
  const alphaBars = alphasCumprod(model.scheduler);
  const last = alphaBars.length - 1;
  const asked = timesteps ?? DEFAULT_PARTS.map((part) => Math.round(part * last));
  const wrong = asked.find((t) => !Number.isInteger(t) || t < 0 || t > last);
  if (asked.length === 0 || wrong !== undefined) {
    throw new UsageError(`the timestep ${wrong}: expected whole numbers from 0 to ${last}`, { found: wrong });
  }
  const [first] = pictures;
  const size = { height: first!.image.height / model.vae.factor, width: first!.image.width / model.vae.factor };
  const cases: Case[] = [];
  for (const [i, { image, prompt = '' }] of pictures.entries()) {
    stopIfAsked(signal);
    const latents = await latentsOf(model, image, size);
    for (const [j, timestep] of asked.entries()) {
      const noise = randn(seed + BigInt(i * asked.length + j), [latents.length]);
      cases.push({ timestep, prompt, ...underNoise(latents, noise, alphaBars[timestep]!, model) });
    }
  }
  return () => lossOf(model, cases, size, signal);
}

async function latentsOf({ vae }: Model, image: Image, size: { height: number; width: number }): Promise<Float32Array> {
  const { height, width } = image;
  if (height !== size.height * vae.factor || width !== size.width * vae.factor || height % vae.factor !== 0) {
    throw new UsageError(
      `a picture is ${width} x ${height}; all must be of one size, a multiple of ${vae.factor}: scale them first`,
    );
  }
  const { mean } = await vae.encode({ images: 1, height, width }, fromImage(image, vae.config.inChannels));
  return mean.map((x) => x * vae.config.scalingFactor);
}

/** x_t = √ᾱ x0 + √(1 - ᾱ) ε, and what is to be predicted from it: ε, or v = √ᾱ ε - √(1 - ᾱ) x0. */
function underNoise(latents: Float32Array, noise: Float32Array, alphaBar: number, { scheduler }: Model) {
  const [alpha, sigma] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  const noisy = latents.map((x, i) => alpha * x + sigma * noise[i]!);
  const isVelocity = scheduler.predictionType === 'v_prediction';
  return { noisy, target: isVelocity ? latents.map((x, i) => alpha * noise[i]! - sigma * x) : noise };
}

async function lossOf(
  model: Model,
  cases: readonly Case[],
  size: { height: number; width: number },
  signal: AbortSignal | undefined,
): Promise<number> {
  const contexts = new Map<string, Float32Array>();
  for (const prompt of new Set(cases.map((one) => one.prompt))) contexts.set(prompt, await contextOf(model, prompt));
  let sum = 0;
  let count = 0;
  for (let at = 0; at < cases.length; at += LARGEST_BATCH) {
    stopIfAsked(signal);
    const batch = cases.slice(at, at + LARGEST_BATCH);
    const { output } = await model.unet.predict(
      { images: batch.length, ...size },
      join(batch.map(({ noisy }) => noisy)),
      Float32Array.from(batch, ({ timestep }) => timestep),
      join(batch.map(({ prompt }) => contexts.get(prompt)!)),
    );
    const targets = join(batch.map(({ target }) => target));
    for (const [i, target] of targets.entries()) sum += (output[i]! - target) ** 2;
    count += targets.length;
  }
  return sum / count;
}

async function contextOf(model: Model, prompt: string): Promise<Float32Array> {
  if (!model.tokenizer) {
    throw new UsageError(
      `${model.name} has no tokenizer/ to read prompts with. Name a model that has one with --base.`,
    );
  }
  return model.textEncoder.encode([[...model.tokenizer.encode(prompt).ids]]);
}

function stopIfAsked(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new CancelledError('stopped on request', {}, { cause: signal.reason });
}
