/** What the lab's commands have in common: their options, the models by content, what was measured before. */
import { join } from 'node:path';
import { formatFraction, type Gpu, type Json, type Precision, resolveSampler, UsageError } from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { soupOpener } from '../batch/soups.js';
import {
  type CommonFlags,
  collect,
  parseBytes,
  parseNumber,
  parseSeed,
  wholeNumber,
  withCommonFlags,
} from '../flags.js';
import { adapterName, type OpenGpu, openGpuFor } from '../gpu.js';
import { type Kitchen, openKitchen } from '../kitchen.js';
import { hashModels, type ModelHashes } from '../merging/hashes.js';
import { modelsOf } from '../merging/ledger.js';
import type { Output } from '../output.js';
import { timeLeft } from '../progress.js';
import { isRecipeFile, readTextFile } from '../recipe-file.js';
import { orderOf } from '../recipe-flags.js';
import { version } from '../version.js';
import { type Measurements, openMeasurements } from './measurements.js';

export interface LabFlags extends CommonFlags {
  readonly prompts: string;
  readonly prompt?: readonly string[];
  readonly seeds: number;
  readonly seed: bigint;
  readonly steps: number;
  readonly guidance: number;
  readonly sampler?: string;
  readonly out: string;
  readonly base?: string;
  readonly precision: Precision | 'auto';
  readonly memory?: number;
  readonly adapter?: string;
}

/** The shipped shards. */
const SHARDS = 'noto+twemoji+fluent+ink';
/** What the shipped models know in every style, and other models as well. */
const PROMPTS = [
  ...['red apple', 'cat face', 'rocket', 'pizza', 'house with garden', 'smiling face with sunglasses', 'fire'],
  ...['octopus', 'airplane', 'guitar', 'sun', 'umbrella', 'crown', 'hot beverage', 'soccer ball', 'evergreen tree'],
];

export interface LabDefaults {
  readonly prompts: number;
  readonly seeds: number;
  readonly steps: number;
}

export function withLabFlags(command: Command, { prompts, seeds, steps }: LabDefaults): Command {
  command
    .option(
      '--prompts <number|file>',
      `so many of the built-in ones, up to ${PROMPTS.length}; or a file of lines`,
      `${prompts}`,
    )
    .option('-p, --prompt <text>', 'instead of those: a prompt; may be given again', collect)
    .option('--seeds <number>', 'pictures of each prompt, from different noise', wholeNumber(1, 1000), seeds)
    .addOption(new Option('-s, --seed <number>', 'the first of them').argParser(parseSeed).default(42n, '42'))
    .option('--steps <number>', 'denoising steps of a picture', wholeNumber(1, 1000), steps)
    .option('-g, --guidance <number>', 'how closely to follow the prompt', parseNumber, 4)
    .option('--sampler <name>', "how noise is taken away (default: the model's own)")
    .option('-o, --out <folder>', 'where the report goes, and what was measured for it', 'lab')
    .option('--base <model>', 'what the fine-tunes started from (default: a folder "base" beside the models)')
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('auto'))
    .option('--memory <amount>', 'the most GPU memory to use, as 6GB', parseBytes)
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  return withCommonFlags(command);
}

export interface Lab {
  readonly kitchen: Kitchen;
  readonly opened: OpenGpu;
  readonly gpu: Gpu;
  readonly output: Output;
  readonly hashes: ModelHashes;
  readonly measurements: Measurements;
  readonly prompts: readonly string[];
  readonly seeds: readonly bigint[];
  readonly flags: LabFlags;
  /** What decides every number of these models, beside a measurement's own settings: a part of its key. */
  readonly identity: {
    readonly adapter: string;
    readonly precision: Precision;
    /** Roots of all models. */
    readonly models: Json;
    /** Of the recipe with all its files, configs among them, but for the weights. */
    readonly family: string;
  };
  /** For the report. `extra` are flags of the command's own. */
  readonly command: (extra?: string) => string;
  readonly setup: () => Record<string, Json>;
  /** Of a count of measurements that are to be made: call the result after each. */
  readonly progress: (doing: string, total: number) => () => void;
  close(): Promise<void>;
}

