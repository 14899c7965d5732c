/**
 * What the shipped shards were trained on, drawn again from the Iconify packages of the emoji sets. The packages are not
 * installed with this program: they are only needed to look for copies.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { type Image, UsageError } from '@diffusion-soup/core';
import { sha256Of } from '../batch/address.js';
import type { Size } from '../flags.js';
import type { Training, TrainingPicture } from './training.js';

/** Shard to package. */
export const EMOJI_SETS: Readonly<Record<string, string>> = {
  noto: '@iconify-json/noto',
  twemoji: '@iconify-json/twemoji',
  fluent: '@iconify-json/fluent-emoji-flat',
  ink: '@iconify-json/fluent-emoji-high-contrast',
};

interface Icon {
  readonly body: string;
  readonly left?: number;
  readonly top?: number;
  readonly width?: number;
  readonly height?: number;
  readonly hidden?: boolean;
}

interface IconSet {
  readonly icons: Readonly<Record<string, Icon>>;
  readonly width?: number;
  readonly height?: number;
}

/** The drawing's side as a part of the picture's: 112 of 128 pixels, the rest is white. */
const DRAWING = 112 / 128;

/**
 * The shards were trained on 1,232 concepts that all four sets have. By name the sets have 1,563 in common; which 331 were
 * left out is not written down. The tokenizer, whose words were merged by how often the captions have them, lacks "button",
 * "japanese", "thirty", "keycap" and "flag": so names with these and with people, and long ones, count neither as trained
 * on nor as held out.
 */
const DOUBTFUL = new RegExp(
  `(?:^|-)(?:${[
    'man|men|woman|women|person|people|boy|girl|family|couple|kiss|hair|skin|medium',
    'button|japanese|thirty|oclock|flag|keycap|input|sign|blood|digit',
  ].join('|')})(?:-|$)|\\d`,
);
const MOST_WORDS = 4;

const isDoubtful = (name: string): boolean => DOUBTFUL.test(name) || name.split('-').length > MOST_WORDS;

/** Variants of drawings that were trained on, single letters, and parts of flags. */
const NO_NEW_DRAWING = /skin-tone|^flag-|^letter-|(?:^|-)(?:light|dark|medium)(?:-|$)|^[^a-z]*$/;

export async function emojiTraining(names: readonly string[], size: Size): Promise<Training> {
  const all = new Map<string, IconSet>();
  for (const [shard, name] of Object.entries(EMOJI_SETS)) all.set(shard, await iconSet(name));
  const common = commonNames([...all.values()]);
  const members = common.filter((name) => !isDoubtful(name));
  const sets = names.map((set) => {
    const icons = all.get(set)!;
    const draw = (name: string): TrainingPicture => pictureOf(set, name, icons, size);
    return { name: set, members: members.map(draw), heldOut: heldOutNames(icons, common).map(draw) };
  });
  return {
    sets,
    notes: [
      'The training pictures are drawn again from the Iconify packages: 112 px in the middle of 128 px of white, as for ' +
        'the training, but not by the same program.',
      `By name the four sets have ${common.length} concepts in common, of which 1,232 were trained on. Which is not ` +
        `recorded: the ${members.length} that are beyond doubt count as members here, the other ` +
        `${common.length - members.length} as nothing.`,
      'Held out are drawings of the same set whose name another set lacks, so that no shard can have been trained on ' +
        'them. They are newer or rarer things than the members, and few in fluent and ink.',
    ],
  };
}

/** Names that all sets have, sorted. */
export function commonNames(sets: readonly IconSet[]): string[] {
  const [first, ...others] = sets;
  return Object.keys(first!.icons)
    .filter((name) => others.every(({ icons }) => Object.hasOwn(icons, name)))
    .sort();
}

function heldOutNames({ icons }: IconSet, common: readonly string[]): string[] {
  const shared = new Set(common);
  const drawn = new Set(common.map((name) => icons[name]!.body)); // some drawings have two names
  return Object.entries(icons)
    .filter(
      ([name, { body, hidden }]) => !shared.has(name) && !hidden && !drawn.has(body) && !NO_NEW_DRAWING.test(name),
    )
    .map(([name]) => name)
    .sort();
}

function pictureOf(set: string, name: string, icons: IconSet, size: Size): TrainingPicture {
  const svg = svgOf(icons.icons[name]!, icons, Math.round(Math.min(size.width, size.height) * DRAWING));
  return {
    ...{ set, caption: name.replaceAll('-', ' '), id: sha256Of({ svg, ...size }) },
    image: () => render(svg, size),
  };
}

function svgOf(icon: Icon, icons: IconSet, side: number): string {
  const { left = 0, top = 0, width = icons.width ?? 16, height = icons.height ?? 16 } = icon;
  const box = `viewBox="${left} ${top} ${width} ${height}" width="${side}" height="${side}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" ${box}>${icon.body}</svg>`;
}

async function render(svg: string, { width, height }: Size): Promise<Image> {
  const { default: sharp } = await import('sharp');
  const { data } = await sharp(Buffer.from(svg))
    .flatten({ background: '#fff' })
    .resize(width, height, { fit: 'contain', withoutEnlargement: true, background: '#fff' })
    .toColourspace('srgb')
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  return { width, height, pixels: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/** From where this program is installed, or from where it is run. */
async function iconSet(name: string): Promise<IconSet> {
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      return JSON.parse(await readFile(createRequire(from).resolve(`${name}/icons.json`), 'utf8')) as IconSet;
    } catch {
      // the next place
    }
  }
  const packages = Object.values(EMOJI_SETS).join(' ');
  throw new UsageError(
    `the pictures that the shipped shards were trained on are drawn from ${name}, which is not installed. ` +
      `Install the sets with "npm install --no-save ${packages}", or give pictures with --training FOLDER.`,
    { package: name },
  );
}
