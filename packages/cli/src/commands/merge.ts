/** `soup merge`: several models in, their soup out, as a diffusers folder or as a single file. */
import { formatBytes, type MergePlan, UsageError } from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { type CommonFlags, parseBytes, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import { type Kitchen, openKitchen } from '../kitchen.js';
import { isSingleFile } from '../merging/merge.js';
import { checkTarget, prepareSoup, writeSoup } from '../merging/soup.js';
import type { Output } from '../output.js';
import { orderOf, type RecipeFlags, withRecipeFlags } from '../recipe-flags.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

interface MergeFlags extends CommonFlags, RecipeFlags {
  readonly out?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly adapter?: string;
  readonly hostMemory?: number;
  readonly memory?: number;
  readonly maxShardSize?: number;
  readonly check: boolean;
  readonly keepSum?: boolean;
}

export function mergeCommand(program: Command, run: Run): void {
  const command = program
    .command('merge')
    .summary('write the soup of models as a diffusers folder, or as one file')
    .description(
      'Makes one model of several and writes it as a folder that diffusers and soup can load, or as a single file for ' +
        'A1111 and ComfyUI when the name ends in .safetensors. A part that several models have is averaged; a part that ' +
        'one of them has, or only the base, is copied. Beside the weights stands a ledger: what the soup is made of, by ' +
        'content, for "soup verify", "soup add" and "soup remove".',
    )
    .argument(
      '<model...>',
      'models (folders, files, names of the pantry; A+B and A:2+B:1 are fine too), or a recipe.yaml',
    )
    .option('-o, --out <path>', 'the new folder, or the new file (*.safetensors); a recipe may say it');
  withRecipeFlags(command)
    .option('-f, --force', 'replace what exists, once the new model is complete')
    .option('--keep-sum', 'keep the integer sums, so that add and remove read one shard only (4 bytes a weight)')
    .option('--dry-run', 'check everything, say what would be written, and write nothing')
    .option('--max-shard-size <size>', 'divide weights that are larger among several files, as 5GB', parseBytes)
    .option('--host-memory <size>', 'the most memory for what is on its way, as 512MiB (default: 192MiB)', parseBytes)
    .option('--memory <size>', 'the most GPU memory to use, as 1GB', parseBytes)
    .addOption(new Option('--no-check', 'do not look at every number before work begins'))
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup merge noto twemoji fluent ink --out my-soup
  soup merge noto ink --weights 2,1 --out my-soup --force
  soup merge noto:1/3+ink:2/3 --base ./stable-diffusion-v1-5 --out my-soup.safetensors
  soup merge noto ink --method ties --set density=0.3 --out my-soup
  soup merge soup.yaml                                    its "out" says where
  soup merge noto ink --out my-soup --dry-run --json`,
    )
    .action(async (words: string[], flags: MergeFlags) => {
      const output = run.output(flags);
      const order = await orderOf(words, flags, output);
      const out = flags.out ?? order.out;
      if (out === undefined) {
        throw new UsageError(
          'no place for the soup: add --out FOLDER or --out FILE.safetensors, or "out" to the recipe',
        );
      }
      const kitchen = await openKitchen(order, output);
      try {
        await merge(kitchen, { ...flags, out }, output);
      } finally {
        await kitchen.close();
      }
    });
}

async function merge(kitchen: Kitchen, flags: MergeFlags & { readonly out: string }, output: Output): Promise<void> {
  const {
    out: target,
    force = false,
    dryRun = false,
    adapter,
    hostMemory,
    memory,
    maxShardSize,
    check,
    keepSum,
  } = flags;
  const settings = {
    force,
    skipAdmission: !check,
    ...(keepSum && { keepSum }),
    ...stagingWithin(hostMemory, memory),
    ...(maxShardSize !== undefined && { maxShardBytes: maxShardSize }),
  };
  await checkTarget(target, kitchen, settings);
  const { gpu } = await openGpuFor({ adapter, ...(memory !== undefined && { budget: memory }) });
  const prepared = await prepareSoup(gpu, kitchen, target, settings, output);
  const { plan, admitted } = prepared;
  try {
    explain(plan, output);
    const common = {
      [isSingleFile(target) ? 'file' : 'folder']: target,
      components: plan.components,
      recipe: kitchen.recipe,
      arithmetic: plan.arithmetic,
      admitted: Object.fromEntries(admitted),
    };
    if (dryRun) {
      const files = plan.files.map(({ path, kind, bytes }) => ({ path: path || target, kind, bytes }));
      for (const { path, kind, bytes } of files) {
        output.print(`${kind.padEnd(8)}  ${formatBytes(bytes).padStart(9)}  ${printable(path)}`);
      }
      output.note(`a dry run: nothing was written; ${printable(target)} would have ${formatBytes(plan.bytes)}`);
      output.result({ ...common, dryRun: true, bytes: plan.bytes, files, warnings: output.warnings });
      return;
    }
    const { path, files, bytes, seconds, ledger } = await writeSoup(gpu, kitchen, prepared, target, settings, output);
    const { root } = ledger.result;
    output.print(path);
    output.note(`${formatBytes(bytes)}, root ${root}`);
    output.result({ ...common, files, bytes, root, timings: { merge: seconds }, warnings: output.warnings });
  } finally {
    await plan.close();
  }
}

/** Three buffers that are read into and three that are written from lie in the host's memory, two in the GPU's. */
function stagingWithin(host = Number.POSITIVE_INFINITY, device = Number.POSITIVE_INFINITY) {
  const bytes = Math.floor(Math.min(host / 6, device / 8));
  if (!Number.isFinite(bytes)) return {};
  if (bytes < LEAST_STAGING) {
    throw new UsageError(`${formatBytes(Math.min(host, device))} are too little to merge with; give 8MiB or more`);
  }
  return { stagingBytes: bytes };
}

const LEAST_STAGING = 2 ** 20;

/** What becomes of each part, in a line each. */
function explain({ components, missing, dropped, arithmetic }: MergePlan, output: Output): void {
  for (const { name, averaged, from } of components) {
    const what = averaged ? `made of ${from.length}` : `copied from ${from[0]}`;
    output.note(`${name.padEnd(12)}  ${printable(what)}`);
  }
  if (arithmetic === 'deterministic') {
    output.note('this recipe is the same on every run of this adapter; another one may differ in the last bits');
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
