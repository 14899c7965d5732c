/** How the picture is drawn: the fields beside the soup, each with how it is typed and how it is turned. */
import { resolveSampler, type SamplerName, samplerNames, UsageError } from '@diffusion-soup/core';

export interface PictureSettings {
  readonly prompt: string;
  readonly negative: string;
  /** 64 bits. */
  readonly seed: bigint;
  readonly steps: number;
  /** Undefined: the model's own. */
  readonly sampler?: SamplerName;
  readonly guidance: number;
}

export type Field = keyof PictureSettings;

export const FIELDS = ['prompt', 'negative', 'seed', 'steps', 'sampler', 'guidance'] as const satisfies Field[];
export const isText = (field: Field): field is 'prompt' | 'negative' => field === 'prompt' || field === 'negative';

export const FIRST_PICTURE: PictureSettings = {
  prompt: 'red apple',
  negative: '',
  seed: 42n,
  steps: 20,
  guidance: 7,
};

const MOST_STEPS = 1000;
const MOST_GUIDANCE = 100;
const SEEDS = 2n ** 64n;
const OWN = 'own';
const SAMPLERS = [undefined, ...samplerNames];

const within = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

/** One step of an arrow key, or ten with Shift. */
export function turnedField(settings: PictureSettings, field: Field, by: 1 | -1, coarse: boolean): PictureSettings {
  const times = by * (coarse ? 10 : 1);
  switch (field) {
    case 'seed':
      return { ...settings, seed: BigInt.asUintN(64, settings.seed + BigInt(times)) };
    case 'steps':
      return { ...settings, steps: within(settings.steps + times, 1, MOST_STEPS) };
    case 'guidance':
      return { ...settings, guidance: within(Math.round(settings.guidance * 2 + times) / 2, 0, MOST_GUIDANCE) };
    case 'sampler': {
      const at = SAMPLERS.indexOf(settings.sampler);
      return withSampler(settings, SAMPLERS[(at + by + SAMPLERS.length) % SAMPLERS.length]);
    }
    default:
      return settings;
  }
}

function withSampler({ sampler: _, ...settings }: PictureSettings, sampler: SamplerName | undefined): PictureSettings {
  return sampler === undefined ? settings : { ...settings, sampler };
}

/** What was typed into a field. */
export function typedField(settings: PictureSettings, field: Field, typed: string): PictureSettings {
  const text = typed.trim();
  switch (field) {
    case 'prompt':
    case 'negative':
      return { ...settings, [field]: text };
    case 'seed': {
      const seed = /^\d{1,20}$/.test(text) ? BigInt(text) : SEEDS;
      if (seed < SEEDS) return { ...settings, seed };
      throw new UsageError(`"${text}" is no seed; type a whole number from 0 to ${SEEDS - 1n}`);
    }
    case 'steps': {
      const steps = /^\d{1,4}$/.test(text) ? Number(text) : 0;
      if (steps >= 1 && steps <= MOST_STEPS) return { ...settings, steps };
      throw new UsageError(`"${text}" is no number of steps; type one from 1 to ${MOST_STEPS}`);
    }
    case 'guidance': {
      const guidance = /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) : Number.NaN;
      if (guidance <= MOST_GUIDANCE) return { ...settings, guidance };
      throw new UsageError(`"${text}" is no guidance; type a number from 0 to ${MOST_GUIDANCE}`);
    }
    case 'sampler':
      return withSampler(settings, text === '' || text === OWN ? undefined : resolveSampler(text));
  }
}

export function shownField(settings: PictureSettings, field: Field): string {
  if (field === 'sampler') return settings.sampler ?? OWN;
  return String(settings[field]);
}

/** What editing begins with. */
export const editedField = (settings: PictureSettings, field: Field): string =>
  field === 'sampler' ? (settings.sampler ?? '') : String(settings[field]);
