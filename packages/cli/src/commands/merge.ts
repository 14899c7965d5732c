/** `soup merge`: several models in, their average as a diffusers folder out. */
import { formatBytes } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, parseWeights, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import { type Kitchen, openIngredients, type RecipeFlags } from '../ingredients.js';
import { checkSpace, checkTarget, recipeMetadata, writeMerged } from '../merge-folder.js';
import { type MergePlan, planMerge } from '../merge-plan.js';
import type { Output } from '../output.js';
import { byteProgress, formatSeconds } from '../progress.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

interface MergeFlags extends CommonFlags, RecipeFlags {
  readonly out: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly adapter?: string;
}

export function mergeCommand(program: Command, run: Run): void {
  const command = program
    .command('merge')
    .summary('write the average of models as a diffusers folder')
    .description(
      'Averages models and writes the result as a folder that diffusers and soup can load. A part that several ' +
        'models have is averaged; a part that one of them has, or only the base, is copied.',
    )
    .argument('<model...>', 'model folders, or names in the pantry; A+B+C and A:2+B:1 are fine too')
    .requiredOption('-o, --out <folder>', 'the new folder')
    .option('--weights <numbers>', 'weights of the models, as 2,1 (default: equal)', parseWeights)
    .option('--base <folder>', 'where parts come from that no model has (default: a folder "base" beside the models)')
    .option('-f, --force', 'replace a model folder that exists, once the new one is complete')
    .option('--dry-run', 'check everything, say what would be written, and write nothing')
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup merge noto twemoji fluent ink --out my-soup
  soup merge noto ink --weights 2,1 --out my-soup --force
  soup merge noto:2+ink:1 --base ./stable-diffusion-v1-5 --out my-soup
  soup merge noto ink --out my-soup --dry-run --json`,
    )
    .action(async (words: string[], flags: MergeFlags) => {
      const output = run.output(flags);
      const kitchen = await openIngredients(words, flags, output);
      const { force = false, dryRun = false, adapter } = flags;
      await merge(kitchen, flags.out, { force, dryRun, adapter }, output);
    });
}

export interface MergeOptions {
  readonly force: boolean;
  readonly dryRun: boolean;
  readonly adapter?: string;
}

async function merge(kitchen: Kitchen, target: string, options: MergeOptions, output: Output): Promise<void> {
  await checkTarget(target, kitchen, options);
  const plan = await planMerge(kitchen);
  try {
    await checkSpace(target, plan.bytes);
    explain(plan, output);
    const { gpu } = await openGpuFor({ adapter: options.adapter });
    const { recipe } = kitchen;
    const components = plan.components;
    if (options.dryRun) {
      const files = plan.files.map(({ path, kind, bytes }) => ({ path, kind, bytes }));
      for (const { path, kind, bytes } of files)
        output.print(`${kind.padEnd(8)}  ${formatBytes(bytes).padStart(9)}  ${path}`);
      output.note(`a dry run: nothing was written; ${printable(target)} would have ${formatBytes(plan.bytes)}`);
      output.result({
        folder: target,
        dryRun: true,
        bytes: plan.bytes,
        files,
        components,
        recipe,
        warnings: output.warnings,
      });
      return;
    }
    const begun = performance.now();
    const line = byteProgress();
    const result = await writeMerged(gpu, plan, target, {
      signal: output.io.signal,
      metadata: recipeMetadata(kitchen),
      onProgress: (done, total) => output.status(`merging ${kitchen.title}: ${line(done, total)}`),
    });
    const seconds = (performance.now() - begun) / 1000;
    output.endStatus(`merged ${kitchen.title}: ${formatBytes(result.bytes)} in ${formatSeconds(seconds)}`);
    output.print(result.folder);
    output.result({ ...result, components, recipe, timings: { merge: seconds }, warnings: output.warnings });
  } finally {
    await plan.close();
  }
}

/** What becomes of each part, in a line each. */
function explain({ components, missing, dropped }: MergePlan, output: Output): void {
  for (const { name, averaged, from } of components) {
    output.note(
      `${name.padEnd(12)}  ${averaged ? `average of ${from.length}` : 'copied from'}${averaged ? '' : ` ${from[0]}`}`,
    );
  }
  if (missing.length > 0) {
    output.warn(
      `no ingredient has ${missing.join(', ')}: the result is not a whole pipeline. Name the model that the ` +
        'fine-tunes started from with --base to have it complete.',
    );
  }
  const others = dropped.filter((part) => !missing.some((gone) => gone === part));
  if (others.length > 0) output.note(`left out, as it draws nothing: ${others.join(', ')}`);
}
