/**
 * A CLIP checkpoint that compares pictures and texts (Radford et al. 2021, arXiv 2103.00020): each tower that it has, and
 * the projection into the space that both share. Activations are f32 in every tier.
 */
import type { ClipModelConfig } from '../checkpoint/configs.js';
import type { Weights } from '../checkpoint/weights.js';
import { UsageError } from '../errors.js';
import { type Gpu, withTier } from '../gpu/gpu.js';
import type { Tensor } from '../gpu/graph.js';
import { createPlanCache } from '../gpu/plan-cache.js';
import { type ClipInput, clipInput } from '../image/clip-input.js';
import type { Image } from '../image/image.js';
import { join } from '../image/layout.js';
import { blendOf } from '../soup/blend.js';
import { createParameters } from '../soup/parameters.js';
import { clipVision } from './clip-vision.js';
import { createTextEncoder, type TapOptions } from './components.js';
import { linear } from './layers.js';
import type { ClipTokenizer } from './tokenizer.js';

export interface ClipModel {
  readonly config: ClipModelConfig;
  /** Bytes of weights on the device. */
  readonly bytes: number;
  /** One vector of `projectionDim` numbers for each picture, not normalised. Refused without a vision tower. */
  embedImages(images: readonly Image[]): Promise<Float32Array[]>;
  /** The same for texts; needs a text tower and a tokenizer. A text that is too long is cut off. */
  embedTexts(texts: readonly string[]): Promise<Float32Array[]>;
  /** The towers themselves, for conformance. */
  readonly vision?: ClipVisionTower;
  readonly text?: ClipTextTower;
  destroy(): void;
}

export type ClipVisionTower = Awaited<ReturnType<typeof createVision>>;
export type ClipTextTower = Awaited<ReturnType<typeof createText>>;

export interface ClipParts {
  readonly preprocessing?: ClipInput;
  readonly tokenizer?: ClipTokenizer;
}

/** Pictures and texts that go through a tower at once. */
const LARGEST_BATCH = 8;

