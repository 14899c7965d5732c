/** What pictures are called: a template, made harmless for any file system, and no name twice. */
import { UsageError } from '@diffusion-soup/core';
import { slug } from '../picture-file.js';
import { printable } from '../text.js';
import type { Planned } from './plan.js';
import { fill, TemplateError } from './template.js';

/** Unlike for unlike pictures, since the last part is of the content's hash. */
export const DEFAULT_NAME = '{prompt}-{seed}-{id}';

export const FORMATS = ['png', 'webp', 'jpeg'] as const;
export type Format = (typeof FORMATS)[number];
const ENDINGS: Readonly<Record<Format, string>> = { png: '.png', webp: '.webp', jpeg: '.jpg' };

/** Bytes of one name in UTF-8; file systems allow 255, and a temporary name and a number need room. */
const LONGEST_NAME = 180;
const ID_LENGTH = 12;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
const FORBIDDEN = /[\x00-\x1f\x7f<>:"|?*\\/]/g;
/** Windows' devices, with any ending. */
const RESERVED = /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i;

/** A part of a path that means the same everywhere. */
export function safeName(text: string): string {
  let name = printable(text.normalize('NFC'))
    .replace(FORBIDDEN, '_')
    .replace(/^[.\s]+|[.\s]+$/g, '');
  while (Buffer.byteLength(name) > LONGEST_NAME) name = [...name].slice(0, -1).join('');
  if (name === '') return '_';
  return RESERVED.test(name) ? `_${name}` : name;
}

/** The path of one picture below the output folder, with slashes, without its ending. */
export function stemOf(template: string, planned: Omit<Planned, 'path'>): string {
  const { item, settings, soup, id } = planned;
  const values: Readonly<Record<string, string>> = {
    ...Object.fromEntries(Object.entries(item.vars).map(([name, value]) => [name, safeName(value)])),
    prompt: slug(settings.prompt),
    model: safeName(soup.title.replace(/ \+ /g, '+').replaceAll(':', '-').replaceAll('/', '-')),
    soup: soup.key.slice(0, ID_LENGTH),
    seed: String(settings.seed),
    steps: String(settings.steps),
    sampler: settings.sampler,
    guidance: String(settings.guidance),
    size: `${settings.width}x${settings.height}`,
    index: String(item.index + 1),
    id: id.slice(0, ID_LENGTH),
  };
  let path: string;
  try {
    path = fill(
      template,
      (name) => (Object.hasOwn(values, name) ? values[name] : undefined),
      () => Object.keys(values),
    );
  } catch (error) {
    if (error instanceof TemplateError) throw new UsageError(`the name ${printable(template)}: ${error.message}`);
    throw error;
  }
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..') || path.startsWith('/')) {
    throw new UsageError(`the name ${printable(template)} leads out of the folder; names may have "/", not ".."`);
  }
  return parts.map(safeName).join('/') || '_';
}

/** A path for each picture. Of pictures that would share one, each gets a part of its id; file systems may fold case. */
export function pathsFor(
  planned: readonly Omit<Planned, 'path'>[],
  stems: readonly string[],
  format: Format,
): string[] {
  const fold = (stem: string): string => stem.normalize('NFKC').toLowerCase();
  const owners = new Map<string, Set<string>>();
  stems.forEach((stem, i) => {
    const ids = owners.get(fold(stem)) ?? new Set();
    owners.set(fold(stem), ids.add(planned[i]!.id));
  });
  return stems.map((stem, i) => {
    const isShared = owners.get(fold(stem))!.size > 1;
    return `${stem}${isShared ? `-${planned[i]!.id.slice(0, ID_LENGTH)}` : ''}${ENDINGS[format]}`;
  });
}
