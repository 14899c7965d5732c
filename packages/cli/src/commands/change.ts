/** `soup add` and `soup remove`: a shard into a soup or out of it, by its ledger. */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import {
  formatLedger,
  parseFraction,
  type Sealed,
  UsageError,
  withIngredient,
  withoutIngredient,
} from '@diffusion-soup/core';
import { type Command, InvalidArgumentError } from 'commander';
import { writeFileAtomic } from '../atomic-file.js';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import { changeSoup, ingredientAt, soundLedger } from '../ledger/change-soup.js';
import { isSingleFile } from '../merging/merge.js';
import { checkFileTarget, checkFolderTarget } from '../merging/target.js';
import type { Output } from '../output.js';
import { checkWritable, slug } from '../picture-file.js';
import { locate } from '../recipe.js';
import type { Run } from '../run.js';
import { printable } from '../text.js';

interface ChangeFlags extends CommonFlags {
  readonly out?: string;
  readonly force?: boolean;
  readonly dryRun?: boolean;
  readonly adapter?: string;
}

interface AddFlags extends ChangeFlags {
  readonly weight?: string;
  readonly name?: string;
}

interface RemoveFlags extends ChangeFlags {
  readonly receipt?: string;
}

const withChangeFlags = (command: Command): Command =>
  withCommonFlags(
    command
      .option('-o, --out <target>', 'write the new soup there, and leave the old one as it is (default: replace it)')
      .option('--dry-run', 'check everything, and write nothing')
      .option('--adapter <name>', "part of a GPU's name, to choose one of several"),
  );

const weight = (text: string): string => {
  try {
    parseFraction(text);
    return text;
  } catch (error) {
    throw new InvalidArgumentError(error instanceof UsageError ? error.message : String(error));
  }
};

export function addCommand(program: Command, run: Run): void {
  const command = program
    .command('add')
    .summary('add a shard to a soup that has a ledger')
    .description(
      'Averages a soup anew with one more ingredient. The result is the soup that is made from scratch of all of them, ' +
        'byte for byte. A shard that was removed stays out, under any name, unless it is forced.',
    )
    .argument('<soup>', 'a soup with a ledger')
    .argument('<model>', 'a model, or a name in the pantry')
    .option('--weight <fraction>', 'its weight beside the others, as 2, 0.5 or 1/3 (default: 1)', weight)
    .option('--name <name>', 'what the ledger calls it (default: the name of its folder)')
    .option('-f, --force', 'add it although it was removed before; replace what is at --out');
  withChangeFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup add my-soup fluent
  soup add my-soup fluent --weight 1/2 --out other-soup`,
    )
    .action(async (soup: string, model: string, flags: AddFlags) => {
      await add(soup, model, flags, run.output(flags));
    });
}

export function removeCommand(program: Command, run: Run): void {
  const command = program
    .command('remove')
    .alias('forget')
    .summary('take a shard out of a soup that has a ledger')
    .description(
      'Averages a soup anew without one of its ingredients, and writes a receipt. The result is the soup that is made ' +
        'from scratch of the others, byte for byte; the ledger keeps the shard from coming back unnoticed. Whoever has ' +
        'the old soup as well can still compute the shard: what was published stays published.',
    )
    .argument('<soup>', 'a soup with a ledger')
    .argument('<name>', 'the ingredient, by its name in the ledger or its root')
    .option('--receipt <file>', 'where the receipt goes (default: beside the soup)')
    .option('-f, --force', 'replace what is at --out');
  withChangeFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup remove my-soup ink
  soup remove my-soup ink --out soup-without-ink --receipt receipt.json`,
    )
    .action(async (soup: string, name: string, flags: RemoveFlags) => {
      await remove(soup, name, flags, run.output(flags));
    });
}

async function add(soup: string, model: string, flags: AddFlags, output: Output): Promise<void> {
  const { weight: share, name, force = false } = flags;
  const { env } = output.io;
  const path = await locate(soup, env);
  const modelPath = await locate(model, env);
  const out = await targetOf(path, flags, [modelPath]);
  const ledger = await soundLedger(path, output);
  const weight = parseFraction(share ?? '1');
  const ingredient = await ingredientAt(modelPath, {
    from: model,
    weight,
    output,
    ...(name !== undefined && { name }),
  });
  const change = withIngredient(ledger, ingredient, { force });
  const { gpu } = await openGpuFor({ adapter: flags.adapter });
  const shard = { ledger: ingredient, path: modelPath };
  const sealed = await changeSoup(path, change, { gpu, output, out, shard, dryRun: flags.dryRun ?? false });
  const said = `${printable(ingredient.name)} is in the soup`;
  if (sealed) output.print(`${said}; its root is now ${sealed.ledger.result.root}`);
  else output.note('a dry run: nothing was written');
  output.result({ soup: out, dryRun: !sealed, added: ingredient.name, ...rootsOf(sealed), warnings: output.warnings });
}

async function remove(soup: string, name: string, flags: RemoveFlags, output: Output): Promise<void> {
  const path = await locate(soup, output.io.env);
  const out = await targetOf(path, flags, []);
  const ledger = await soundLedger(path, output);
  const change = withoutIngredient(ledger, name);
  const receiptFile = resolve(flags.receipt ?? receiptPath(out, change.share.name, change.share.root));
  checkWritable(receiptFile);
  const { gpu } = await openGpuFor({ adapter: flags.adapter });
  const sealed = await changeSoup(path, change, { gpu, output, out, dryRun: flags.dryRun ?? false });
  if (sealed?.receipt) {
    await writeFileAtomic(receiptFile, formatLedger(sealed.receipt));
    output.print(`${printable(change.share.name)} is out of the soup; its root is now ${sealed.ledger.result.root}`);
    output.print(`receipt: ${printable(receiptFile)}`);
    output.warn(sealed.receipt.warning);
  } else output.note('a dry run: nothing was written');
  output.result({
    soup: out,
    dryRun: !sealed,
    removed: change.share.name,
    ...rootsOf(sealed),
    ...(sealed && { receiptFile, receipt: sealed.receipt }),
    warnings: output.warnings,
  });
}

const rootsOf = (sealed: Sealed | undefined) => sealed && { root: sealed.ledger.result.root, set: sealed.ledger.set };

/** Where the new soup goes. The old one is no ingredient of it, so its place may be taken. */
async function targetOf(soup: string, { out, force = false }: ChangeFlags, inputs: readonly string[]): Promise<string> {
  const target = out ?? soup;
  const isInPlace = resolve(target) === resolve(soup);
  if (existsSync(target) && isSingleFile(target) !== isSingleFile(soup)) {
    throw new UsageError(`--out ${printable(target)} is of another kind than the soup`);
  }
  if (isSingleFile(target)) checkFileTarget(target, { force: force || isInPlace });
  else await checkFolderTarget(target, { force: force || isInPlace, inputs });
  return target;
}

const receiptPath = (soup: string, name: string, root: string): string => {
  const stem = basename(resolve(soup)).replace(/\.safetensors$/i, '');
  return join(dirname(resolve(soup)), `${stem}.removed-${slug(name)}-${root.slice(0, 8)}.json`);
};
