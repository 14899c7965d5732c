/** `soup lab mix`: pictures between styles. */
import { fraction, multiply, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { loadWithProgress } from '../../drawing.js';
import { wholeNumber } from '../../flags.js';
import { type Drawing, drawAll } from '../../lab/drawing.js';
import { type Mixture, mixReport } from '../../lab/mix-report.js';
import { choices, range, soupsOf } from '../../lab/painters.js';
import { finishReport } from '../../lab/report-files.js';
import { type Lab, type LabFlags, openLab, withLabFlags } from '../../lab/session.js';
import type { Run } from '../../run.js';

interface MixFlags extends LabFlags {
  readonly stops: number;
}

/** A sheet of more is no longer looked at. */
const MOST_MODELS = 8;

export function mixCommand(lab: Command, run: Run): void {
  const command = lab
    .command('mix')
    .description(
      'Draws what lies between models: each alone, every pair in steps from one to the other, every three, and all ' +
        'together, from the same noise; and measures whether pictures change evenly on the way.',
    )
    .argument('[model...]', 'the models, as noto+ink (default: the shipped shards)')
    .option('--stops <number>', 'soups between the two ends of a pair', wholeNumber(1, 15), 3);
  withLabFlags(command, { prompts: 3, seeds: 1, steps: 12 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab mix
  soup lab mix noto ink -p rocket -p "cat face" --stops 7 -o mix
  soup lab mix noto+ink+twemoji --prompts 8 --json | jq .data.evenness`,
    )
    .action(async (words: string[], flags: MixFlags) => {
      const lab = await openLab('mix', words, flags, run.output(flags));
      try {
        await mix(lab, flags);
      } finally {
        await lab.close();
      }
    });
}

async function mix(lab: Lab, { stops }: MixFlags): Promise<void> {
  const { kitchen, opened, prompts, seeds } = lab;
  const { ingredients } = kitchen;
  const count = ingredients.length;
  if (count < 2 || count > MOST_MODELS) {
    throw new UsageError(`there are ${count} models; give 2 to ${MOST_MODELS}, whose pairs and triples fit a sheet`);
  }
  const recipes = mixturesOf(count, stops);
  const { model } = await loadWithProgress(opened, kitchen, lab.output);
  try {
    const soups = soupsOf(lab, model);
    const tick = lab.progress('drawn', recipes.length * prompts.length * seeds.length);
    const mixtures: Mixture[] = [];
    for (const shares of recipes) {
      const weights = ingredients.map(({ weight }, i) => multiply(weight, fraction(BigInt(shares[i]!))));
      const name = shares.map((share, i) => (share === 0 ? '' : `${ingredients[i]!.name}:${share}`)).filter(Boolean);
      const drawings: Drawing[] = await drawAll(lab, soups.painter(name.join('+'), weights), tick);
      mixtures.push({ shares, drawings });
    }
    const { report, csv } = mixReport(lab, { mixtures, stops }, `--stops ${stops}`);
    await finishReport(lab, report, { csv, drawings: mixtures.flatMap(({ drawings }) => drawings) });
  } finally {
    await model.destroy();
  }
}

/** How many parts of each model; 0 of most. */
function mixturesOf(count: number, stops: number): number[][] {
  const only = (parts: Readonly<Record<number, number>>) => range(count).map((i) => parts[i] ?? 0);
  const whole = stops + 1;
  const pairs = choices(count, 2).flatMap(([a, b]) =>
    range(stops).map((i) => only({ [a!]: whole - 1 - i, [b!]: i + 1 })),
  );
  const triples =
    count > 3 ? choices(count, 3).map((chosen) => only(Object.fromEntries(chosen.map((i) => [i, 1])))) : [];
  const all = count > 2 ? [range(count).map(() => 1)] : [];
  return [...range(count).map((i) => only({ [i]: 1 })), ...pairs, ...triples, ...all];
}
