/** The soups of a batch: each looked up, hashed by its content and checked once, however many pictures are of it. */
import { createHash } from 'node:crypto';
import {
  type CookedPart,
  checkBlend,
  cookPart,
  formatFraction,
  type Gpu,
  type ModelFacts,
  type ModelFolder,
  UsageError,
  type WeightedComponent,
} from '@diffusion-soup/core';
import { openHashCache } from '../hash/cache.js';
import { hashModel } from '../hash/model.js';
import { checkTokenizer, type Kitchen, type NamedModel, type Order, openKitchen } from '../kitchen.js';
import type { Output } from '../output.js';
import type { Recipe } from '../recipe.js';
import { orderOf } from '../recipe-flags.js';
import { sha256Of } from './address.js';
import type { SoupSpec } from './item.js';

export interface Soup {
  /** Hash of what goes in and how: tensors, weights, method. */
  readonly key: string;
  /** Soups of one family are made of the same files, and become one another by other weights alone. */
  readonly family: string;
  readonly order: Order;
  readonly recipe: Recipe;
  readonly title: string;
  /** What settling a request needs. */
  readonly facts: ModelFacts;
  /** Of the weights on disk. */
  readonly bytes: number;
}

export interface SoupsOptions {
  readonly output: Output;
  /** Where computed methods are checked; without one only names, configs and hashes are. */
  readonly gpu?: Gpu;
}

export type SoupOf = (spec: SoupSpec) => Promise<Soup>;

/** Opens soups, each once. A soup that cannot be is refused again each time it is asked for. */
export function soupOpener({ output, gpu }: SoupsOptions): SoupOf {
  const said = new Set<string>();
  const quiet: Output = {
    ...output,
    note(text) {
      if (!said.has(text)) output.note(text);
      said.add(text);
    },
  };
  const hashes = hasher(output);
  const soups = new Map<string, Promise<Soup>>();
  const checked = new Map<string, Promise<void>>();
  return (spec) => {
    const name = sha256Of(spec);
    let soup = soups.get(name);
    if (!soup) {
      soup = open(spec, { output: quiet, gpu, hashes, checked });
      soup.catch(() => undefined); // whoever asks gets it
      soups.set(name, soup);
    }
    return soup;
  };
}

interface Context extends SoupsOptions {
  readonly hashes: Hasher;
  readonly checked: Map<string, Promise<void>>;
}

async function open(spec: SoupSpec, { output, gpu, hashes, checked }: Context): Promise<Soup> {
  const words = spec.recipe === undefined ? (spec.model ?? []) : [spec.recipe];
  const order = await orderOf(words, { weights: spec.weights, base: spec.base, normalize: true }, output);
  const kitchen = await openKitchen(order, output);
  try {
    checkTokenizer(kitchen);
    const { key, family, bytes } = await contentOf(kitchen, hashes);
    if (gpu) {
      let check = checked.get(family);
      if (!check) {
        check = checkParts(gpu, kitchen);
        checked.set(family, check);
      }
      await check;
    }
    const { recipe, title } = kitchen;
    return { key, family, order, recipe, title, facts: await factsOf(kitchen), bytes };
  } finally {
    await kitchen.close();
  }
}

/** Every part's headers and shapes; no weight is read. */
async function checkParts(gpu: Gpu, { open }: Kitchen): Promise<void> {
  for (const name of ['unet', 'vae', 'text_encoder'] as const) {
    let part: CookedPart | undefined;
    try {
      part = await cookPart(gpu, open, name);
      if (part) checkBlend(part.blend);
    } finally {
      await part?.close();
    }
  }
}

async function factsOf({ open, title }: Kitchen): Promise<ModelFacts> {
  const models = [...open.ingredients.map(({ folder }) => folder), ...(open.base ? [open.base] : [])];
  const having = (part: WeightedComponent | 'scheduler'): ModelFolder => {
    const lent = part === 'scheduler' ? undefined : open.parts?.[part];
    if (typeof lent === 'object') return lent;
    const found = models.find(({ components }) => components.has(part));
    if (found) return found;
    throw new UsageError(`No ${part} in ${title}. Name the model that the fine-tunes started from with base.`, {
      part,
    });
  };
  const vae = await having('vae').vaeConfig();
  return {
    unet: { config: await having('unet').unetConfig() },
    vae: { factor: 2 ** (vae.blockOutChannels.length - 1) },
    textEncoder: { config: await having('text_encoder').textEncoderConfig() },
    scheduler: await having('scheduler').schedulerConfig(),
  };
}