/** Loads the weights; they may be closed afterwards, but for those of a text tower, whose token table is read from the file. */
export async function createClip(
  device: Gpu,
  config: ClipModelConfig,
  weights: Weights,
  { preprocessing, tokenizer }: ClipParts,
): Promise<ClipModel> {
  const gpu = withTier(device, { precision: 'f32', residual: 'f32', matrixUnits: 'none' });
  const made: { readonly bytes: number; destroy(): void }[] = [];
  const destroy = () => {
    for (const part of made) part.destroy();
  };
  try {
    const vision = config.vision && (await createVision(gpu, config, weights));
    if (vision) made.push(vision);
    const text = config.text && (await createText(gpu, config, weights));
    if (text) made.push(text);
    return {
      config,
      bytes: made.reduce((sum, part) => sum + part.bytes, 0),
      ...(vision && { vision }),
      ...(text && { text }),
      async embedImages(images) {
        if (!vision || !preprocessing) throw missing(weights, 'vision tower', 'pictures');
        return inBatches(images, async (batch) => {
          const pixels = batch.map((image) => clipInput(image, preprocessing));
          return (await vision.run(batch.length, join(pixels))).embeds;
        });
      },
      async embedTexts(texts) {
        if (!text) throw missing(weights, 'text tower', 'texts');
        if (!tokenizer) throw missing(weights, 'tokenizer (vocab.json and merges.txt, or tokenizer.json)', 'texts');
        return inBatches(
          texts,
          async (batch) => (await text.run(batch.map((one) => tokenizer.encode(one).ids))).embeds,
        );
      },
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

const missing = ({ name }: Weights, what: string, cannot: string): UsageError =>
  new UsageError(`${name} has no ${what}, so it cannot read ${cannot}. Name a whole CLIPModel.`, { file: name });

/** Rows of (N, channels) results, batch by batch. */
async function inBatches<T>(
  all: readonly T[],
  run: (batch: readonly T[]) => Promise<Float32Array>,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  for (let at = 0; at < all.length; at += LARGEST_BATCH) {
    const batch = all.slice(at, at + LARGEST_BATCH);
    const found = await run(batch);
    const channels = found.length / batch.length;
    for (let i = 0; i < batch.length; i++) rows.push(found.slice(i * channels, (i + 1) * channels));
  }
  return rows;
}

/** The tensors whose names `isPart` takes: a CLIPModel has both towers in one file. */
const partOf = (weights: Weights, isPart: (key: string) => boolean): Weights => ({
  ...weights,
  tensors: new Map([...weights.tensors].filter(([key]) => isPart(key))),
});

const VISION = /^(vision_model|visual_projection)\./;

async function createVision(gpu: Gpu, { vision: config, projectionDim }: ClipModelConfig, weights: Weights) {
  const { imageSize: side, hiddenSize, channels } = config!;
  const blend = blendOf([partOf(weights, (key) => VISION.test(key))]);
  const parameters = createParameters(gpu, blend);
  const tower = clipVision(parameters.scope, config!, projectionDim);
  parameters.refuseUnused((key) => key.endsWith('.position_ids')); // counts, in old files
  const plans = createPlanCache(gpu, "CLIP's vision tower", ({ pixels, zeros }, variant): Record<string, Tensor> => {
    const { hiddenStates, normed, embeds } = tower(pixels!, zeros!);
    if (variant === '') return { embeds };
    return { ...Object.fromEntries(hiddenStates.map((state, k) => [`hidden_states.${k}`, state])), normed, embeds };
  });
  await parameters.load(blend);

  /** pixels (N, H, W, 3), normalised -> embeds (N, projectionDim); hidden states and taps beside it when asked for. */
  async function run(images: number, pixels: Float32Array, options: { all?: boolean } & TapOptions = {}) {
    const results = await plans.run(
      {
        pixels: { shape: [images, side, side, channels], data: pixels },
        zeros: { shape: [images, hiddenSize], data: new Float32Array(images * hiddenSize) },
      },
      { variant: options.all ? 'all' : '', wantsTap: options.wantsTap },
    );
    const embeds = firstTokens(results.embeds!, images, projectionDim);
    if (!results.normed) return { ...results, embeds };
    return { ...results, embeds, pooler_output: firstTokens(results.normed, images, hiddenSize) };
  }
  const destroy = () => {
    plans.destroy();
    parameters.destroy();
  };
  return { bytes: parameters.bytes, run: run as (...args: Parameters<typeof run>) => Promise<Embedded>, destroy };
}

type Embedded = Readonly<Record<'embeds' | (string & {}), Float32Array>>;

/** (N, T, C) -> (N, C). */
function firstTokens(x: Float32Array, images: number, channels: number): Float32Array {
  const each = x.length / images;
  return join(Array.from({ length: images }, (_, i) => x.subarray(i * each, i * each + channels)));
}

async function createText(gpu: Gpu, { text: config, projectionDim }: ClipModelConfig, weights: Weights) {
  const projection = /^text_projection\./;
  const encoderBlend = blendOf([partOf(weights, (key) => !VISION.test(key) && !projection.test(key))]);
  const encoder = createTextEncoder(gpu, config!, encoderBlend);
  const blend = blendOf([partOf(weights, (key) => projection.test(key))]);
  const parameters = createParameters(gpu, blend);
  const project = linear(parameters.scope.at('text_projection'), config!.hiddenSize, projectionDim);
  parameters.refuseUnused();
  const plans = createPlanCache(gpu, "CLIP's text projection", ({ pooled }) => ({ embeds: project(pooled!) }));
  const destroy = () => {
    plans.destroy();
    parameters.destroy();
    encoder.destroy();
  };
  await encoder.load(encoderBlend);
  await parameters.load(blend);

  /** ids (N, T) -> embeds (N, projectionDim), and every hidden state by transformers' names. */
  async function run(ids: readonly (readonly number[])[], options: TapOptions = {}): Promise<Embedded> {
    const states = await encoder.inspect(ids, options);
    const pooled = { shape: [ids.length, config!.hiddenSize], data: states.pooler_output };
    return { ...states, embeds: (await plans.run({ pooled })).embeds! };
  }
  return { bytes: encoder.bytes + parameters.bytes, run, destroy };
}
