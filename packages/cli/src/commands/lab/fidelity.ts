/** `soup lab fidelity`: how far a soup is from the score ensemble that it stands for. */
import {
  type FidelityPath,
  fidelityPath,
  type Model,
  type Networks,
  noiseResiduals,
  openNetworks,
  type PathStep,
  type Residual,
} from '@diffusion-soup/core';
import type { Command } from 'commander';
import { loadWithProgress } from '../../drawing.js';
import { wholeNumber } from '../../flags.js';
import { type Drawing, drawAll, type KeptPicture, keepPicture, type Painter, readPicture } from '../../lab/drawing.js';
import { type FidelityPicture, fidelityReport, type NoiseRow } from '../../lab/fidelity-report.js';
import { finishReport } from '../../lab/report-files.js';
import { type Lab, type LabFlags, openLab, withLabFlags } from '../../lab/session.js';
import { soupKey } from '../../lab/soups.js';
import type { Run } from '../../run.js';

interface FidelityFlags extends LabFlags {
  readonly blocks: number;
  readonly blockPrompts: number;
}

/** Of the training's timesteps. */
const NOISE_AT = [0.05, 0.2, 0.4, 0.6, 0.8, 0.95];

export function fidelityCommand(lab: Command, run: Run): void {
  const command = lab
    .command('fidelity')
    .description(
      'Compares a soup with its score ensemble, the weighted mean of what its ingredients predict: by timestep, by prompt, ' +
        'by block, and by the pictures that both draw from the same noise.',
    )
    .argument('[model...]', "the soup's ingredients, as noto+ink or noto:2+ink:1 (default: the shipped shards)")
    .option('--blocks <number>', 'steps at which every block is looked at by itself', wholeNumber(0, 1000), 2)
    .option('--block-prompts <number>', 'prompts for which that is done', wholeNumber(1, 1000), 4);
  withLabFlags(command, { prompts: 8, seeds: 1, steps: 12 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab fidelity
  soup lab fidelity noto+ink --prompts 16 --seeds 4 -o fidelity
  soup lab fidelity noto:3+ink:1 -p "red apple" --blocks 0 --json | jq .data.residual`,
    )
    .action(async (words: string[], flags: FidelityFlags) => {
      const lab = await openLab('fidelity', words, flags, run.output(flags));
      try {
        await measureFidelity(lab, flags);
      } finally {
        await lab.close();
      }
    });
}

async function measureFidelity(lab: Lab, { blocks, blockPrompts }: FidelityFlags): Promise<void> {
  const { kitchen, gpu, opened, output, prompts, seeds, flags } = lab;
  let room = 0;
  const networks = await openNetworks(gpu, kitchen.open, { signal: output.io.signal, room: () => room });
  const { model } = await loadWithProgress(opened, kitchen, output);
  const { sampleSize } = model.unet.config;
  room = model.vae.decodeFootprint({ images: 1, height: sampleSize, width: sampleSize }).peak;
  try {
    const key = soupKey(lab);
    const painter = (name: 'soup' | 'base'): Painter => ({
      name,
      key: name === 'soup' ? { soup: key } : { base: true, text: key },
      model: async () => ({ ...model, unet: networks[name] }),
    });
    const count = prompts.length * seeds.length;
    const tick = lab.progress('measured', count * (flags.steps + 2) + NOISE_AT.length);
    const noise = await noiseRows(lab, model, networks, key, tick);
    const soup = await drawAll(lab, painter('soup'), tick);
    const base = await drawAll(lab, painter('base'), tick);
    const pictures: FidelityPicture[] = [];
    for (const [i, drawing] of soup.entries()) {
      const hasBlocks = drawing.seed === seeds[0] && prompts.indexOf(drawing.prompt) < blockPrompts;
      const blocksAt = hasBlocks ? spread(blocks, flags.steps) : [];
      const path = await pathOf(lab, model, networks, drawing, { key, blocksAt, tick });
      pictures.push({ ...path, soup: drawing, base: base[i]! });
    }
    const extra = `--blocks ${blocks} --block-prompts ${blockPrompts}`;
    const { report, csv } = fidelityReport(lab, { pictures, noise }, extra);
    const drawings = pictures.flatMap(({ ensemble, soup, base }) => [ensemble, soup, base]);
    await finishReport(lab, report, { csv, drawings });
  } finally {
    await model.destroy();
    await networks.close();
  }
}

/** `count` of `steps`, in the middle of as many equal parts. */
const spread = (count: number, steps: number): number[] => [
  ...new Set(Array.from({ length: count }, (_, i) => Math.floor(((i + 0.5) * steps) / count))),
];

async function noiseRows(
  lab: Lab,
  model: Model,
  networks: Networks,
  soup: readonly string[],
  tick: () => void,
): Promise<NoiseRow[]> {
  const { prompts, seeds, measurements, identity } = lab;
  const rows: NoiseRow[] = [];
  for (const part of NOISE_AT) {
    const timestep = Math.round(part * model.scheduler.numTrainTimesteps);
    const seed = seeds[0]!;
    const key = { measure: 'fidelity-noise', identity, soup, prompts, timestep, seed };
    const residuals = await lab.measurements.of<Residual[]>(key, () =>
      noiseResiduals(model, networks, { prompts, timestep, seed }),
    );
    if (measurements.isKnown(key)) tick();
    rows.push({ timestep, residuals });
  }
  return rows;
}

interface PathOptions {
  readonly key: readonly string[];
  readonly blocksAt: readonly number[];
  readonly tick: () => void;
}

interface KeptPath extends KeptPicture {
  readonly steps: readonly PathStep[];
}

async function pathOf(
  lab: Lab,
  model: Model,
  networks: Networks,
  { prompt, seed }: Drawing,
  { key, blocksAt, tick }: PathOptions,
): Promise<Pick<FidelityPicture, 'prompt' | 'seed' | 'steps' | 'ensemble'>> {
  const { flags, identity, measurements, output } = lab;
  const { steps, guidance, sampler } = flags;
  const settings = { prompt, seed, steps, guidance, sampler };
  const asked = { measure: 'fidelity-path', identity, soup: key, ...settings, blocksAt };
  const kept = await measurements.of<KeptPath>(asked, async () => {
    const path: FidelityPath = await fidelityPath(
      model,
      networks,
      { ...settings, signal: output.io.signal },
      { blocksAt, onStep: tick },
    );
    return { steps: path.steps, ...(await keepPicture(path)) };
  });
  const id = `ensemble ${prompt} ${seed}`;
  const ensemble = { id, prompt, seed, ...(await readPicture(kept)) };
  return { prompt, seed: String(seed), steps: kept.steps, ensemble };
}
