/** What to type for what is on the screen. */
import { printable } from '../text.js';
import { soupOf } from './engine/jobs.js';
import type { Soup } from './engine/protocol.js';
import type { Doc } from './state/state.js';

/** As a shell reads it: plain words as they are, all else between quotes. */
export const quoted = (word: string): string =>
  /^[\w./:@%+=,-]+$/.test(word) ? word : `'${printable(word).replaceAll("'", "'\\''")}'`;

/** A soup as arguments of `soup merge` and `soup generate`. */
export function modelArguments({ portions: soup, base }: Soup): string[] {
  const isPlain = soup.every(({ id }) => !/[+:\s]/.test(id));
  const models = isPlain
    ? [soup.map(({ id, weight }) => (soup.length === 1 ? id : `${id}:${weight}`)).join('+')]
    : [...soup.map(({ id }) => id), '--weights', soup.map(({ weight }) => weight).join(',')];
  const tables = soup.flatMap(({ id, blocks }) =>
    blocks
      ? [
          '--blocks',
          `${id}=${Object.entries(blocks)
            .map(([name, factor]) => `${name}:${factor}`)
            .join(',')}`,
        ]
      : [],
  );
  return [...models, ...tables, ...(base === undefined ? [] : ['--base', base])];
}

export function commandOf(doc: Doc, recipe?: string): string {
  const { prompt, negative, seed, steps, sampler, guidance } = doc.picture;
  const words = [
    ...['soup', 'generate', ...(recipe ? [recipe] : modelArguments(soupOf(doc.shards, doc.base) ?? { portions: [] }))],
    ...['-p', prompt, ...(negative ? ['-n', negative] : [])],
    ...['--seed', String(seed), '--steps', String(steps)],
    ...(sampler ? ['--sampler', sampler] : []),
    ...['--guidance', String(guidance)],
  ];
  return words.map(quoted).join(' ');
}
