/** What a picture, a recipe or a merged file says of how it was made. All of it is a stranger's: checked, and cut to size. */
import {
  bytesSource,
  CheckpointError,
  decodeMetadata,
  formatWeight,
  openSafetensors,
  parseConfigJson,
  parseFraction,
  parseInfotext,
  parseRecipe,
  printable,
  type Recipe,
  readPngText,
  resolveSampler,
  SoupError,
} from '@diffusion-soup/core';
import type { PictureSettings, Portion, Restored } from '../messages.js';

const PNG = [0x89, 0x50, 0x4e, 0x47];
const MOST_RECIPE_BYTES = 2 ** 20;
const LONGEST_PROMPT = 20_000;
const MOST_PORTIONS = 100;

type Json = Readonly<Record<string, unknown>>;

export async function restore(name: string, bytes: Uint8Array): Promise<Restored> {
  if (PNG.every((byte, i) => bytes[i] === byte)) return fromPng(name, bytes);
  if (/\.safetensors$/i.test(name)) return fromMerged(name, bytes);
  if (bytes.byteLength > MOST_RECIPE_BYTES) {
    throw new CheckpointError(`${printable(name)} is neither a PNG nor a recipe: it has ${bytes.byteLength} bytes.`);
  }
  const text = new TextDecoder().decode(bytes);
  return { picture: {}, ...fromRecipe(parseRecipe(text, { file: name })) };
}

async function fromPng(name: string, bytes: Uint8Array): Promise<Restored> {
  const { texts } = await readPngText(bytesSource(bytes, name));
  const [ours, infotext] = [texts.get('diffusion_soup'), texts.get('parameters')];
  if (ours !== undefined) {
    const soup = parseConfigJson(ours, name) as unknown;
    if (isObject(soup)) return { picture: pictureOf(object(soup.settings)), ...fromSoup(soup) };
  }
  if (infotext === undefined) {
    throw new CheckpointError(`${printable(name)} does not say how it was made. Drop a picture that was saved here, or by \
\`soup generate\`.`);
  }
  const { prompt, negativePrompt: negative, settings } = parseInfotext(infotext);
  const [width, height] = (settings.get('Size') ?? '').split('x').map(Number);
  const [steps, guidance] = [settings.get('Steps'), settings.get('CFG scale')].map(Number);
  const [seed, sampler] = [settings.get('Seed'), settings.get('Sampler')];
  return { picture: pictureOf({ prompt, negative, seed, steps, guidance, sampler, width, height }), portions: [] };
}

async function fromMerged(name: string, bytes: Uint8Array): Promise<Restored> {
  const { metadata } = await openSafetensors(bytesSource(bytes, name));
  const { soup } = decodeMetadata(metadata);
  if (!soup) throw new CheckpointError(`${printable(name)} does not say what it was merged of.`);
  return { picture: {}, ...fromSoup(soup) };
}

/** Of a recipe, what a page can do: a linear average, with block weights. */
function fromRecipe({ method, ingredients, base }: Recipe): Omit<Restored, 'picture'> {
  if (method !== 'linear') {
    throw new CheckpointError(`The recipe asks for the method ${method}; a page blends by the method linear only.`);
  }
  return {
    portions: ingredients.map(({ model, weight, blocks, root }) => ({
      name: nameOf(model),
      weight: formatWeight(weight),
      ...(typeof blocks === 'object' && {
        blocks: Object.fromEntries(Object.entries(blocks).map(([name, factor]) => [name, formatWeight(factor)])),
      }),
      ...(root !== undefined && { root }),
    })),
    ...(base !== undefined && { base: nameOf(base) }),
  };
}

/** The recipe that travels with pictures and merged files. */
function fromSoup({ ingredients, base }: Json): Omit<Restored, 'picture'> {
  const list = Array.isArray(ingredients) ? ingredients.slice(0, MOST_PORTIONS).filter(isObject) : [];
  const baseName = typeof base === 'string' ? base : object(base).name;
  return {
    portions: list.flatMap(({ name, weight, blocks, root }) => {
      const share = fractionText(weight);
      if (typeof name !== 'string' || share === undefined) return [];
      const table = Object.entries(object(blocks)).flatMap(([block, factor]) => {
        const text = fractionText(factor);
        return text === undefined ? [] : [[printable(block, 20), text] as const];
      });
      const portion: Portion = {
        name: nameOf(name),
        weight: share,
        ...(table.length > 0 && { blocks: Object.fromEntries(table) }),
      };
      return [{ ...portion, ...(typeof root === 'string' && /^[0-9a-f]{64}$/.test(root) && { root }) }];
    }),
    ...(typeof baseName === 'string' && { base: nameOf(baseName) }),
  };
}

/** Models are called by the last part of a path. */
const nameOf = (model: string): string => printable(model.split(/[/\\]/).filter(Boolean).at(-1) ?? model, 200);

function pictureOf(json: Json): Partial<PictureSettings> {
  const { prompt, negative, seed, steps, sampler, guidance, width, height } = json;
  const text = (value: unknown) => (typeof value === 'string' ? value.slice(0, LONGEST_PROMPT) : undefined);
  const whole = (value: unknown, most: number) =>
    Number.isInteger(value) && Number(value) >= 1 && Number(value) <= most ? Number(value) : undefined;
  const isNumber = typeof guidance === 'number' && guidance >= 0 && guidance <= 1000;
  const all = {
    prompt: text(prompt),
    negative: text(negative),
    seed: /^\d{1,20}$/.test(String(seed)) ? BigInt.asUintN(64, BigInt(String(seed))).toString() : undefined,
    steps: whole(steps, 1000),
    sampler: samplerOf(sampler),
    guidance: isNumber ? guidance : undefined,
    width: whole(width, 16384),
    height: whole(height, 16384),
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** By our name or by A1111's; another program's own is left out. */
function samplerOf(name: unknown): PictureSettings['sampler'] | undefined {
  try {
    return typeof name === 'string' ? resolveSampler(name) : undefined;
  } catch (error) {
    if (error instanceof SoupError) return undefined;
    throw error;
  }
}

function fractionText(value: unknown): string | undefined {
  if (typeof value !== 'number' && typeof value !== 'string') return undefined;
  try {
    return formatWeight(parseFraction(value));
  } catch (error) {
    if (error instanceof SoupError) return undefined;
    throw error;
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const object = (value: unknown): Json => (isObject(value) ? value : {});