type Hasher = (path: string, folder?: ModelFolder) => Promise<{ readonly hash: string; readonly bytes: number }>;

/** Configs and vocabularies, which change pictures as weights do. */
const TEXTS = [
  ...['unet/config.json', 'vae/config.json', 'text_encoder/config.json', 'scheduler/scheduler_config.json'],
  ...['vocab.json', 'merges.txt', 'tokenizer.json', 'tokenizer_config.json', 'special_tokens_map.json'].map(
    (name) => `tokenizer/${name}`,
  ),
];

function hasher(output: Output): Hasher {
  const cache = openHashCache(output.io.env);
  const known = new Map<string, ReturnType<Hasher>>();
  const compute: Hasher = async (path, folder) => {
    const onProgress = (done: number, total: number) =>
      output.status(`hashing ${path}: ${Math.floor((100 * done) / Math.max(1, total))}%`);
    const { root, bytes } = await hashModel(path, { cache, onProgress, signal: output.io.signal });
    const texts = createHash('sha256').update(root);
    for (const name of folder ? TEXTS : []) texts.update(`\0${name}\0`).update((await folder?.text(name)) ?? '');
    return { hash: texts.digest('hex'), bytes };
  };
  return (path, folder) => {
    let hash = known.get(path);
    if (!hash) {
      hash = compute(path, folder);
      known.set(path, hash);
    }
    return hash;
  };
}

/** Identity of a soup: two of one key draw the same pictures. */
async function contentOf(kitchen: Kitchen, hashes: Hasher) {
  const { order, ingredients, base, open, loras } = kitchen;
  let bytes = 0;
  const of = async ({ path, folder }: NamedModel) => {
    const found = await hashes(path, folder);
    bytes += found.bytes;
    return found.hash;
  };
  const baked = async (list: Kitchen['loras'] = []) => {
    const hashed: string[] = [];
    for (const { path, strength } of list) hashed.push(`${(await hashes(path)).hash}:${strength}`);
    return hashed;
  };
  const parts: { hash: string; loras: string[]; weight: string; blocks: unknown }[] = [];
  for (const one of ingredients) {
    const blocks = typeof one.blocks === 'object' ? blockTexts(one.blocks) : one.blocks;
    parts.push({ hash: await of(one), loras: await baked(one.loras), weight: formatFraction(one.weight), blocks });
  }
  const components: [string, string][] = [];
  for (const [part, from] of Object.entries(open.parts ?? {})) {
    const lender = [...ingredients, ...kitchen.sources, ...(base ? [base] : [])].find(({ folder }) => folder === from);
    if (lender) components.push([part, await of(lender)]);
  }
  const { method = 'linear', parameters = {}, normalize = true, dtype, allowNonFinite = false } = order;
  const rest = {
    ...{ method, normalize, dtype, allowNonFinite, components },
    parameters: Object.entries(parameters).map(([name, value]) => [
      name,
      typeof value === 'object' ? formatFraction(value) : String(value),
    ]),
    base: base && (await of(base)),
    loras: await baked(loras),
  };
  // A sum has no order; SLERP goes from one end to the other.
  const sorted = [...parts].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return {
    bytes,
    key: sha256Of({ ...rest, parts: method === 'slerp' ? parts : sorted }),
    family: sha256Of({ ...rest, parts: parts.map(({ hash, loras }) => ({ hash, loras })) }),
  };
}

const blockTexts = (table: Readonly<Record<string, Parameters<typeof formatFraction>[0] | number | string>>) =>
  Object.fromEntries(
    Object.entries(table).map(([name, value]) => [
      name,
      typeof value === 'object' ? formatFraction(value) : String(value),
    ]),
  );
