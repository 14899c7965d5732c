/** The models that the page has named, opened: their configs and headers, and no weights. */
import {
  blendOf,
  blockNames,
  type Component,
  checkBlend,
  closeWeights,
  type ModelFolder,
  SoupError,
  sameConfig,
  samePrediction,
  UsageError,
  type WeightedComponent,
  type Weights,
} from '@diffusion-soup/core';
import type { KnownModel, ModelReference } from '../messages.js';
import { openPlace, type PlacesOptions } from './places.js';

export const WEIGHTED = ['unet', 'vae', 'text_encoder'] as const satisfies WeightedComponent[];

const CONFIGS = {
  unet: (folder: ModelFolder) => folder.unetConfig(),
  vae: (folder: ModelFolder) => folder.vaeConfig(),
  text_encoder: (folder: ModelFolder) => folder.textEncoderConfig(),
} as const;

interface Shelved {
  readonly reference: ModelReference;
  readonly folder: Promise<ModelFolder>;
}

export class Library {
  #models = new Map<string, Shelved>();

  constructor(private readonly options: PlacesOptions) {}

  /** Replaces the list. Models that the new list has too stay open. */
  async setModels(models: readonly ModelReference[]): Promise<KnownModel[]> {
    const before = this.#models;
    this.#models = new Map(
      models.map((reference) => {
        const known = before.get(reference.name);
        return [reference.name, known && isSame(known.reference, reference) ? known : this.#open(reference)];
      }),
    );
    const found: (KnownModel & { readonly folder?: ModelFolder })[] = [];
    const sound: ModelFolder[] = [];
    for (const { name } of models) found.push(await this.#known(name, sound));
    // A shard has no VAE of its own: pixels are counted by the one that is there.
    const vae = sound.find(({ components }) => components.has('vae'));
    return Promise.all(
      found.map(async ({ folder, ...known }) => ({ ...known, size: folder ? await sizeOf(folder, vae) : 0 })),
    );
  }

  folder(name: string): Promise<ModelFolder> {
    const model = this.#models.get(name);
    if (!model) throw new UsageError(`There is no model called "${name}" here. Add it first.`, { name });
    return model.folder;
  }

  #open(reference: ModelReference): Shelved {
    const folder = openPlace(reference.place, this.options);
    folder.catch(() => {}); // told of where it is asked for
    return { reference, folder };
  }

  /** `sound` are the models before it that can be used; it is added to them if it can. */
  async #known(name: string, sound: ModelFolder[]): Promise<KnownModel & { readonly folder?: ModelFolder }> {
    try {
      const folder = await this.folder(name);
      const bytes = await bytesOf(folder);
      for (const other of sound.slice(0, 1)) await checkTogether(other, folder);
      sound.push(folder);
      return { name, bytes, size: 0, blocks: await blocksOf(folder), folder };
    } catch (error) {
      if (!(error instanceof SoupError)) throw error;
      // Opened anew when the list is named again: the connection may be back.
      this.#models.delete(name);
      return { name, bytes: 0, size: 0, blocks: [], problem: error.message };
    }
  }
}

const isSame = (a: ModelReference, b: ModelReference): boolean =>
  a.place === b.place ||
  (['pantry', 'url', 'hub'].includes(a.place.type) && JSON.stringify(a.place) === JSON.stringify(b.place));

const has = ({ components }: ModelFolder, part: Component): boolean => components.has(part);

async function withWeights<T>(
  folders: readonly ModelFolder[],
  part: WeightedComponent,
  use: (weights: Weights[]) => T,
): Promise<T | undefined> {
  const opened: Weights[] = [];
  try {
    for (const folder of folders) {
      const weights = has(folder, part) ? await folder.weights(part) : undefined;
      if (!weights) return undefined;
      opened.push(weights);
    }
    return use(opened);
  } finally {
    await Promise.all(opened.map(closeWeights));
  }
}

async function bytesOf(folder: ModelFolder): Promise<number> {
  let bytes = 0;
  for (const part of WEIGHTED) {
    bytes +=
      (await withWeights([folder], part, ([weights]) =>
        [...weights!.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
      )) ?? 0;
  }
  return bytes;
}

/** Of a picture's side in pixels; 0 where no model says how many make a latent. */
async function sizeOf(folder: ModelFolder, other: ModelFolder | undefined): Promise<number> {
  const vae = has(folder, 'vae') ? folder : other;
  if (!vae || !has(folder, 'unet')) return 0;
  const { blockOutChannels } = await vae.vaeConfig();
  return (await folder.unetConfig()).sampleSize * 2 ** (blockOutChannels.length - 1);
}

const blocksOf = async (folder: ModelFolder): Promise<string[]> =>
  has(folder, 'unet') ? blockNames(await folder.unetConfig()) : [];

/** Throws what keeps two models from being averaged, for the parts that both have. */
async function checkTogether(a: ModelFolder, b: ModelFolder): Promise<void> {
  await samePrediction([a, b]);
  for (const part of WEIGHTED) {
    if (!has(a, part) || !has(b, part)) continue;
    await sameConfig<object>([a, b], part, CONFIGS[part]);
    await withWeights([a, b], part, (weights) => checkBlend(blendOf(weights)));
  }
}
