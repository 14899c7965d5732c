/**
 * The three networks of Stable Diffusion with their weights: numbers in PyTorch's order go in and come out, plans
 * are kept per shape. Loading again re-blends in place.
 */
import type { ClipTextConfig, UNetConfig, VaeConfig } from '../checkpoint/configs.js';
import { CheckpointError } from '../errors.js';
import { type Gpu, withTier } from '../gpu/gpu.js';
import type { Tensor } from '../gpu/graph.js';
import type { Input, RunOptions } from '../gpu/plan.js';
import { createPlanCache } from '../gpu/plan-cache.js';
import type { Slice } from '../gpu/slice.js';
import { toChannelsFirst, toChannelsLast } from '../image/layout.js';
import type { Blend } from '../soup/blend.js';
import { gatherRows } from '../soup/gather.js';
import { createParameters, type LoadOptions } from '../soup/parameters.js';
import { clipScope, clipText } from './clip.js';
import { unet } from './unet.js';
import { vaeDecoder, vaeEncoder } from './vae.js';

/** Which intermediate results to return as well, by module name. */
export interface TapOptions {
  readonly wantsTap?: (name: string) => boolean;
}

export interface Component {
  readonly config: unknown;
  /** Bytes of weights on the device. */
  readonly bytes: number;
  /** Fills the weights from a blend of the same shapes; may be called again. */
  load(blend: Blend, options?: LoadOptions): Promise<void>;
  destroy(): void;
}

export type TextEncoder = Awaited<ReturnType<typeof createTextEncoder>>;
export type UNet = ReturnType<typeof createUNet>;
export type Vae = ReturnType<typeof createVae>;

/**
 * What files of text encoders have beside what conditions a picture: numbers that only count, and what CLIP compares texts
 * and pictures with.
 */
const BESIDE_TEXT = /(^|\.)(position_ids|text_projection(\.weight)?|logit_scale)$/;

/**
 * Activations are f32 in every tier: it runs once for a picture, and every step stands on its result. The matrix units
 * multiply them in two parts, as precisely.
 */
export function createTextEncoder(device: Gpu, config: ClipTextConfig, blend: Blend) {
  const matrixUnits = device.matrixUnits === 'none' ? 'none' : 'products';
  const gpu = withTier(device, { precision: 'f32', residual: 'f32', matrixUnits });
  const parameters = createParameters(gpu, blend);
  const scope = clipScope(parameters.scope);
  const model = clipText(scope, config);
  const table = scope.at('embeddings', 'token_embedding', 'weight').path;
  const info = blend.ingredients[0]!.tensors.get(table);
  if (info?.shape.join() !== `${config.vocabSize},${config.hiddenSize}`) {
    throw new CheckpointError(
      `${blend.ingredients[0]!.name}: ${table} is ${info ? `[${info.shape.join(', ')}]` : 'missing'}; ` +
        `its config asks for [${config.vocabSize}, ${config.hiddenSize}]`,
      { tensor: table, file: blend.ingredients[0]!.name },
    );
  }
  parameters.refuseUnused((key) => key === table || BESIDE_TEXT.test(key));
  let current = blend;

  const plans = createPlanCache(gpu, 'text encoder', ({ tokens }, skip): Record<string, Tensor> => {
    const { hiddenStates, lastHiddenState } = model(tokens!);
    const states = Object.fromEntries(hiddenStates.map((state, k) => [`hidden_states.${k}`, state]));
    if (skip === 'all') return { ...states, last_hidden_state: lastHiddenState };
    const from = Number(skip);
    return { context: from === 0 ? lastHiddenState : model.finalNorm(hiddenStates.at(-1 - from)!) };
  });

  async function embed(ids: readonly (readonly number[])[]) {
    const flat = ids.flat();
    const bad = flat.find((id) => !(Number.isInteger(id) && id >= 0 && id < config.vocabSize));
    if (bad !== undefined) {
      throw new CheckpointError(
        `token ${bad} is outside the text encoder's vocabulary of ${config.vocabSize}: the tokenizer and the text encoder do not belong together`,
        { token: bad, vocabulary: config.vocabSize },
      );
    }
    const data = await gatherRows(gpu, current, table, flat);
    return { tokens: { shape: [ids.length, ids[0]!.length, config.hiddenSize], data } };
  }

  return {
    config,
    get bytes() {
      return parameters.bytes;
    },
    load(from: Blend, options?: LoadOptions) {
      current = from;
      plans.forget();
      return parameters.load(from, options);
    },
    /**
     * ids (N, T) -> context (N, T, C): the last hidden state, or the one `skip` layers before it, normalised.
     * This is diffusers' clip_skip: 0 for none, 1 for the penultimate.
     */
    async encode(ids: readonly (readonly number[])[], skip = 0): Promise<Float32Array> {
      return (await plans.run(await embed(ids), { variant: `${skip}` })).context!;
    },
    /** Every hidden state by transformers' names, and the pooled output. */
    async inspect(ids: readonly (readonly number[])[], { wantsTap }: TapOptions = {}) {
      const states = await plans.run(await embed(ids), { variant: 'all', wantsTap });
      const pooled = ids.map((row, n) => {
        const at = (n * row.length + pooledPosition(row, config)) * config.hiddenSize;
        return [...states.last_hidden_state!.subarray(at, at + config.hiddenSize)];
      });
      return { ...states, pooler_output: Float32Array.from(pooled.flat()) };
    },
    destroy() {
      plans.destroy();
      parameters.destroy();
    },
  };
}

