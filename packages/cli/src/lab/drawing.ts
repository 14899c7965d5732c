/** Pictures to be compared: the same prompts from the same noise, each drawn once and kept with its latents. */
import { type GenerateRequest, generate, type Image, type Model } from '@diffusion-soup/core';
import { floatsToText, textToFloats } from './measurements.js';
import type { PictureOf } from './page.js';
import type { Lab } from './session.js';

export interface Drawing {
  /** For pictures of a report. */
  readonly id: string;
  readonly prompt: string;
  readonly seed: bigint;
  readonly image: Image;
  /** (C, h, w), scaled, as the sampler left them. */
  readonly latents: Float32Array;
}

/** What draws: `key` says all of it beside the lab's identity; it is loaded only when something is missing. */
export interface Painter {
  readonly name: string;
  readonly key: unknown;
  model(): Promise<Model>;
}

/** As measurements keep it. */
export interface KeptPicture {
  readonly latents: string;
  /** WebP without loss. */
  readonly picture: string;
}

export const keepPicture = async ({ latents, image }: Pick<Drawing, 'latents' | 'image'>): Promise<KeptPicture> => ({
  latents: floatsToText(latents),
  picture: await encode(image),
});

export const readPicture = async ({ latents, picture }: KeptPicture): Promise<Pick<Drawing, 'latents' | 'image'>> => ({
  image: await decode(picture),
  latents: textToFloats(latents),
});

/** Pictures at once; more take memory and no less time. */
const BATCH = 4;

/** Every prompt with every seed, prompts first. */
export async function drawAll(lab: Lab, painter: Painter, tick: () => void): Promise<Drawing[]> {
  const { prompts, seeds, flags, measurements, identity, output } = lab;
  const { steps, guidance, sampler } = flags;
  const entries = prompts.flatMap((prompt) => seeds.map((seed) => ({ prompt, seed })));
  const keyOf = (entry: (typeof entries)[number]) => ({
    ...{ measure: 'picture', identity, painter: painter.key, steps, guidance, sampler: sampler ?? null },
    ...entry,
  });
  const missing = entries.filter((entry) => !measurements.isKnown(keyOf(entry)));
  for (let at = 0; at < missing.length; at += BATCH) {
    const batch = missing.slice(at, at + BATCH);
    const request: GenerateRequest = { prompt: '', seed: 0, batch, steps, guidance, sampler, signal: output.io.signal };
    for await (const event of generate(await painter.model(), request)) {
      if (event.type !== 'image') continue;
      const kept = await keepPicture(event);
      await measurements.of(keyOf(batch[event.index]!), async () => kept);
      tick();
    }
  }
  const drawings: Drawing[] = [];
  for (const entry of entries) {
    const kept = await measurements.of<KeptPicture>(keyOf(entry), () => Promise.reject(new Error('not drawn')));
    const id = `${painter.name} ${entry.prompt} ${entry.seed}`;
    drawings.push({ id, ...entry, ...(await readPicture(kept)) });
  }
  return drawings;
}

async function encode({ width, height, pixels }: Image): Promise<string> {
  const { default: sharp } = await import('sharp');
  const raw = { width, height, channels: 4 } as const;
  return (await sharp(pixels, { raw }).removeAlpha().webp({ lossless: true, effort: 3 }).toBuffer()).toString('base64');
}

async function decode(picture: string): Promise<Image> {
  const { default: sharp } = await import('sharp');
  const { data, info } = await sharp(Buffer.from(picture, 'base64'))
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, pixels: new Uint8Array(data) };
}

const QUALITY = 88;

/** The pictures of a report by their ids, small enough to be embedded. */
export function pictureFinder(drawings: Iterable<Drawing>): PictureOf {
  const images = new Map([...drawings].map(({ id, image }) => [id, image]));
  return async (id) => {
    const { width, height, pixels } = images.get(id)!;
    const { default: sharp } = await import('sharp');
    const raw = { width, height, channels: 4 } as const;
    return {
      type: 'image/webp',
      bytes: await sharp(pixels, { raw }).removeAlpha().webp({ quality: QUALITY }).toBuffer(),
    };
  };
}
