/**
 * Prompt in, pictures out: the path of a picture, to be read first.
 *   prompt -> tokens -> conditioning -> noise -> denoising steps -> latents -> picture
 * A generator yields every step, so that the caller can show, count or stop.
 */
import { throwIfAborted, UsageError } from '../errors.js';
import type { DevicePicture } from '../gpu/painter.js';
import type { Slice } from '../gpu/slice.js';
import { fromImage, type Image, toImage } from '../image/image.js';
import { join } from '../image/layout.js';
import {
  addNoise,
  initialLatents,
  makeSchedule,
  type NoiseGenerator,
  noiseStream,
  resolveSampler,
  type SamplerName,
  samplerForClass,
} from '../sampler/index.js';
import { decodeLatents } from './decode.js';
import { denoise } from './denoise.js';
import { guidedPredict } from './guidance.js';
import { createLatentSpace } from './latents.js';
import type { Model } from './model.js';

export interface GenerateRequest {
  readonly prompt: string;
  /** What to steer away from. */
  readonly negative?: string;
  /** 64-bit; the pictures of one request have the seeds seed, seed + 1, ... */
  readonly seed: number | bigint;
  readonly steps?: number;
  /** By default the one that the model's makers chose. */
  readonly sampler?: string;
  /** Classifier-free guidance (Ho & Salimans, arXiv 2207.12598); 1 switches it off. */
  readonly guidance?: number;
  /** Pixels. By default what the model was trained on. */
  readonly width?: number;
  readonly height?: number;
  /** Pictures, drawn as one batch. */
  readonly count?: number;
  /**
   * Pictures of different prompts and seeds, drawn as one batch, in place of `prompt`, `negative`, `seed` and `count`. Each
   * is the same as if it were drawn alone.
   */
  readonly batch?: readonly BatchEntry[];
  /** Layers to skip at the end of the text encoder (diffusers' clip_skip). */
  readonly clipSkip?: number;
  /** Whose torch.randn makes the noise: 'cpu' as diffusers' examples have it, 'cuda' as on an NVIDIA card. */
  readonly noise?: NoiseGenerator;
  /** A picture to start from, and how much of it to replace, 0..1 (img2img). */
  readonly image?: Image;
  readonly strength?: number;
  /** Decode the predicted picture at every n-th step as a preview. */
  readonly previewEvery?: number;
  /**
   * Sees pictures and previews on the device before they are read, so that they can be painted from there; not those that
   * are decoded in tiles.
   */
  readonly onDecoded?: (picture: DevicePicture) => void;
  readonly signal?: AbortSignal;
}

export interface BatchEntry {
  readonly prompt: string;
  readonly negative?: string;
  readonly seed: number | bigint;
}

/** What settling needs to know of a model: its configs, without a weight. */
export interface ModelFacts {
  readonly unet: { readonly config: Pick<Model['unet']['config'], 'sampleSize'> };
  readonly vae: Pick<Model['vae'], 'factor'>;
  readonly textEncoder: { readonly config: Pick<Model['textEncoder']['config'], 'layers'> };
  readonly scheduler: Model['scheduler'];
}

/** The request with every default filled in: what is written beside a picture. */
export interface Settings {
  readonly prompt: string;
  readonly negative: string;
  readonly seed: bigint;
  readonly steps: number;
  readonly sampler: SamplerName;
  readonly guidance: number;
  readonly width: number;
  readonly height: number;
  readonly count: number;
  readonly clipSkip: number;
  readonly noise: NoiseGenerator;
  readonly strength?: number;
}

export type GenerateEvent =
  | { readonly type: 'start'; readonly settings: Settings; readonly warnings: readonly string[] }
  | { readonly type: 'step'; readonly step: number; readonly steps: number; readonly previews?: readonly Image[] }
  | {
      readonly type: 'image';
      readonly index: number;
      readonly seed: bigint;
      readonly image: Image;
      /** (C, h, w), as the sampler left them, scaled. */
      readonly latents: Float32Array;
    };

