/** The names of samplers: ours, diffusers' classes, A1111's labels and ComfyUI's, and how to get from one to another. */

import type { SchedulerConfig } from '../checkpoint/configs.js';
import { printable, printableValue } from '../checkpoint/printable.js';
import { ConfigError, UsageError } from '../errors.js';

/** Label: what A1111 calls it. Karras: whether diffusers' class has use_karras_sigmas. */
const FAMILIES = {
  ddim: { className: 'DDIMScheduler', label: 'DDIM', karras: false },
  euler: { className: 'EulerDiscreteScheduler', label: 'Euler', karras: true },
  'euler-ancestral': { className: 'EulerAncestralDiscreteScheduler', label: 'Euler a', karras: false },
  heun: { className: 'HeunDiscreteScheduler', label: 'Heun', karras: true },
  lms: { className: 'LMSDiscreteScheduler', label: 'LMS', karras: true },
  'dpmpp-2m': { className: 'DPMSolverMultistepScheduler', label: 'DPM++ 2M', karras: true },
  pndm: { className: 'PNDMScheduler', label: 'PLMS', karras: false },
  unipc: { className: 'UniPCMultistepScheduler', label: 'UniPC', karras: true },
} as const;

export type SamplerFamily = keyof typeof FAMILIES;
type KarrasFamily = 'euler' | 'heun' | 'lms' | 'dpmpp-2m' | 'unipc';
export type SamplerName = SamplerFamily | `${KarrasFamily}-karras`;

const families = Object.keys(FAMILIES) as SamplerFamily[];

export const samplerNames: readonly SamplerName[] = families.flatMap((family) =>
  FAMILIES[family].karras ? [family, `${family}-karras` as SamplerName] : [family],
);

export const isKarras = (name: SamplerName): boolean => name.endsWith('-karras');
export const familyOf = (name: SamplerName): SamplerFamily => name.replace(/-karras$/, '') as SamplerFamily;

/** "DPM++ 2M Karras" for dpmpp-2m-karras: what metadata calls the sampler. */
export const a1111Name = (name: SamplerName): string =>
  FAMILIES[familyOf(name)].label + (isKarras(name) ? ' Karras' : '');

/** Case, punctuation and the spelling of ++ do not tell two samplers apart. */
const key = (name: string): string =>
  name
    .toLowerCase()
    .replaceAll('++', 'pp')
    .replace(/[^a-z0-9]/g, '');

const aliases = new Map<string, SamplerName>(
  samplerNames.flatMap((name) => [
    [key(name), name],
    [key(a1111Name(name)), name],
    [key(`k_${name}`), name],
    [key(FAMILIES[familyOf(name)].className + (isKarras(name) ? 'Karras' : '')), name],
  ]),
);
aliases.set('dpmsolverpp', 'dpmpp-2m');
aliases.set('dpmsolver', 'dpmpp-2m');

/** What is longer is no misspelling of a name. */
const LONGEST_NAME = 64;

/** The sampler that `name` means, in any of the spellings above. */
export function resolveSampler(name: string): SamplerName {
  const found = aliases.get(key(name));
  if (found) return found;
  const near = name.length > LONGEST_NAME ? undefined : nearest(key(name), [...aliases.keys()]);
  const hint = near === undefined ? '' : ` Did you mean ${aliases.get(near)}?`;
  throw new UsageError(
    `there is no sampler "${printable(name)}".${hint} The samplers are ${samplerNames.join(', ')}.`,
    {
      found: name,
      expected: samplerNames,
    },
  );
}

/** The sampler that a model's makers chose; a class that is not implemented is refused, for another may not fit. */
export function samplerForClass(className: string | undefined, config: SchedulerConfig): SamplerName {
  if (className === undefined) return 'ddim';
  const family = families.find((name) => FAMILIES[name].className === className);
  const choose = `Choose a sampler instead: ${samplerNames.join(', ')}.`;
  if (!family) {
    throw new ConfigError(`the model asks for ${printable(className)}, which is not implemented. ${choose}`, {
      key: '_class_name',
      found: className,
    });
  }
  const algorithm = config.raw?.algorithm_type ?? 'dpmsolver++';
  if (family === 'dpmpp-2m' && algorithm !== 'dpmsolver++' && algorithm !== 'deis') {
    throw new ConfigError(
      `the model asks for ${className} with algorithm_type ${printableValue(algorithm)}; only "dpmsolver++" is implemented. ${choose}`,
      { key: 'algorithm_type', found: algorithm },
    );
  }
  return FAMILIES[family].karras && config.useKarrasSigmas ? (`${family}-karras` as SamplerName) : family;
}

/** The nearest word by edits, if at most a third of the letters would have to change. */
function nearest(word: string, words: readonly string[]): string | undefined {
  const distances = words.map((other) => ({ other, edits: editDistance(word, other) }));
  const best = distances.reduce((a, b) => (b.edits < a.edits ? b : a));
  return best.edits <= Math.max(word.length, best.other.length) / 3 ? best.other : undefined;
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, row[j] + 1, next[j - 1] + 1));
    }
    row = next;
  }
  return row[b.length];
}
