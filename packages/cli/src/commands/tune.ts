/** `soup tune`: the fastest tiles for this GPU, found once and kept. */
import { type Precision, productName, type Tuned, tuneModel, UsageError, WHOLE_STEPS } from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { loadWithProgress } from '../drawing.js';
import { type CommonFlags, parseSize, type Size, wholeNumber, withCommonFlags } from '../flags.js';
import { adapterName, openGpuFor } from '../gpu.js';
import { openKitchen } from '../kitchen.js';
import type { Output } from '../output.js';
import { formatSeconds, timeLeft } from '../progress.js';
import { orderOf } from '../recipe-flags.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { clearTuning, keepTuning, tuningFile } from '../tuning.js';

interface TuneFlags extends CommonFlags {
  readonly size?: Size;
  readonly count?: number;
  readonly precision: Precision | 'auto';
  readonly adapter?: string;
  readonly clear?: boolean;
}

export function tuneCommand(program: Command, run: Run): void {
  const command = program
    .command('tune')
    .summary('find the fastest kernels for this GPU')
    .description(
      'Draws with a model under every way to cut its matrix products into tiles, and keeps the fastest for each of them if ' +
        'a picture is faster with all of them, too. ' +
        'Later commands on the same GPU and driver use what was found.',
    )
    .argument('[model...]', 'model folders, or names in the pantry')
    .option('--size <WxH>', 'pixels, as 512 or 768x512 (default: what the model was trained on)', parseSize)
    .option('-c, --count <number>', 'pictures at once, as batches are drawn (default: 1)', wholeNumber(1, 64))
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('auto'))
    .option('--adapter <name>', "part of a GPU's name, to choose one of several")
    .option('--clear', 'forget what was found on this GPU');
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup tune base
  soup tune ./stable-diffusion-2-1 --size 768
  soup tune base --count 4 --json | jq '.tuned | length'
  soup tune --clear
  SOUP_TUNING=off soup generate base -p "red apple"     draw without what was found`,
    )
    .action(async (words: string[], flags: TuneFlags) => {
      const output = run.output(flags);
      if (flags.clear) await clear(words, flags, output);
      else await tune(words, flags, output);
    });
}

async function clear(words: readonly string[], { adapter: name }: TuneFlags, output: Output): Promise<void> {
  if (words.length > 0) throw new UsageError('--clear takes no model: what was found is of the GPU');
  const { adapter } = await openGpuFor({ adapter: name });
  const file = tuningFile(adapter, output.io.env);
  if (file !== undefined) await clearTuning(file);
  output.print(`forgot what was found on ${adapterName(adapter)}`);
  output.result({ adapter: adapterName(adapter), cleared: file ?? null });
}

async function tune(words: readonly string[], flags: TuneFlags, output: Output): Promise<void> {
  if (words.length === 0) throw new UsageError('name a model to tune for: soup tune base');
  const kitchen = await openKitchen(await orderOf(words, { normalize: true }, output), output);
  // By the kernels' own choice: what was found before is found again, or is no longer the fastest.
  const opened = await openGpuFor({ precision: flags.precision, adapter: flags.adapter, tuning: () => undefined });
  if (opened.warning) output.warn(opened.warning);
  const adapter = adapterName(opened.adapter);
  const file = tuningFile(opened.adapter, output.io.env);
  output.note(`${kitchen.title} on ${adapter}, ${opened.gpu.precision}`);
  const { model } = await loadWithProgress(opened, kitchen, output);
  try {
    const begun = performance.now();
    const left = timeLeft();
    const tuned = await tuneModel(model, {
      ...flags.size,
      count: flags.count,
      signal: output.io.signal,
      onProgress: (done, total) => output.status(`tried ${done} of ${total} ways${left(done, total)}`),
    });
    const seconds = (performance.now() - begun) / 1000;
    const { measured, products, whole, isFaster } = tuned;
    const entries = isFaster ? products.map(({ product, tiling }) => ({ ...product, ...tiling })) : [];
    if (file === undefined)
      output.warn('there is no cache folder, so that nothing is kept: set HOME or XDG_CACHE_HOME');
    else await keepTuning(file, measured, entries);
    output.endStatus(`tried everything in ${formatSeconds(seconds)}`);
    for (const line of report(tuned)) output.print(line);
    const found = { tuned: products, whole: whole ?? null, kept: isFaster && file !== undefined };
    output.result({ adapter, file: file ?? null, ...found, seconds, warnings: output.warnings });
  } finally {
    await model.destroy();
    await kitchen.close();
  }
}

/** What was found, for people. */
export function report({ products, whole, isFaster }: Tuned): string[] {
  if (!whole) return ['nothing is faster than what the kernels choose themselves'];
  const picture = `a picture of ${WHOLE_STEPS} steps`;
  const [before, after] = [whole.before.toFixed(1), whole.after.toFixed(1)];
  const count = products.length === 1 ? '1 product' : `${products.length} products`;
  const rows = [...products].sort((a, b) => b.before - b.after - (a.before - a.after));
  return [
    ...table(
      [
        ['product', 'tile', 'splits', 'ms before', 'after'],
        ...rows.map((one) => [
          ...[productName(one.product), one.tiling.tile, `${one.tiling.splits}`],
          ...[one.before.toFixed(3), one.after.toFixed(3)],
        ]),
      ],
      'llrrr',
    ),
    isFaster
      ? `${count} faster; ${picture} took ${before} ms and takes ${after} ms now`
      : `${count} faster alone, but ${picture} takes ${after} ms with them and ${before} without: nothing is kept`,
  ];
}
