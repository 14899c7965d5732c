/** `soup generate`: prompts in, pictures out. */
import { randomBytes } from 'node:crypto';
import {
  CancelledError,
  DEFAULTS,
  type Precision,
  resolveSampler,
  SoupError,
  samplerNames,
  UsageError,
} from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { canPreview, type Drawn, draw, loadWithProgress, showPicture } from '../drawing.js';
import {
  type CommonFlags,
  collect,
  parseBytes,
  parseFormat,
  parseNumber,
  parseSeed,
  parseSize,
  type Size,
  wholeNumber,
  withCommonFlags,
} from '../flags.js';
import { adapterName, openGpuFor } from '../gpu.js';
import { checkTokenizer, openKitchen } from '../kitchen.js';
import type { Output } from '../output.js';
import { destination, freePath, type SavedPicture, savePicture } from '../picture-file.js';
import { createProfile, profileTable } from '../profile.js';
import { formatSeconds } from '../progress.js';
import { orderOf, type RecipeFlags, withRecipeFlags } from '../recipe-flags.js';
import { PartialError } from '../report.js';
import type { Run } from '../run.js';
import { readStartPicture } from '../start-picture.js';

interface GenerateFlags extends CommonFlags, RecipeFlags {
  readonly prompt?: readonly string[];
  readonly negative?: string;
  readonly seed?: bigint;
  readonly steps?: number;
  readonly sampler?: string;
  readonly guidance?: number;
  readonly size?: Size;
  readonly count?: number;
  readonly profile?: string;
  readonly clipSkip?: number;
  readonly noise?: 'cpu' | 'cuda';
  readonly image?: string;
  readonly strength?: number;
  readonly out: string;
  readonly precision: Precision | 'auto';
  readonly memory?: number;
  readonly adapter?: string;
  readonly ensemble?: boolean;
  readonly preview?: number;
  readonly show: boolean;
}

