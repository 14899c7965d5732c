/** `soup conformance`: a model folder against the reference tensors beside it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BOUNDS,
  CheckpointError,
  closeWeights,
  conform,
  type Difference,
  type GoldenKind,
  golden,
  goldenFile,
  goldenKinds,
  openModelFolder,
  openSafetensors,
  type Precision,
  type Weights,
} from '@diffusion-soup/core';
import { type Command, Option } from 'commander';
import { diskError } from '../atomic-file.js';
import { diskFolder, fileSource } from '../files.js';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { adapterName, openGpuFor } from '../gpu.js';
import type { Output } from '../output.js';
import { locate } from '../recipe.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { printable } from '../text.js';

interface ConformanceFlags extends CommonFlags {
  readonly precision: Precision | 'auto';
  readonly adapter?: string;
}

export function conformanceCommand(program: Command, run: Run): void {
  const command = program
    .command('conformance')
    .summary('compare a model with reference tensors')
    .description(
      `Runs a model folder and compares every tensor of the ${goldenFiles().join(', ')} in it. ` +
        'Exit code 0 when all hold, 1 when one does not.',
    )
    .argument('<folder>', 'a model folder with golden files')
    .addOption(new Option('--precision <tier>', 'of the activations').choices(['auto', 'f32', 'f16']).default('f32'))
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup conformance test/reference/sd15-tiny
  soup conformance test/reference/sd21-tiny --precision f16 --json`,
    )
    .action(async (name: string, flags: ConformanceFlags) => {
      run.exitCode = await conformance(name, flags, run.output(flags));
    });
}

const goldenFiles = (): string[] => goldenKinds.map(goldenFile);

async function conformance(name: string, flags: ConformanceFlags, output: Output): Promise<number> {
  const path = await locate(name, output.io.env);
  const kinds = await findGoldens(path);
  const folder = await openModelFolder(diskFolder(path));
  const open: Partial<Record<GoldenKind, Weights>> = {};
  const differences: (Difference & { kind: GoldenKind })[] = [];
  try {
    for (const kind of kinds) open[kind] = await openGolden(join(path, goldenFile(kind)));
    const { gpu, adapter } = await openGpuFor({ precision: flags.precision, adapter: flags.adapter });
    const text = open.text_encoder && golden(open.text_encoder);
    output.note(`${printable(path)} on ${adapterName(adapter)}, ${gpu.precision}`);
    for (const kind of kinds) {
      for await (const difference of conform(gpu, folder, kind, golden(open[kind]!), text)) {
        differences.push({ kind, ...difference });
        output.status(`${kind}: ${differences.length} tensors compared`);
        output.io.signal.throwIfAborted();
      }
    }
    output.endStatus();
    const failed = differences.filter(({ ok }) => !ok);
    printTable(differences, output);
    const all = differences.length;
    const allHold = failed.length === 0 && all > 0;
    const summary = all === 0 ? 'nothing was compared' : `${all - failed.length} of ${all} tensors hold`;
    output.print(`${allHold ? output.style.good('ok') : output.style.bad('FAILED')}: ${summary} (${gpu.precision})`);
    output.result({
      ok: allHold,
      compared: all,
      failed: failed.length,
      precision: gpu.precision,
      bounds: BOUNDS[gpu.precision],
      adapter: adapterName(adapter),
      differences,
    });
    return allHold ? 0 : 1;
  } finally {
    for (const weights of Object.values(open)) await closeWeights(weights);
  }
}

async function findGoldens(path: string): Promise<readonly GoldenKind[]> {
  const files = await readdir(path).catch((error: unknown) => {
    throw diskError(path, error, 'read');
  });
  const found = files.filter((file) => /^golden-.*\.safetensors$/.test(file)).sort();
  const unknown = found.find((file) => !goldenFiles().includes(file));
  if (unknown !== undefined) {
    throw new CheckpointError(
      `${printable(unknown)} is no kind of golden file that is known; expected ${goldenFiles().join(', ')}.`,
      { file: join(path, unknown) },
    );
  }
  if (found.length === 0) {
    throw new CheckpointError(
      `${printable(path)} has no golden file; expected at least one of ${goldenFiles().join(', ')}. ` +
        'What they hold is told in test/reference/README.md.',
      { file: path },
    );
  }
  return goldenKinds.filter((kind) => found.includes(goldenFile(kind)));
}

async function openGolden(path: string): Promise<Weights> {
  const source = await fileSource(path);
  return openSafetensors(source).catch(async (error: unknown) => {
    await source.close?.();
    throw error;
  });
}

function printTable(differences: readonly (Difference & { kind: GoldenKind })[], output: Output): void {
  const { style } = output;
  const rows = differences.map(({ kind, name, maxAbs, relativeL2, bound, maxAbsBound, ok }) => [
    `${kind}/${printable(name)}`,
    maxAbs.toExponential(2),
    relativeL2.toExponential(2),
    `${maxAbsBound === undefined ? '' : `max ${maxAbsBound.toExponential(1)}, `}${bound.toExponential(0)}`,
    ok ? style.good('pass') : style.bad('FAIL'),
  ]);
  for (const line of table([['tensor', 'max |error|', 'relative L2', 'bound', ''], ...rows], 'lrrrl'))
    output.print(line);
}