/** Where CLIP reads the pooled output: the end token; by the largest id in configs from before that was fixed. */
function pooledPosition(ids: readonly number[], { eosTokenId }: ClipTextConfig): number {
  if (eosTokenId === 2 || eosTokenId === null) return ids.indexOf(Math.max(...ids));
  return Math.max(0, ids.indexOf(eosTokenId));
}

export interface Sample {
  readonly images: number;
  readonly height: number;
  readonly width: number;
}

/** What a UNet is asked in one: all images with a first conditioning each, then all with a second. */
export interface Batch extends Sample {
  /** Of each image; 1 where it is not said. What does not depend on them is computed once for each image. */
  readonly conditionings?: number;
}

/** Predictions that a batch is answered with. */
export const answersTo = ({ images, conditionings = 1 }: Batch): number => images * conditionings;

/**
 * A prediction that stays on the device and is not waited for: sample (N, H, W, C) in slices, timesteps (A), context
 * (A, T, contextChannels) -> output (A, H, W, C), which the network's next prediction overwrites; A = answersTo(batch).
 */
export type SubmitPrediction = (
  batch: Batch,
  sample: readonly Slice[],
  timesteps: Float32Array,
  context: Float32Array,
) => Promise<Slice>;

/** In the f16 tier sums along the residual path are f32 all the same: a picture passes through here dozens of times. */
export function createUNet(device: Gpu, config: UNetConfig, blend: Blend) {
  const gpu = withTier(device, { residual: 'f32' });
  const parameters = createParameters(gpu, blend);
  const forward = unet(parameters.scope, config);
  parameters.refuseUnused();
  const output = ({ sample, timestep, context }: Record<string, Tensor>) => ({
    output: forward(sample!, timestep!, context!),
  });
  // The keys and values of a text are the same at every step.
  const plans = createPlanCache(gpu, 'UNet', output, { steady: ['context'] });
  const shapesOf = (batch: Batch, tokens: number) => ({
    sample: [batch.images, batch.height, batch.width, config.inChannels],
    timestep: [answersTo(batch)],
    context: [answersTo(batch), tokens, config.crossAttentionDim[0]!],
  });
  const inputs = (batch: Batch, sample: Input, timesteps: Float32Array, context: Float32Array) => {
    const shapes = shapesOf(batch, context.length / answersTo(batch) / config.crossAttentionDim[0]!);
    return {
      sample: { shape: shapes.sample, data: sample },
      timestep: { shape: shapes.timestep, data: timesteps },
      context: { shape: shapes.context, data: context },
    };
  };
  const submit: SubmitPrediction = async (...asked) => (await plans.submit(inputs(...asked))).output!;

  return {
    config,
    get bytes() {
      return parameters.bytes;
    },
    async load(from: Blend, options?: LoadOptions) {
      plans.forget();
      await parameters.load(from, options);
    },
    /**
     * sample (N, C, H, W), timesteps (A), context (A, T, contextChannels) -> output (A, C, H, W), raw: noise or v;
     * A = answersTo(batch). Taps come beside it as they are on the GPU: (A, H, W, C), or (N, H, W, C) before the first
     * layer that asks for the context.
     */
    async predict(
      batch: Batch,
      sample: Float32Array,
      timesteps: Float32Array,
      context: Float32Array,
      { wantsTap }: TapOptions = {},
    ): Promise<Record<'output' | (string & {}), Float32Array>> {
      const centered = config.centerInputSample ? sample.map((x) => 2 * x - 1) : sample;
      const data = toChannelsLast(centered, batch.images, config.inChannels);
      const results = await plans.run(inputs(batch, data, timesteps, context), { wantsTap });
      return { ...results, output: toChannelsFirst(results.output!, answersTo(batch), config.outChannels) };
    },
    /** Undefined where samples are centered first, which is done on the host. */
    submit: config.centerInputSample ? undefined : submit,
    /** What predicting takes, known before any memory is taken: see footprint. */
    predictFootprint: (batch: Batch, tokens: number) => plans.footprint(shapesOf(batch, tokens)),
    destroy() {
      plans.destroy();
      parameters.destroy();
    },
  };
}

