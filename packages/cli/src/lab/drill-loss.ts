/** How well a soup denoises what each of its models draws. */
import { type Model, type ReconstructionPicture, reconstructionLoss } from '@diffusion-soup/core';
import type { Drawing } from './drawing.js';
import { range, type Soups } from './painters.js';
import type { Lab } from './session.js';
import { soupKey } from './soups.js';

/** The loss of a soup on what each model draws, by prompt: the mean over seeds and timesteps. */
export async function judgeOf(
  lab: Lab,
  model: Model,
  soups: Soups,
  alone: readonly (readonly Drawing[])[],
  timesteps: number,
): Promise<(subset: readonly number[]) => Promise<number[][]>> {
  const { prompts, measurements, identity, flags, output, seeds } = lab;
  const last = model.scheduler.numTrainTimesteps - 1;
  const at = range(timesteps).map((i) => Math.round(((i + 0.5) / timesteps) * last));
  const { steps, guidance, sampler } = flags;
  const drawn = alone.map((_, i) => soupKey(lab, soups.weightsOf([i])));
  let prepared: (() => Promise<number>)[][] | undefined;
  /** Only when something is missing: pictures go through the VAE for it. */
  const prepare = async () => {
    const rows: (() => Promise<number>)[][] = [];
    for (const drawings of alone) {
      const row: (() => Promise<number>)[] = [];
      for (const [p, prompt] of prompts.entries()) {
        const pictures = drawings.filter((drawing) => drawing.prompt === prompt) as readonly ReconstructionPicture[];
        // The same noise for every model's pictures and for every soup.
        const options = { timesteps: at, seed: flags.seed + BigInt(1000 * (p + 1)), signal: output.io.signal };
        row.push(await reconstructionLoss(model, pictures, options));
      }
      rows.push(row);
    }
    return rows;
  };
  return (subset) => {
    const soup = soupKey(lab, soups.weightsOf(subset));
    const settings = { steps, guidance, sampler: sampler ?? null, prompts, seeds, at };
    return measurements.of({ measure: 'drill-loss', identity, soup, drawn, ...settings }, async () => {
      prepared ??= await prepare();
      await soups.turnInto(soups.weightsOf(subset));
      const found: number[][] = [];
      for (const row of prepared) {
        const losses: number[] = [];
        for (const loss of row) losses.push(await loss());
        found.push(losses);
      }
      return found;
    });
  };
}