export const DEFAULTS = { steps: 20, guidance: 7, strength: 0.75 } as const;

const MOST_STEPS = 1000; // as many as the models were trained with
const MOST_PICTURES = 64; // in one batch; more belong in several
const LONGEST_SIDE = 16384;

/** A request of which the start picture need not be read yet. */
export interface SettleRequest extends Omit<GenerateRequest, 'image'> {
  readonly image?: Pick<Image, 'width' | 'height'>;
}

/** Fills in defaults and refuses what has no meaning. */
export function settle(model: ModelFacts, request: SettleRequest): Settings {
  const { unet, vae, scheduler } = model;
  const side = unet.config.sampleSize * vae.factor;
  const settings: Settings = {
    prompt: request.prompt,
    negative: request.negative ?? '',
    seed: BigInt.asUintN(64, BigInt(request.seed)),
    steps: request.steps ?? DEFAULTS.steps,
    sampler: request.sampler ? resolveSampler(request.sampler) : samplerForClass(scheduler.className, scheduler),
    guidance: request.guidance ?? DEFAULTS.guidance,
    width: request.width ?? request.image?.width ?? side,
    height: request.height ?? request.image?.height ?? side,
    count: request.batch?.length ?? request.count ?? 1,
    clipSkip: request.clipSkip ?? 0,
    noise: request.noise ?? 'cpu',
    ...(request.image && { strength: request.strength ?? DEFAULTS.strength }),
  };
  const whole = (name: string, value: number, least: number, most: number) => {
    if (!Number.isInteger(value) || value < least || value > most) {
      throw new UsageError(`${name} is ${value}; give a whole number from ${least} to ${most}`, { [name]: value });
    }
  };
  whole('steps', settings.steps, 1, MOST_STEPS);
  whole('count', settings.count, 1, MOST_PICTURES);
  whole('clip skip', settings.clipSkip, 0, model.textEncoder.config.layers);
  for (const name of ['width', 'height'] as const) {
    whole(name, settings[name], vae.factor, LONGEST_SIDE);
    if (settings[name] % vae.factor !== 0) {
      const nearest = Math.max(1, Math.round(settings[name] / vae.factor)) * vae.factor;
      throw new UsageError(
        `${name} is ${settings[name]}; this model draws multiples of ${vae.factor}, such as ${nearest}`,
      );
    }
  }
  if (!Number.isFinite(settings.guidance)) throw new UsageError(`guidance is ${settings.guidance}; give a number`);
  const { strength } = settings;
  if (strength !== undefined && !(strength > 0 && strength <= 1)) {
    throw new UsageError(`strength is ${strength}; give a number above 0, up to 1`);
  }
  if (request.image && (request.image.width !== settings.width || request.image.height !== settings.height)) {
    throw new UsageError(
      `the start picture is ${request.image.width} x ${request.image.height}, the result ${settings.width} x ${settings.height}; scale it first`,
    );
  }
  return settings;
}