export function createVae(gpu: Gpu, config: VaeConfig, blend: Blend) {
  const parameters = createParameters(gpu, blend);
  const encoder = vaeEncoder(parameters.scope, config);
  const decoder = vaeDecoder(parameters.scope, config);
  parameters.refuseUnused();
  const plans = createPlanCache(gpu, 'VAE', ({ image, latents }, way): Record<string, Tensor> => {
    return way === 'encode' ? { moments: encoder(image!) } : { image: decoder(latents!) };
  });
  /** Pixels along each side of one latent. */
  const factor = 2 ** (config.blockOutChannels.length - 1);

  return {
    gpu,
    config,
    factor,
    get bytes() {
      return parameters.bytes;
    },
    async load(from: Blend, options?: LoadOptions) {
      plans.forget();
      await parameters.load(from, options);
    },
    /** Picture (N, H, W, inChannels) in [-1, 1] -> mean and log-variance of the latents, (N, C, h, w) each, unscaled. */
    async encode({ images, height, width }: Sample, image: Float32Array, { wantsTap }: TapOptions = {}) {
      const shape = [images, height, width, config.inChannels];
      const results = await plans.run({ image: { shape, data: image } }, { variant: 'encode', wantsTap });
      const { latentChannels } = config;
      const moments = toChannelsFirst(results.moments!, images, latentChannels * 2);
      const half = moments.length / images / 2;
      const part = (which: 0 | 1) => {
        const y = new Float32Array(images * half);
        for (let n = 0; n < images; n++)
          y.set(moments.subarray((2 * n + which) * half, (2 * n + which + 1) * half), n * half);
        return y;
      };
      // diffusers clamps the log-variance to the range in which exp is harmless
      return { mean: part(0), logvar: part(1).map((v) => Math.min(20, Math.max(-30, v))), taps: results };
    },
    /**
     * Latents, unscaled, (N, C, h, w) or on the device as (N, h, w, C) -> picture (N, H, W, outChannels), about [-1, 1];
     * `onDecoded` sees them on the device.
     */
    async decode(
      { images, height, width }: Sample,
      latents: Input,
      { wantsTap, onDecoded }: TapOptions & { readonly onDecoded?: (pictures: GPUBuffer) => void } = {},
    ) {
      const shape = [images, height, width, config.latentChannels];
      const isHost = latents instanceof Float32Array;
      const data = isHost ? toChannelsLast(latents, images, config.latentChannels) : latents;
      const onSubmitted: RunOptions['onSubmitted'] = onDecoded && (({ image }) => onDecoded(image!));
      const results = await plans.run({ latents: { shape, data } }, { variant: 'decode', wantsTap, onSubmitted });
      return { image: results.image!, taps: results };
    },
    /** Bytes of activations that decoding latents of this size needs: at once, and for the largest tensor. */
    decodeFootprint({ images, height, width }: Sample) {
      const latents = [images, height, width, config.latentChannels];
      return plans.footprint({ latents }, { variant: 'decode' });
    },
    destroy() {
      plans.destroy();
      parameters.destroy();
    },
  };
}