export function generateCommand(program: Command, run: Run): void {
  const command = program
    .command('generate')
    .summary('draw pictures from prompts')
    .description('Draws pictures with a model, or with the average of several: noto, noto+ink, noto:2+ink:1.')
    .argument('<model...>', 'model folders, or names in the pantry')
    .option('--ensemble', "average the models' predictions at every step instead of their weights: slower, and exact")
    .option('-p, --prompt <text>', 'what to draw; give it again for more pictures', collect)
    .option('-n, --negative <text>', 'what to steer away from')
    .option(
      '-s, --seed <number>',
      'where the noise comes from: the same seed, the same picture (default: random)',
      parseSeed,
    )
    .option('--steps <number>', `denoising steps (default: ${DEFAULTS.steps})`, wholeNumber(1, 1000))
    .option('--sampler <name>', `${samplerNames.join(', ')} (default: the model's own)`)
    .option(
      '-g, --guidance <number>',
      `how closely to follow the prompt; 1 is free of guidance (default: ${DEFAULTS.guidance})`,
      parseNumber,
    )
    .option('--size <WxH>', 'pixels, as 512 or 768x512 (default: what the model was trained on)', parseSize)
    .option('-c, --count <number>', 'pictures per prompt, with the seeds that follow (default: 1)', wholeNumber(1, 64))
    .option('--clip-skip <number>', 'layers to skip at the end of the text encoder (default: 0)', wholeNumber(0, 99))
    .addOption(
      new Option('--noise <generator>', 'whose torch.randn makes the noise (default: cpu)').choices(['cpu', 'cuda']),
    )
    .option('--image <file>', 'a picture to start from')
    .option(
      '--strength <number>',
      `how much of that picture to replace, 0 to 1 (default: ${DEFAULTS.strength})`,
      parseNumber,
    )
    .option('-o, --out <file|folder>', 'where the pictures go; nothing is overwritten', 'out')
    .option('--format <name>', 'png', parseFormat)
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('auto'))
    .option('--memory <amount>', 'the most GPU memory to use, as 6GB', parseBytes)
    .option('--adapter <name>', "part of a GPU's name, to choose one of several")
    .option('--preview <number>', 'show the picture at every n-th step, on a terminal', wholeNumber(1, 1000))
    .option('--no-show', 'do not show the pictures on the terminal')
    .option('--profile <file>', 'time every kernel: a table, and a trace for chrome://tracing or Perfetto');
  withRecipeFlags(command);
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup generate noto -p "red apple"
  soup generate noto+twemoji+ink -p "cat face" -p rocket --count 4
  soup generate noto ink --weights 3,1 -p pizza --seed 42 --steps 30 -o pizza.png
  soup generate ./my-soup -p "house with garden" --image photo.jpg --strength 0.6
  soup generate --ensemble noto:2+ink:1 -p rocket
  soup generate noto -p "red apple" --profile trace.json
  soup generate noto -p "red apple" --json | jq -r '.images[].path'`,
    )
    .action(async (words: string[], flags: GenerateFlags) => {
      await generateAll(words, flags, run.output(flags));
    });
}

async function generateAll(words: readonly string[], flags: GenerateFlags, output: Output): Promise<void> {
  const prompts = flags.prompt ?? [];
  if (prompts.length === 0) throw new UsageError('no prompt: say what to draw with --prompt "..."');
  if (flags.strength !== undefined && !flags.image)
    throw new UsageError('--strength needs a picture: add --image FILE');
  const sampler = flags.sampler === undefined ? undefined : resolveSampler(flags.sampler);
  const place = destination(flags.out);
  const order = await orderOf(words, flags, output);
  const kitchen = await openKitchen({ ...order, ...(flags.ensemble && { ensemble: true }) }, output);
  checkTokenizer(kitchen);
  const profile = flags.profile === undefined ? undefined : createProfile();
  const opened = await openGpuFor({
    ...{ precision: flags.precision, budget: flags.memory, adapter: flags.adapter },
    onKernels: profile?.onKernels,
  });
  if (opened.warning) output.warn(opened.warning);
  const adapter = adapterName(opened.adapter);
  const { precision } = opened.gpu;
  output.note(`${kitchen.title} on ${adapter}, ${precision}`);

  const { model, seconds: load } = await loadWithProgress(opened, kitchen, output);
  const images: SavedPicture[] = [];
  const drawn: Drawn[] = [];
  try {
    const side = model.unet.config.sampleSize * model.vae.factor;
    const size = flags.size ?? { width: side, height: side };
    const image = flags.image === undefined ? undefined : await readStartPicture(flags.image, size);
    const seed = flags.seed ?? BigInt(randomBytes(4).readUInt32LE());
    if (flags.seed === undefined) output.note(`seed ${seed}`);
    if (flags.preview && !canPreview(output)) output.warn('no previews: stderr is not a terminal');
    const { negative, steps, guidance, count, clipSkip, noise, strength } = flags;
    const previewEvery = flags.preview && canPreview(output) ? flags.preview : undefined;
    const provenance = { recipe: kitchen.recipe, adapter, precision };

    for (const [i, prompt] of prompts.entries()) {
      const request = { prompt, negative, seed, steps, sampler, guidance, ...size, count, clipSkip, noise, image };
      const job = await draw(model, { ...request, strength, previewEvery }, output, {
        prefix: prompts.length > 1 ? `${i + 1} of ${prompts.length}: ` : '',
        async onImage(picture, itsSeed, settings) {
          const path = freePath(place, prompt, itsSeed);
          const saved = await savePicture(path, picture, settings, itsSeed, provenance);
          images.push(saved);
          if (flags.show) showPicture(picture, output);
          output.print(saved.path);
        },
      });
      drawn.push(job);
      const each = job.secondsPerStep === undefined ? '' : `, ${job.secondsPerStep.toFixed(2)} s/step`;
      output.note(`drew "${prompt}" in ${formatSeconds(job.seconds)}${each}, seed ${seed}`);
    }
    if (profile) {
      await profile.write(flags.profile!);
      for (const line of profileTable(profile.rows())) output.note(line);
      output.note(`every kernel, for chrome://tracing or ui.perfetto.dev: ${flags.profile}`);
    }
    output.result({
      images,
      ...(profile && { profile: profile.rows() }),
      settings: (({ prompt: _, ...settings }) => ({ ...settings, prompts }))(drawn[0]!.settings),
      recipe: kitchen.recipe,
      adapter,
      precision,
      timings: {
        load,
        draw: drawn.map(({ seconds }) => seconds),
        secondsPerStep: drawn.map((job) => job.secondsPerStep),
      },
      warnings: output.warnings,
    });
  } catch (error) {
    throw images.length > 0 ? partly(error, images, prompts.length * (flags.count ?? 1)) : error;
  } finally {
    await model.destroy();
    await kitchen.close();
  }
}

/** What is finished stays; the error says so. */
function partly(error: unknown, images: readonly SavedPicture[], wanted: number): unknown {
  if (!(error instanceof SoupError) || error instanceof CancelledError) return error;
  const { name, message, exitCode, facts } = error;
  return new PartialError(
    `${images.length} of ${wanted} pictures are done and kept; then: ${message}`,
    { images, cause: { name, message, exitCode, facts } },
    { cause: error },
  );
}
