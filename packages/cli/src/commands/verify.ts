/** `soup verify`: a soup against its ledger, a removal receipt against itself. */
import { extname } from 'node:path';
import {
  CheckpointError,
  checkLedger,
  cookPart,
  parseReceipt,
  verifyReceipt,
  type WeightedComponent,
} from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { openGpuFor } from '../gpu.js';
import { hashModel } from '../hash/model.js';
import { type HashOptions, sha256 } from '../hash/weights.js';
import { ledgerPath, needLedger, readLedgerText } from '../ledger/file.js';
import { ledgerFolder } from '../ledger/locate.js';
import { openLedger } from '../ledger/open.js';
import { rebuild } from '../ledger/rebuild.js';
import { type Verdict, verifySoup } from '../ledger/verify.js';
import type { Output } from '../output.js';
import { byteProgress } from '../progress.js';
import { locate } from '../recipe.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { printable } from '../text.js';

interface VerifyFlags extends CommonFlags {
  readonly quick?: boolean;
  readonly ledger?: string;
  readonly adapter?: string;
}

export function verifyCommand(program: Command, run: Run): void {
  const command = program
    .command('verify')
    .summary('make a soup again and compare it with what is there')
    .description(
      'Compares the hashes of a soup with its ledger (soup.json), finds its ingredients by path, name or content, makes ' +
        'the soup again without writing it, and compares every tensor. A removal receipt is checked by itself. Exit code ' +
        '1 when anything differs.',
    )
    .argument('<soup>', 'a soup with a ledger, or a removal receipt (*.json)')
    .option('--quick', 'compare hashes only, without making the soup again')
    .option('--ledger <file>', 'the ledger, if it is not beside the soup')
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup verify my-soup
  soup verify my-soup --quick --json
  soup verify removed-ink.json`,
    )
    .action(async (name: string, flags: VerifyFlags) => {
      const output = run.output(flags);
      const isReceipt = extname(name).toLowerCase() === '.json';
      const isFine = isReceipt ? await checkReceipt(name, output) : await verify(name, flags, output);
      run.exitCode = isFine ? 0 : 1;
    });
}

async function checkReceipt(path: string, output: Output): Promise<boolean> {
  const receipt = parseReceipt(await readLedgerText(path), path);
  const problems = verifyReceipt(receipt, sha256);
  for (const problem of problems) output.error(`${printable(path)}: ${problem}`);
  if (problems.length === 0) {
    output.print(`${printable(receipt.removed.name)} was in the old soup, and is not in the new one.`);
    for (const line of [receipt.statement, receipt.warning]) output.print(line);
  }
  output.result({ ok: problems.length === 0, problems, receipt });
  return problems.length === 0;
}

async function verify(name: string, { quick, ledger: named, adapter }: VerifyFlags, output: Output): Promise<boolean> {
  const { io } = output;
  const path = await locate(name, io.env);
  const ledgerFile = named ?? ledgerPath(path);
  const ledger = await needLedger(path, ledgerFile);
  const [contradiction] = checkLedger(ledger, sha256);
  if (contradiction !== undefined) {
    throw new CheckpointError(
      `${printable(ledgerFile)} contradicts itself: ${contradiction}. It was changed by hand, or damaged.`,
      {
        file: ledgerFile,
      },
    );
  }
  const reading = (): HashOptions => {
    const line = byteProgress();
    return {
      signal: io.signal,
      fresh: true,
      onProgress: (done, total) => output.status(`reading: ${line(done, total)}`),
    };
  };
  const soup = await hashModel(path, reading());
  if (quick) return tell(await verifySoup(ledger, soup), path, output);

  const opened = await openLedger(ledger, { ...reading(), env: io.env, from: ledgerFolder(ledgerFile) });
  try {
    const { gpu } = await openGpuFor({ adapter });
    const make = (part: string) =>
      part === 'unet' || part === 'vae' || part === 'text_encoder' ? remake(part) : undefined;
    async function* remake(part: WeightedComponent) {
      const cooked = await cookPart(gpu, opened.recipe, part, { hashOf: opened.hashOf, signal: io.signal });
      if (!cooked) return;
      const line = byteProgress();
      const onProgress = (done: number, total: number) => output.status(`making ${part} again: ${line(done, total)}`);
      try {
        yield* rebuild(gpu, cooked, { signal: io.signal, onProgress });
      } finally {
        await cooked.close();
      }
    }
    const verdict = await verifySoup(ledger, soup, make);
    if (!verdict.ok && ledger.arithmetic === 'deterministic') {
      output.note('the method is deterministic on one adapter only: on another one the last bits may differ');
    }
    return tell(verdict, path, output);
  } finally {
    await opened.close();
  }
}

function tell({ ok, parts, problems }: Verdict, path: string, output: Output): boolean {
  output.endStatus();
  const rows = parts.map(({ name, expected, found, rebuilt, tensors }) => [
    name,
    `${tensors} tensors`,
    found?.slice(0, 12) ?? '',
    found === expected ? 'as in the ledger' : 'not as in the ledger',
    rebuilt === undefined ? '' : rebuilt === found ? 'the same, made again' : 'different, made again',
  ]);
  for (const line of table(rows, 'lrlll')) output.print(line);
  for (const problem of problems) output.error(printable(problem));
  if (ok) output.print(`${printable(path)} is what its ledger says`);
  output.result({ soup: path, ok, parts, problems, warnings: output.warnings });
  return ok;
}