export async function openLab(kind: string, words: readonly string[], flags: LabFlags, output: Output): Promise<Lab> {
  if (flags.sampler !== undefined) resolveSampler(flags.sampler);
  const prompts = await promptsOf(flags);
  const asked = words.length > 0 ? words : [SHARDS];
  const file = asked.find(isRecipeFile);
  const order = await orderOf(
    asked,
    { normalize: true, ...(flags.base !== undefined && { base: flags.base }) },
    output,
  );
  const kitchen = await openKitchen(order, output);
  const hashes = await hashModels(modelsOf(kitchen), output);
  const opened = await openGpuFor({ precision: flags.precision, budget: flags.memory, adapter: flags.adapter });
  const { gpu } = opened;
  const { family } = await soupOpener({ output: { ...output, note() {} } })({
    ...(file === undefined ? { model: asked } : { recipe: file }),
    ...(flags.base !== undefined && { base: flags.base }),
  });
  const models = modelsOf(kitchen).map(({ name, folder }) => ({ name, root: hashes.of(folder).root }));
  const weights = kitchen.ingredients.map(({ name, weight }) => `${name}:${formatFraction(weight)}`);
  const adapter = adapterName(opened.adapter);
  const seeds = Array.from({ length: flags.seeds }, (_, i) => flags.seed + BigInt(i));
  return {
    ...{ kitchen, opened, gpu, output, hashes, prompts, seeds, flags },
    measurements: await openMeasurements(join(flags.out, `${kind}.measurements.jsonl`)),
    identity: { adapter, precision: gpu.precision, models: models.map(({ root }) => root), family },
    command: (extra = '') => commandOf(kind, file ?? formulaOf(kitchen), flags, extra),
    setup: () => ({
      recipe: kitchen.title,
      weights,
      models,
      prompts,
      seeds: seeds.map(String),
      ...{ steps: flags.steps, guidance: flags.guidance, sampler: flags.sampler ?? "the model's own" },
      ...{ adapter, precision: gpu.precision, version },
    }),
    progress(doing, total) {
      const left = timeLeft();
      let done = 0;
      const say = () => output.status(`${doing}: ${done} of ${total}${left(done, total)}`);
      say();
      return () => {
        done++;
        say();
      };
    },
    close: () => kitchen.close(),
  };
}

const formulaOf = ({ ingredients, order }: Kitchen): string => {
  const parts = ingredients.map(({ from, weight }) => {
    const text = formatFraction(weight);
    return text === '1' ? from : `${from}:${text}`;
  });
  return `${parts.join('+')}${order.base === undefined ? '' : ` --base ${order.base}`}`;
};

function commandOf(kind: string, recipe: string, flags: LabFlags, extra: string): string {
  const prompts = flags.prompt
    ? flags.prompt.map((prompt) => `-p ${JSON.stringify(prompt)}`).join(' ')
    : `--prompts ${flags.prompts}`;
  const sampler = flags.sampler === undefined ? '' : ` --sampler ${flags.sampler}`;
  const precision = flags.precision === 'auto' ? '' : ` --precision ${flags.precision}`;
  const { seeds, seed, steps, guidance } = flags;
  return (
    `soup lab ${kind} ${recipe} ${prompts} --seeds ${seeds} --seed ${seed} --steps ${steps} ` +
    `--guidance ${guidance}${sampler}${precision}${extra === '' ? '' : ` ${extra}`}`
  );
}

async function promptsOf({ prompt, prompts }: LabFlags): Promise<readonly string[]> {
  if (prompt) return prompt;
  if (/^\d+$/.test(prompts)) {
    const count = Number(prompts);
    if (count >= 1 && count <= PROMPTS.length) return PROMPTS.slice(0, count);
    throw new UsageError(`--prompts ${prompts}: there are ${PROMPTS.length} built-in prompts; give a file for more`);
  }
  const lines = (await readTextFile(prompts)).split(/\r?\n/).map((line) => line.trim());
  const found = lines.filter((line) => line !== '');
  if (found.length > 0) return found;
  throw new UsageError(`--prompts ${prompts}: the file has no lines`);
}
