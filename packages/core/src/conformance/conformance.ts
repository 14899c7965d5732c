/**
 * Runs a model folder against reference tensors that diffusers, transformers and PyTorch have computed
 * (`golden-*.safetensors` in the folder), tensor by tensor. See test/README.md for what such a file holds.
 */
import { toFloat32 } from '../checkpoint/dtype.js';
import type { ModelFolder } from '../checkpoint/model-folder.js';
import { readBytes } from '../checkpoint/source.js';
import { closeWeights, type Weights } from '../checkpoint/weights.js';
import { CheckpointError } from '../errors.js';
import type { Gpu } from '../gpu/gpu.js';
import { toChannelsFirst, toChannelsLast } from '../image/layout.js';
import { createTextEncoder, createUNet, createVae, type Sample } from '../model/components.js';
import { type Blend, blendOf } from '../soup/blend.js';
import { compare, type Difference } from './compare.js';
import { conformPipeline } from './pipeline.js';

export interface Golden {
  readonly name: string;
  readonly weights: Weights;
  /** The tensor as f32; refuses by name when there is none. */
  tensor(name: string): Promise<{ shape: readonly number[]; data: Float32Array }>;
}

/**
 * What may differ: arithmetic in f32, or storage in f16, against float64. Of activations and latents the relative L2 error, of a
 * picture also its worst pixel, where 1 is white.
 */
export const BOUNDS = {
  f32: { activations: 1e-4, latents: 1e-3, pixels: 0.1 / 255 },
  f16: { activations: 1e-2, latents: 1e-2, pixels: 4 / 255 },
} as const;

export type GoldenKind = 'text_encoder' | 'unet' | 'vae' | 'pipeline';
export const goldenKinds: readonly GoldenKind[] = ['text_encoder', 'unet', 'vae', 'pipeline'];
export const goldenFile = (kind: GoldenKind): string => `golden-${kind}.safetensors`;

export function golden(weights: Weights): Golden {
  return {
    name: weights.name,
    weights,
    async tensor(name) {
      const info = weights.tensors.get(name);
      if (!info)
        throw new CheckpointError(`${weights.name} has no tensor "${name}"`, { file: weights.name, tensor: name });
      const bytes = await readBytes(info.source, info.offset, info.byteLength);
      return { shape: info.shape, data: toFloat32(bytes, info.dtype) };
    },
  };
}

/** Compares every tensor of one golden file. `text` is the text encoder's golden file: the pipeline's prompts. */
export async function* conform(
  gpu: Gpu,
  folder: ModelFolder,
  kind: GoldenKind,
  file: Golden,
  text?: Golden,
): AsyncGenerator<Difference> {
  if (kind === 'text_encoder') yield* conformTextEncoder(gpu, folder, file);
  else if (kind === 'unet') yield* conformUNet(gpu, folder, file);
  else if (kind === 'vae') yield* conformVae(gpu, folder, file);
  else yield* conformPipeline(gpu, folder, file, text);
}

export async function blendOfComponent(folder: ModelFolder, component: 'unet' | 'vae' | 'text_encoder') {
  const weights = await folder.weights(component);
  if (!weights) throw new CheckpointError(`${folder.name} has no ${component}`, { file: folder.name });
  return blendOf([weights]);
}

export async function closeBlend(blend: Blend): Promise<void> {
  for (const weights of blend.ingredients) await closeWeights(weights);
}

async function* conformTextEncoder(gpu: Gpu, folder: ModelFolder, file: Golden): AsyncGenerator<Difference> {
  const blend = await blendOfComponent(folder, 'text_encoder');
  const encoder = createTextEncoder(gpu, await folder.textEncoderConfig(), blend);
  try {
    await encoder.load(blend);
    const names = [...file.weights.tensors.keys()].filter((name) => name !== 'input_ids');
    const results: Record<string, Float32Array> = await encoder.inspect(rowsOf(await file.tensor('input_ids')), {
      wantsTap: (name) => names.includes(name),
    });
    yield* differences(gpu, file, names, results);
  } finally {
    encoder.destroy();
    await closeBlend(blend);
  }
}