/** Draws `count` pictures. Stops within one step, or a tenth of a second, when `signal` is aborted, with a CancelledError. */
export async function* generate(model: Model, request: GenerateRequest): AsyncGenerator<GenerateEvent> {
  const settings = settle(model, request);
  const { steps, sampler, guidance, count, noise } = settings;
  const { unet, vae, scheduler } = model;
  const { signal } = request;
  const size = { images: count, height: settings.height / vae.factor, width: settings.width / vae.factor };
  const shape = [1, unet.config.inChannels, size.height, size.width];
  const isGuided = guidance > 1;

  const warnings: string[] = [];
  const entries = entriesOf(settings, request.batch);
  // Every text once, however many pictures it is for.
  const rows = [...(isGuided ? entries.map(({ negative }) => negative) : []), ...entries.map(({ prompt }) => prompt)];
  const texts = [...new Set(rows)];
  const ids = texts.map((text) => tokenize(model, text, warnings));
  throwIfAborted(signal);
  yield { type: 'start', settings, warnings };
  throwIfAborted(signal);
  const encoding = model.textEncoder.encode(ids, settings.clipSkip);
  // Each picture has its own stream of noise, so that it is the same alone and in a batch. It is made while texts are encoded.
  const streams = entries.map(({ seed }) => noiseStream(seed, noise));
  const normal = () => join(streams.map((stream) => stream.normal(shape)));
  const firstNoise = normal();
  const context = rowsOf(
    await encoding,
    texts.length,
    rows.map((text) => texts.indexOf(text)),
  );

  const schedule = makeSchedule(sampler, scheduler, steps, { strength: settings.strength });
  const start = request.image ? await encodeImage(model, request.image, firstNoise) : undefined;
  const first = start ? addNoise(start, normal(), schedule) : initialLatents(firstNoise, schedule);

  const space = createLatentSpace(model.gpu, size, unet.config.inChannels);
  try {
    let latents = space.upload(first);
    const predict = guidedPredict(unet, space, context, guidance);
    const noise = () => space.upload(normal());
    for await (const step of denoise(space, predict, latents, schedule, { noise, signal })) {
      latents = step.latents;
      const wantsPreview = request.previewEvery && (step.i + 1) % request.previewEvery === 0;
      const previews = wantsPreview ? await decode(step.denoised) : undefined;
      yield { type: 'step', step: step.i + 1, steps: step.steps, ...(previews && { previews }) };
      throwIfAborted(signal);
    }

    const images = await decode(latents);
    const values = await space.read(latents);
    const each = values.length / count;
    for (const [index, image] of images.entries()) {
      const { seed } = entries[index]!;
      yield { type: 'image', index, seed, image, latents: values.slice(index * each, (index + 1) * each) };
    }
  } finally {
    space.destroy();
  }

  async function decode(scaled: Slice): Promise<Image[]> {
    const pictures = await decodeLatents(vae, space, scaled, signal, request.onDecoded);
    return pictures.map((x) => toImage(x, settings.width, settings.height));
  }
}

function tokenize(model: Model, prompt: string, warnings: string[]): number[] {
  if (!model.tokenizer) {
    throw new UsageError(
      `${model.name} has no tokenizer/ to read a prompt with. Name a model that has one with --base.`,
    );
  }
  const { ids, dropped } = model.tokenizer.encode(prompt);
  if (dropped) {
    warnings.push(`The prompt is longer than the ${ids.length} tokens that this model reads; left out: "${dropped}"`);
  }
  return [...ids];
}

/** Latents of a picture, drawn by unit noise from the distribution that the encoder gives, scaled: (N, C, h, w). */
async function encodeImage({ vae }: Model, image: Image, noise: Float32Array) {
  const one = { images: 1, height: image.height, width: image.width };
  const { mean, logvar } = await vae.encode(one, fromImage(image, vae.config.inChannels));
  return noise.map((z, i) => {
    const j = i % mean.length;
    return (mean[j]! + Math.exp(0.5 * logvar[j]!) * z) * vae.config.scalingFactor;
  });
}

/** The rows of x that `order` names, one after the other. */
function rowsOf(x: Float32Array, rows: number, order: readonly number[]): Float32Array {
  const length = x.length / rows;
  return join(order.map((i) => x.subarray(i * length, (i + 1) * length)));
}

function entriesOf({ prompt, negative, seed, count }: Settings, batch: GenerateRequest['batch']) {
  const wrapped = (value: number | bigint) => BigInt.asUintN(64, BigInt(value));
  if (batch) return batch.map((one) => ({ ...one, negative: one.negative ?? '', seed: wrapped(one.seed) }));
  return Array.from({ length: count }, (_, i) => ({ prompt, negative, seed: wrapped(seed + BigInt(i)) }));
}
