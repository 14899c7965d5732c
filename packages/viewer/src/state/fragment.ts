/** A recipe as the readable end of a link: #soup=noto:2+ink:1&prompt=red%20apple&seed=42. */
import { resolveSampler, type SamplerName } from '@diffusion-soup/core';
import type { PictureSettings, Portion, Restored } from '../messages.js';
import { blendOf, type Doc, parseSeed } from './document.js';
import { parseWeight } from './ingredients.js';

/** What has a meaning here is escaped; the rest stays readable. */
const escaped = (text: string): string => encodeURIComponent(text).replaceAll('%2F', '/');

export function formatFragment(doc: Doc): string {
  const { portions, base } = blendOf(doc);
  const { prompt, negative, seed, steps, sampler, guidance, width, height } = doc.picture;
  const fields: [string, string | undefined][] = [
    ['soup', portions.map(({ name, weight }) => `${escaped(name)}:${weight}`).join('+')],
    ...portions
      .filter(({ blocks }) => blocks)
      .map(({ name, blocks }): [string, string] => [
        `blocks.${escaped(name)}`,
        Object.entries(blocks!)
          .map(([block, factor]) => `${escaped(block)}:${factor}`)
          .join(','),
      ]),
    ['base', base && escaped(base)],
    ['prompt', escaped(prompt)],
    ['negative', negative && escaped(negative)],
    ['seed', seed],
    ['steps', String(steps)],
    ['sampler', sampler],
    ['guidance', String(guidance)],
    ['size', width && height ? `${width}x${height}` : undefined],
  ];
  return `#${fields.flatMap(([key, value]) => (value ? [`${key}=${value}`] : [])).join('&')}`;
}

/** Undefined when there is no recipe in it. What cannot be read is left out: links are cut off and mistyped. */
export function parseFragment(fragment: string): Restored | undefined {
  const fields = new Map(
    fragment
      .replace(/^#/, '')
      .split('&')
      .map((field): [string, string] => {
        const at = field.indexOf('=');
        return at < 0 ? [field, ''] : [field.slice(0, at), field.slice(at + 1)];
      }),
  );
  const soup = fields.get('soup');
  if (!soup) return undefined;
  const portions = soup.split('+').flatMap((part): Portion[] => {
    const [, name = '', weight = '1'] = /^(.*?)(?::([^:]*))?$/.exec(part) ?? [];
    const plain = unescaped(name);
    if (!plain || !parseWeight(weight)) return [];
    const blocks = parseBlocks(fields.get(`blocks.${name}`));
    return [{ name: plain, weight, ...(blocks && { blocks }) }];
  });
  const base = unescaped(fields.get('base'));
  return { portions, picture: parsePicture(fields), ...(base && { base }) };
}

function parseBlocks(text?: string): Record<string, string> | undefined {
  const entries = text?.split(',').flatMap((pair): [string, string][] => {
    const at = pair.lastIndexOf(':');
    const name = unescaped(pair.slice(0, at));
    const factor = pair.slice(at + 1);
    return at > 0 && name && parseWeight(factor) ? [[name, factor]] : [];
  });
  return entries && entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

function parsePicture(fields: ReadonlyMap<string, string>): Partial<PictureSettings> {
  const prompt = unescaped(fields.get('prompt'));
  const negative = unescaped(fields.get('negative'));
  const seed = parseSeed(fields.get('seed') ?? '');
  const steps = within(fields.get('steps'), 1, 1000);
  const guidance = within(fields.get('guidance'), 0, 100);
  const sampler = samplerOf(unescaped(fields.get('sampler')));
  const [, width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(fields.get('size') ?? '') ?? [];
  return {
    ...(prompt !== undefined && { prompt }),
    ...(negative !== undefined && { negative }),
    ...(seed !== undefined && { seed }),
    ...(steps !== undefined && { steps: Math.round(steps) }),
    ...(guidance !== undefined && { guidance }),
    ...(sampler !== undefined && { sampler }),
    ...(Number(width) > 0 && Number(height) > 0 && { width: Number(width), height: Number(height) }),
  };
}

function within(text: string | undefined, least: number, most: number): number | undefined {
  const value = text ? Number(text) : Number.NaN;
  return value >= least && value <= most ? value : undefined;
}

function samplerOf(name: string | undefined): SamplerName | undefined {
  try {
    return name ? resolveSampler(name) : undefined;
  } catch {
    return undefined;
  }
}

function unescaped(text?: string): string | undefined {
  try {
    return text === undefined ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
