/** `soup lora`: low-rank changes out of fine-tunes, and what is in a LoRA file. */
import { basename } from 'node:path';
import {
  closeWeights,
  type ExtractedLora,
  extractLora,
  formatBytes,
  type Lora,
  type LoraComponent,
  loraFile,
  type ModelFolder,
  matchLora,
  openSafetensors,
  readLora,
  type UNetConfig,
  UsageError,
} from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { fileSource } from '../files.js';
import { type CommonFlags, parseSeed, wholeNumber, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import { openModel } from '../kitchen.js';
import type { Output } from '../output.js';
import { formatSeconds, timeLeft } from '../progress.js';
import { locate } from '../recipe.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { printable } from '../text.js';

interface ExtractFlags extends CommonFlags {
  readonly base: string;
  readonly rank: number;
  readonly convRank?: number;
  readonly dtype: 'f16' | 'f32';
  readonly iterations?: number;
  readonly seed?: bigint;
  readonly out: string;
  readonly adapter?: string;
}

interface InspectFlags extends CommonFlags {
  readonly model?: string;
}

const PARTS: readonly LoraComponent[] = ['unet', 'text_encoder'];
/** Layers that are listed by name, those that a low rank holds worst. */
const WORST_SHOWN = 5;

export function loraCommand(program: Command, run: Run): void {
  const lora = program
    .command('lora')
    .summary('take LoRAs out of fine-tunes, and look into LoRA files')
    .description('Low-rank changes of a model, in the formats of kohya, diffusers and peft.')
    .addHelpText(
      'after',
      `
Examples:
  soup lora extract noto --base base --rank 16 -o noto.safetensors
  soup lora extract ./my-tune --base ./stable-diffusion-v1-5 --rank 32 --conv-rank 8 -o my-tune.safetensors
  soup lora inspect noto.safetensors --model base
  soup merge base --lora noto.safetensors:0.8 --out baked       write a model with a LoRA in it`,
    );
  withCommonFlags(lora.command('extract'))
    .description('Writes the best approximation of low rank of what a fine-tune changed, and says how good it is.')
    .argument('<tuned>', 'the fine-tune: a model folder or file, or a name in the pantry')
    .requiredOption('--base <model>', 'what it started from')
    .requiredOption('-o, --out <file>', 'the new LoRA, a .safetensors file')
    .option('--rank <number>', 'columns kept of every layer', wholeNumber(1, 1024), 16)
    .option('--conv-rank <number>', 'of convolutions larger than 1x1 (default: as --rank)', wholeNumber(1, 1024))
    .addOption(new Option('--dtype <type>', 'what numbers are stored as').choices(['f16', 'f32']).default('f16'))
    .option(
      '--iterations <number>',
      'power iterations; more find a flat spectrum better (default: 3)',
      wholeNumber(0, 50),
    )
    .option('--seed <number>', 'of the random start (default: 0)', parseSeed)
    .option('--adapter <name>', "part of a GPU's name, to choose one of several")
    .action(async (tuned: string, flags: ExtractFlags) => extract(tuned, flags, run.output(flags)));
  withCommonFlags(lora.command('inspect'))
    .description('Says which layers LoRA files change, by which ranks, and whether a model has those layers.')
    .argument('<file...>', 'LoRA files')
    .option('--model <model>', 'a model that they should fit: a folder, or a name in the pantry')
    .action(async (files: string[], flags: InspectFlags) => inspect(files, flags, run.output(flags)));
}

async function extract(tunedName: string, flags: ExtractFlags, output: Output): Promise<void> {
  if (!/\.safetensors$/i.test(flags.out)) {
    throw new UsageError(`--out is ${printable(flags.out)}; expected a name that ends in .safetensors`);
  }
  const open = async (name: string) => openModel(await locate(name, output.io.env), output);
  const [tuned, base] = [await open(tunedName), await open(flags.base)];
  const parts = PARTS.filter((part) => tuned.components.has(part) && base.components.has(part));
  if (parts.length === 0) {
    throw new UsageError(
      `${printable(tuned.name)} and ${printable(base.name)} have neither a UNet nor a text encoder in common`,
    );
  }
  const { gpu } = await openGpuFor({ adapter: flags.adapter });
  const begun = performance.now();
  const extracted: ExtractedLora[] = [];
  for (const part of parts) {
    const [ours, theirs] = [(await tuned.weights(part))!, (await base.weights(part))!];
    const left = timeLeft();
    try {
      extracted.push(
        await extractLora(gpu, part, ours, theirs, {
          ...flags,
          dtype: flags.dtype === 'f32' ? 'F32' : 'F16',
          signal: output.io.signal,
          onProgress: (done, total) => output.status(`${part}: ${done} of ${total} tensors${left(done, total)}`),
        }),
      );
    } finally {
      await closeWeights(ours);
      await closeWeights(theirs);
    }
  }
  const tensors = extracted.flatMap((one) => one.tensors);
  if (tensors.length === 0) {
    throw new UsageError(
      `${printable(tuned.name)} and ${printable(base.name)} have the same layers: there is no LoRA in it`,
    );
  }
  const file = loraFile({ tensors }, flags.rank, await metadataOf(base, flags));
  await writeFileAtomic(flags.out, file);
  const seconds = (performance.now() - begun) / 1000;
  output.endStatus(`extracted ${formatBytes(file.length)} in ${formatSeconds(seconds)}`);
  report(flags.out, parts, extracted, file.length, output);
}

function report(
  path: string,
  parts: readonly LoraComponent[],
  extracted: readonly ExtractedLora[],
  bytes: number,
  output: Output,
) {
  const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
  for (const [i, { report, error, leftOut, leftOutShare }] of extracted.entries()) {
    const worst = [...report].sort((a, b) => b.error - a.error).slice(0, WORST_SHOWN);
    output.note(`${parts[i]}: ${report.length} layers, of whose change ${percent(error)} is lost`);
    const rows = worst.map(({ key, rank, error }) => [`  ${printable(key)}`, `rank ${rank}`, `${percent(error)} lost`]);
    if (worst.length > 0) for (const line of table(rows, 'lrr')) output.note(line);
    if (leftOut.length > 0) {
      output.note(
        `  no LoRA holds ${leftOut.length} tensors (biases, norms) that changed too: ${percent(leftOutShare)} of the whole change`,
      );
    }
  }
  output.print(path);
  const shown = extracted.map(({ report, error, leftOut, leftOutShare }, i) => ({
    ...{ part: parts[i], error, layers: report, leftOut, leftOutShare },
  }));
  output.result({ path, bytes, parts: shown, warnings: output.warnings });
}

/** What kohya's scripts and ModelSpec (https://github.com/Stability-AI/ModelSpec) say of a LoRA, as far as it is known. */
async function metadataOf(base: ModelFolder, flags: ExtractFlags): Promise<Record<string, string>> {
  const version = base.components.has('unet') ? versionOf(await base.unetConfig()) : undefined;
  const isVelocity =
    base.components.has('scheduler') && (await base.schedulerConfig()).predictionType === 'v_prediction';
  const architecture =
    version === 'sd_v2' ? `stable-diffusion-v2-${isVelocity ? '768-v' : '512'}` : 'stable-diffusion-v1';
  return {
    ss_sd_model_name: basename(base.name),
    ...(version && {
      ss_v2: version === 'sd_v2' ? 'True' : 'False',
      ss_base_model_version: version,
      'modelspec.architecture': `${architecture}/lora`,
    }),
    ...(flags.convRank !== undefined && {
      ss_network_args: JSON.stringify({ conv_dim: `${flags.convRank}`, conv_alpha: `${flags.convRank}.0` }),
    }),
    'modelspec.sai_model_spec': '1.0.1',
    'modelspec.implementation': 'diffusers',
    'modelspec.title': basename(flags.out).replace(/\.safetensors$/i, ''),
    'modelspec.prediction_type': isVelocity ? 'v' : 'epsilon',
  };
}

function versionOf({ crossAttentionDim, inChannels, blockOutChannels }: UNetConfig): 'sd_v1' | 'sd_v2' | undefined {
  if (inChannels !== 4 || blockOutChannels.join() !== '320,640,1280,1280') return undefined;
  return crossAttentionDim[0] === 768 ? 'sd_v1' : crossAttentionDim[0] === 1024 ? 'sd_v2' : undefined;
}

async function inspect(files: readonly string[], { model }: InspectFlags, output: Output): Promise<void> {
  const folder = model === undefined ? undefined : await openModel(await locate(model, output.io.env), output);
  const results = [];
  for (const path of files) {
    const source = await fileSource(path);
    try {
      const lora = await readLora(await openSafetensors(source));
      const fits = folder && (await fitOf(lora, folder));
      results.push({ path, bytes: source.size, ...summaryOf(lora), ...(fits && { fits }), metadata: lora.metadata });
    } finally {
      await source.close?.();
    }
  }
  for (const result of results) {
    output.print(`${printable(result.path)}: ${formatBytes(result.bytes)}`);
    for (const part of result.parts) {
      output.print(
        `  ${part.part}: ${part.layers} layers, rank ${part.ranks.join(', ')}, alpha ${part.alphas.join(', ')}, ${part.dtypes.join(', ')}`,
      );
    }
    for (const key of ['modelspec.title', 'ss_base_model_version', 'ss_sd_model_name', 'ss_network_module']) {
      const value = result.metadata[key];
      if (value !== undefined) output.print(`  ${key}: ${printable(value)}`);
    }
    if (result.fits) output.print(`  fits ${printable(folder!.name)}: ${result.fits.layers} layers`);
  }
  output.result({ loras: results, warnings: output.warnings });
}

function summaryOf({ modules }: Lora) {
  const distinct = <T>(values: readonly T[]): T[] => [...new Set(values)];
  const parts = PARTS.map((part) => {
    const ours = modules.filter(({ component }) => component === part);
    return {
      part,
      layers: ours.length,
      ranks: distinct(ours.map(({ rank }) => rank)).sort((a, b) => a - b),
      alphas: distinct(ours.map(({ alpha }) => alpha)).sort((a, b) => a - b),
      dtypes: distinct(ours.map(({ up }) => up.dtype)),
    };
  });
  return { parts: parts.filter(({ layers }) => layers > 0) };
}

/** Throws where the model does not have what the LoRA changes. */
async function fitOf(lora: Lora, folder: ModelFolder): Promise<{ model: string; layers: number }> {
  let layers = 0;
  for (const part of PARTS) {
    if (!lora.modules.some(({ component }) => component === part)) continue;
    const weights = await folder.weights(part);
    if (!weights)
      throw new UsageError(`${printable(lora.name)} changes a ${part}, and ${printable(folder.name)} has none`);
    try {
      layers += matchLora(lora, part, weights).size;
    } finally {
      await closeWeights(weights);
    }
  }
  return { model: folder.name, layers };
}
