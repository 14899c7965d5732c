/** `soup doctor`: what this machine can do, and what to do about what it cannot. */
import { readdir } from 'node:fs/promises';
import { freemem, totalmem } from 'node:os';
import { formatBytes, isSoftware, SoupError, wantedFeatures, wantedLimits } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { type CommonFlags, withCommonFlags } from '../flags.js';
import { adapterName, loadDevice, say } from '../gpu.js';
import { matrixUnitsOf } from '../matrix-units.js';
import type { Output } from '../output.js';
import { pantry } from '../recipe.js';
import { understood } from '../report.js';
import type { Run } from '../run.js';
import { table } from '../table.js';
import { type Env, readTuning, tuningFile } from '../tuning.js';
import { version, versionOf } from '../version.js';

interface DoctorFlags extends CommonFlags {
  readonly adapter?: string;
}

export function doctorCommand(program: Command, run: Run): void {
  const command = program
    .command('doctor')
    .summary('look at the GPU and the set-up')
    .description('Shows the GPU adapter and what it can do, the versions, the memory and the pantry.')
    .option('--adapter <name>', "part of a GPU's name, to choose one of several");
  withCommonFlags(command)
    .addHelpText(
      'after',
      `
Examples:
  soup doctor
  soup doctor --json | jq .adapter.name`,
    )
    .action(async (flags: DoctorFlags) => {
      run.exitCode = await doctor(flags, run.output(flags));
    });
}

async function doctor({ adapter: name }: DoctorFlags, output: Output): Promise<number> {
  const found = await inspect(name, output.io.env).catch((error: unknown) => {
    const understandable = understood(error);
    if (understandable instanceof SoupError) return understandable;
    throw error;
  });
  const folder = pantry(output.io.env);
  const facts = {
    versions: { soup: version, node: process.versions.node, webgpu: versionOf('webgpu') },
    platform: `${process.platform}-${process.arch}`,
    memory: { free: freemem(), total: totalmem() },
    pantry: { folder, models: await modelsIn(folder) },
  };
  const failure = found instanceof SoupError ? found : undefined;
  const tips = found instanceof SoupError ? [] : tipsFor(found, facts.pantry.models.length > 0, folder);
  if (found instanceof SoupError) {
    output.result({ error: toError(found), adapter: null, ...facts, tips });
    output.error(found.message);
  } else {
    output.result({ adapter: found, ...facts, tips });
  }

  const { style } = output;
  const gpu: [string, string][] =
    found instanceof SoupError
      ? [['adapter', style.bad('none')]]
      : [
          ['adapter', found.name],
          [
            'vendor',
            `${found.vendor || '-'} (architecture ${found.architecture || '-'}, device ${found.device || '-'})`,
          ],
          ['driver', found.driver],
          ['features', found.features.join(', ') || 'none of those that soup uses'],
          ['precision', `${found.precision}${found.precision === 'f32' ? ' (the adapter has no shader-f16)' : ''}`],
          ['matrix units', found.matrixUnits],
          ['tiles', found.tuned > 0 ? `tuned for ${found.tuned} products` : 'by rule; soup tune looks for faster ones'],
          ...Object.entries(found.limits).map(([limit, value]): [string, string] => [limit, sizeOf(limit, value)]),
        ];
  const rows: [string, string][] = [
    ...gpu,
    ['soup', facts.versions.soup],
    ['node', facts.versions.node],
    ['webgpu', facts.versions.webgpu ?? 'not found'],
    ['system', facts.platform],
    ['memory', `${formatBytes(facts.memory.free)} free of ${formatBytes(facts.memory.total)}`],
    [
      'pantry',
      facts.pantry.models.length > 0 ? `${folder}: ${facts.pantry.models.join(', ')}` : `${folder}: not found`,
    ],
  ];
  for (const line of table(
    rows.map(([key, value]) => [style.dim(key), value]),
    'll',
  ))
    output.print(line);
  for (const tip of tips) output.print(`\n${style.bold('tip')}: ${tip}`);
  return failure?.exitCode ?? 0;
}

async function inspect(name: string | undefined, env: Env) {
  const { openAdapter } = await loadDevice();
  const adapter = await openAdapter({ adapter: name });
  const { vendor, architecture, device, description } = adapter.info;
  const matrix = await matrixUnitsOf(adapter, name, env, { onAsking: say });
  const tuning = tuningFile(adapter, env);
  return {
    name: adapterName(adapter),
    ...{ vendor, architecture, device },
    /** Dawn puts the driver and its version here. */
    driver: description,
    isSoftware: isSoftware(adapter.info),
    features: wantedFeatures.filter((feature) => adapter.features.has(feature)),
    limits: wantedLimits(adapter),
    precision: adapter.features.has('shader-f16') ? 'f16' : 'f32',
    matrixUnits: matrix?.units ?? 'none',
    matrixWarning: matrix?.warning,
    /** Products that `soup tune` has found tiles for. */
    tuned: tuning === undefined ? 0 : (await readTuning(tuning)).length,
  };
}

type Found = Awaited<ReturnType<typeof inspect>>;

function tipsFor(
  { isSoftware: software, precision, matrixWarning }: Found,
  hasPantry: boolean,
  folder: string,
): string[] {
  return [
    ...(matrixWarning === undefined ? [] : [matrixWarning]),
    ...(software
      ? [
          'this adapter draws on the processor: right, but slow. With a graphics card in the machine, install its ' +
            'Vulkan driver; with several adapters, choose one with --adapter.',
        ]
      : []),
    ...(precision === 'f32' ? ['without shader-f16 activations take twice the memory; weights stay as they are.'] : []),
    ...(hasPantry ? [] : [`no models in ${folder}: run soup where the pantry is, or set SOUP_PANTRY.`]),
  ];
}

const sizeOf = (limit: string, value: number): string =>
  /Size$/.test(limit) && !/Workgroup/.test(limit) ? formatBytes(value) : String(value);

const toError = ({ name, message, exitCode, facts }: SoupError) => ({ name, message, exitCode, facts });

async function modelsIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .map(({ name }) => name)
    .sort();
}
