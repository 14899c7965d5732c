/**
 * How far a soup is from the ensemble that it stands for. If networks were linear in their weights around the base θ0,
 * the soup would predict the mean of what its ingredients predict (Biggs et al. 2024, arXiv 2406.08431, section 4). What
 * is left is the residual, in units of what fine-tuning changed:
 *
 *   ρ = ‖ε(Σ w_i θ_i) - Σ w_i ε(θ_i)‖ / ‖Σ w_i ε(θ_i) - ε(θ0)‖
 *
 * 0: the soup is the ensemble. 1: it is as far from it as the ensemble is from the base. At a timestep, noise and
 * velocity are affine in each other, so ρ is the same for both. Guidance is left out: predictions are those of the prompt.
 */

import { UsageError } from '../errors.js';
import type { Image } from '../image/image.js';
import { join } from '../image/layout.js';
import { answersTo, type Sample, type UNet } from '../model/components.js';
import { type GenerateRequest, generate } from '../pipeline/generate.js';
import type { Model } from '../pipeline/model.js';
import { randn } from '../sampler/index.js';
import { squared } from './measures.js';
import type { Networks } from './networks.js';

/** Squared norms of one prediction, or sums of them. */
export interface Residual {
  /** ‖soup - ensemble‖² */
  readonly gap: number;
  /** ‖ensemble - base‖² */
  readonly change: number;
  /** ‖ensemble‖² */
  readonly size: number;
}

/** ρ of many predictions together. */
export const residualRatio = (residuals: readonly Residual[]): number =>
  Math.sqrt(total(residuals, 'gap') / total(residuals, 'change'));

/** ‖soup - ensemble‖ / ‖ensemble‖. */
export const relativeGap = (residuals: readonly Residual[]): number =>
  Math.sqrt(total(residuals, 'gap') / total(residuals, 'size'));

const total = (residuals: readonly Residual[], which: keyof Residual): number =>
  residuals.reduce((sum, one) => sum + one[which], 0);

/** What a UNet is asked: see UNet.predict. */
interface Question {
  readonly size: Sample;
  readonly sample: Float32Array;
  readonly timesteps: Float32Array;
  readonly context: Float32Array;
}

const ask = async (unet: UNet, { size, sample, timesteps, context }: Question): Promise<Float32Array> =>
  (await unet.predict(size, sample, timesteps, context)).output;

/** The residual of each image of a question. */
export async function residualsOf(networks: Networks, question: Question): Promise<Residual[]> {
  const ensemble = await ask(networks.ensemble, question);
  return compared(
    ensemble,
    await ask(networks.soup, question),
    await ask(networks.base, question),
    question.size.images,
  );
}

function compared(ensemble: Float32Array, other: Float32Array, base: Float32Array, images: number): Residual[] {
  const each = ensemble.length / images;
  return Array.from({ length: images }, (_, i) => {
    const [e, o, b] = [ensemble, other, base].map((x) => x.subarray(i * each, (i + 1) * each));
    return { gap: squared(o!, e!), change: squared(e!, b!), size: squared(e!) };
  });
}

/**
 * The residual of every block: one block at a time has the soup's weights, in every ingredient, the others stay the
 * ingredient's own. With all blocks souped at once this is the residual of the soup; with none it is 0; and if the
 * network were linear, each would be 0.
 */
export async function blockResiduals(
  networks: Networks,
  question: Question,
  blocks: readonly string[] = networks.blocks,
): Promise<Record<string, Residual>> {
  const sum = (residuals: readonly Residual[]): Residual => ({
    gap: total(residuals, 'gap'),
    change: total(residuals, 'change'),
    size: total(residuals, 'size'),
  });
  const [ensemble, base] = [await ask(networks.ensemble, question), await ask(networks.base, question)];
  const found: Record<string, Residual> = {};
  for (const block of blocks) {
    const hybrid = await ask(networks.hybrid(block), question);
    found[block] = sum(compared(ensemble, hybrid, base, question.size.images));
  }
  return found;
}

/** Residuals where there is nothing but noise to see: inputs are normal at every timestep; one row for each prompt. */
export async function noiseResiduals(
  model: Model,
  networks: Networks,
  { prompts, timestep, seed }: { prompts: readonly string[]; timestep: number; seed: bigint },
): Promise<Residual[]> {
  const { inChannels, sampleSize } = model.unet.config;
  const images = prompts.length;
  const shape = [inChannels, sampleSize, sampleSize];
  const { tokenizer } = model;
  if (!tokenizer)
    throw new UsageError(`${model.name} has no tokenizer/ to read prompts with; name one that has by --base`);
  return residualsOf(networks, {
    size: { images, height: sampleSize, width: sampleSize },
    sample: join(prompts.map((_, i) => randn(seed + BigInt(i), shape))),
    timesteps: new Float32Array(images).fill(timestep),
    context: await model.textEncoder.encode(prompts.map((prompt) => [...tokenizer.encode(prompt).ids])),
  });
}

export interface PathStep extends Residual {
  readonly timestep: number;
  /** Of the steps that were asked for. */
  readonly blocks?: Readonly<Record<string, Residual>>;
}

export interface FidelityPath {
  readonly steps: readonly PathStep[];
  /** The ensemble's. */
  readonly latents: Float32Array;
  readonly image: Image;
}

export interface PathOptions {
  /** Calls of the network, counted from 0, at which blocks are looked at as well. */
  readonly blocksAt?: readonly number[];
  /** Which blocks; all by default. */
  readonly blocks?: readonly string[];
  readonly onStep?: (step: PathStep) => void;
}

/** One picture of the ensemble, with the residual at every call of the network: there where sampling goes. */
export async function fidelityPath(
  model: Model,
  networks: Networks,
  request: GenerateRequest,
  { blocksAt = [], blocks = networks.blocks, onStep }: PathOptions = {},
): Promise<FidelityPath> {
  const steps: PathStep[] = [];
  const unet: UNet = {
    ...networks.ensemble,
    submit: undefined, // every prediction is looked at
    async predict(batch, sample, timesteps, context, options) {
      const results = await networks.ensemble.predict(batch, sample, timesteps, context, options);
      // With guidance the last answer is that of the prompt.
      const last = <T extends Float32Array>(x: T) => x.subarray(x.length - x.length / answersTo(batch));
      const question: Question = {
        size: { images: 1, height: batch.height, width: batch.width },
        sample,
        timesteps: last(timesteps),
        context: last(context),
      };
      const soup = await ask(networks.soup, question);
      const base = await ask(networks.base, question);
      const [residual] = compared(last(results.output), soup, base, 1);
      const souped = blocksAt.includes(steps.length) && (await blockResiduals(networks, question, blocks));
      const step = { timestep: timesteps[0]!, ...residual!, ...(souped && { blocks: souped }) };
      steps.push(step);
      onStep?.(step);
      return results;
    },
  };
  for await (const event of generate({ ...model, unet }, { ...request, count: 1 })) {
    if (event.type === 'image') return { steps, latents: event.latents, image: event.image };
  }
  throw new Error('a picture was asked for, and none came');
}