async function* conformUNet(gpu: Gpu, folder: ModelFolder, file: Golden): AsyncGenerator<Difference> {
  const blend = await blendOfComponent(folder, 'unet');
  const unet = createUNet(gpu, await folder.unetConfig(), blend);
  try {
    await unet.load(blend);
    const sample = await file.tensor('sample');
    const timesteps = (await file.tensor('timestep')).data;
    const context = (await file.tensor('encoder_hidden_states')).data;
    const inputs = ['sample', 'timestep', 'encoder_hidden_states'];
    const names = [...file.weights.tensors.keys()].filter((name) => !inputs.includes(name));
    const results = await unet.predict(sampleOf(sample.shape), sample.data, timesteps, context, {
      wantsTap: (name) => names.includes(name),
    });
    yield* differences(gpu, file, names, results, ['output']);
  } finally {
    unet.destroy();
    await closeBlend(blend);
  }
}

async function* conformVae(gpu: Gpu, folder: ModelFolder, file: Golden): AsyncGenerator<Difference> {
  const blend = await blendOfComponent(folder, 'vae');
  const vae = createVae(gpu, await folder.vaeConfig(), blend);
  try {
    await vae.load(blend);
    const all = [...file.weights.tensors.keys()];
    if (file.weights.tensors.has('image')) {
      const image = await file.tensor('image');
      const size = sampleOf(image.shape);
      const wanted = all.filter((name) => /^(encoder|quant_conv)\b/.test(name));
      const data = toChannelsLast(image.data, size.images, vae.config.inChannels);
      const encoded = await vae.encode(size, data, { wantsTap: (name) => wanted.includes(name) });
      const results = { ...encoded.taps, latent_mean: encoded.mean, latent_logvar: encoded.logvar };
      yield* differences(gpu, file, ['latent_mean', 'latent_logvar'], results, ['latent_mean', 'latent_logvar']);
      yield* differences(gpu, file, wanted, results);
    }
    if (file.weights.tensors.has('latent')) {
      const latent = await file.tensor('latent');
      const wanted = all.filter((name) => /^(decoder|post_quant_conv)\b/.test(name));
      const decoded = await vae.decode(sampleOf(latent.shape), latent.data, {
        wantsTap: (name) => wanted.includes(name),
      });
      yield* differences(gpu, file, ['decoded', ...wanted], { ...decoded.taps, decoded: decoded.image });
    }
  } finally {
    vae.destroy();
    await closeBlend(blend);
  }
}

/** Compares what we have by that name; four-dimensional references are (N, C, H, W), ours (N, H, W, C). */
async function* differences(
  gpu: Gpu,
  file: Golden,
  names: readonly string[],
  results: Record<string, Float32Array | undefined>,
  channelsFirst: readonly string[] = [],
): AsyncGenerator<Difference> {
  for (const name of names) {
    if (!file.weights.tensors.has(name)) continue;
    const { shape, data } = await file.tensor(name);
    const result = results[name];
    const [images, channels] = shape as [number, number];
    const isPicture = shape.length === 4 && !channelsFirst.includes(name);
    const ours = result && isPicture ? toChannelsFirst(result, images, channels) : result;
    yield compare(name, shape, ours, data, BOUNDS[gpu.precision].activations);
  }
}

export const sampleOf = ([images, , height, width]: readonly number[]): Sample => ({
  images: images!,
  height: height!,
  width: width!,
});

/** A matrix of token ids as lists. */
export function rowsOf({ shape, data }: { shape: readonly number[]; data: Float32Array }): number[][] {
  const [rows, length] = shape as [number, number];
  return Array.from({ length: rows }, (_, i) => [...data.subarray(i * length, (i + 1) * length)]);
}
