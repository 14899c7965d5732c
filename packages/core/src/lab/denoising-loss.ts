/**
 * What diffusion models are trained to make small: the mean squared error of a prediction, for a latent under known noise
 * at a known timestep (Ho et al. 2020, arXiv 2006.11239, eq. 14; Salimans & Ho 2022, arXiv 2202.00512, for velocity).
 */
import type { SchedulerConfig } from '../checkpoint/configs.js';
import { throwIfAborted, UsageError } from '../errors.js';
import { fromImage, type Image } from '../image/image.js';
import { join } from '../image/layout.js';
import type { UNet, Vae } from '../model/components.js';
import type { Model } from '../pipeline/model.js';
import { alphasCumprod } from '../sampler/training-noise.js';

/** A latent (C, h, w), scaled as the UNet has it, under noise of the same shape; `context` (T, channels) is its caption. */
export interface LossCase {
  readonly latents: Float32Array;
  readonly noise: Float32Array;
  /** Of the training: a whole number from 0. */
  readonly timestep: number;
  readonly context: Float32Array;
}

export interface LossOptions {
  /** Cases asked at once. */
  readonly batch?: number;
  readonly signal?: AbortSignal;
  readonly onBatch?: (cases: number) => void;
}

type PredictionType = SchedulerConfig['predictionType'] | 'sample';

const LARGEST_BATCH = 8;

/** x_t = √ᾱ x0 + √(1 - ᾱ) ε, and what is to be predicted from it: ε, x0, or v = √ᾱ ε - √(1 - ᾱ) x0. */
export function underNoise(latents: Float32Array, noise: Float32Array, alphaBar: number, type: PredictionType) {
  const [alpha, sigma] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
  const noisy = latents.map((x, i) => alpha * x + sigma * noise[i]!);
  const velocity = () => latents.map((x, i) => alpha * noise[i]! - sigma * x);
  return { noisy, target: type === 'epsilon' ? noise : type === 'sample' ? latents : velocity() };
}

/** (prediction - target)², the mean over the latent, of each case. `size` is that of the latents. */
export async function denoisingLosses(
  unet: Pick<UNet, 'predict'>,
  scheduler: SchedulerConfig,
  size: { readonly height: number; readonly width: number },
  cases: readonly LossCase[],
  { batch: most = LARGEST_BATCH, signal, onBatch }: LossOptions = {},
): Promise<number[]> {
  const alphaBars = alphasCumprod(scheduler);
  checkTimesteps(alphaBars, new Set(cases.map(({ timestep }) => timestep)));
  const losses: number[] = [];
  for (let at = 0; at < cases.length; at += most) {
    throwIfAborted(signal);
    const batch = cases.slice(at, at + most);
    const noised = batch.map(({ latents, noise, timestep }) =>
      underNoise(latents, noise, alphaBars[timestep]!, scheduler.predictionType),
    );
    const { output } = await unet.predict(
      { images: batch.length, ...size },
      join(noised.map(({ noisy }) => noisy)),
      Float32Array.from(batch, ({ timestep }) => timestep),
      join(batch.map(({ context }) => context)),
    );
    for (const [i, { target }] of noised.entries()) {
      let sum = 0;
      for (let k = 0; k < target.length; k++) sum += (output[i * target.length + k]! - target[k]!) ** 2;
      losses.push(sum / target.length);
    }
    onBatch?.(batch.length);
  }
  return losses;
}

/** Parts of the training, 0..1, as timesteps; by default the middles of `count` equal parts. */
export const timestepsAt = (scheduler: SchedulerConfig, count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.round(((i + 0.5) / count) * (scheduler.numTrainTimesteps - 1)));

export function checkTimesteps(alphaBars: readonly number[], timesteps: Iterable<number>): void {
  const last = alphaBars.length - 1;
  const asked = [...timesteps];
  const wrong = asked.find((t) => !Number.isInteger(t) || t < 0 || t > last);
  if (asked.length === 0 || wrong !== undefined) {
    throw new UsageError(`the timestep ${wrong}: expected whole numbers from 0 to ${last}`, { found: wrong });
  }
}

/** A picture as the UNet was trained on it: the mean of what the VAE's encoder says, scaled; (C, h, w). */
export async function latentsOf({ encode, config, factor }: Vae, image: Image): Promise<Float32Array> {
  const { height, width } = image;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new UsageError(`a picture is ${width} x ${height}; the sides must be multiples of ${factor}: scale it first`);
  }
  const { mean } = await encode({ images: 1, height, width }, fromImage(image, config.inChannels));
  return mean.map((x) => x * config.scalingFactor);
}

/** A caption as the UNet sees it: (T, channels). */
export async function captionOf(model: Pick<Model, 'name' | 'tokenizer' | 'textEncoder'>, prompt: string) {
  if (!model.tokenizer) {
    throw new UsageError(
      `${model.name} has no tokenizer/ to read prompts with. Name a model that has one with --base.`,
    );
  }
  return model.textEncoder.encode([[...model.tokenizer.encode(prompt).ids]]);
}
