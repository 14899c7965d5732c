/** `soup lab drill`: continual learning and unlearning, one model after the other. */
import { UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { loadWithProgress } from '../../drawing.js';
import { wholeNumber } from '../../flags.js';
import { type Drawing, drawAll } from '../../lab/drawing.js';
import { drillLedger, type LedgerDrill } from '../../lab/drill-ledger.js';
import { judgeOf } from '../../lab/drill-loss.js';
import { type DrillLoss, drillReport, type Stage } from '../../lab/drill-report.js';
import { range, soupsOf } from '../../lab/painters.js';
import { finishReport } from '../../lab/report-files.js';
import { type Lab, type LabFlags, openLab, withLabFlags } from '../../lab/session.js';
import { soupKey } from '../../lab/soups.js';
import type { Run } from '../../run.js';

interface DrillFlags extends LabFlags {
  readonly timesteps: number;
  readonly ledger: boolean;
}

export function drillCommand(lab: Command, run: Run): void {
  const command = lab
    .command('drill')
    .description(
      'Adds models to a soup one after the other and takes them out again. How well does each soup denoise what each model ' +
        'draws; how much does a picture change when one model is left out; and is a soup without a model the one that ' +
        'never had it?',
    )
    .argument('[model...]', 'the models in their order, as noto+ink (default: the shipped shards)')
    .option('--timesteps <number>', 'at which denoising is judged', wholeNumber(1, 100), 3)
    .option('--no-ledger', 'leave the proof by hashes out, for which soups are written to the disk');
  withLabFlags(command, { prompts: 6, seeds: 1, steps: 12 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab drill
  soup lab drill noto+ink+twemoji --prompts 16 --seeds 2 -o drill
  soup lab drill noto+ink --no-ledger --json | jq .data.influence`,
    )
    .action(async (words: string[], flags: DrillFlags) => {
      const lab = await openLab('drill', words, flags, run.output(flags));
      try {
        if (lab.kitchen.ingredients.length < 2) throw new UsageError('a drill needs two models or more');
        await drill(lab, flags);
      } finally {
        await lab.close();
      }
    });
}

/** The soups of the curve: up to all, then the first one leaves, then the second. */
function stagesOf(count: number, names: readonly string[]): Stage[] {
  return [
    ...range(count).map((i) => ({ label: `+ ${names[i]}`, subset: range(i + 1) })),
    ...range(count - 1).map((i) => ({ label: `− ${names[i]}`, subset: range(count).slice(i + 1) })),
  ];
}

async function drill(lab: Lab, { timesteps, ledger }: DrillFlags): Promise<void> {
  const { kitchen, opened, output, prompts, seeds } = lab;
  const count = kitchen.ingredients.length;
  const names = kitchen.ingredients.map(({ name }) => name);
  const { model } = await loadWithProgress(opened, kitchen, output);
  try {
    const soups = soupsOf(lab, model);
    const stages = stagesOf(count, names);
    const without = range(count).map((i) => range(count).filter((other) => other !== i));
    const judged = [...new Map([...stages.map(({ subset }) => subset), ...without].map((s) => [s.join(), s])).values()];
    const total = (2 * count + 1) * prompts.length * seeds.length + judged.length + (ledger ? count : 0);
    const tick = lab.progress('measured', total);
    const draw = (name: string, subset: readonly number[]) =>
      drawAll(lab, soups.painter(name, soups.weightsOf(subset)), tick);
    const alone: Drawing[][] = [];
    for (const i of range(count)) alone.push(await draw(names[i]!, [i]));
    const whole = await draw('soup', range(count));
    const left: Drawing[][] = [];
    for (const [i, subset] of without.entries()) left.push(await draw(`without ${names[i]}`, subset));
    const losses: DrillLoss[] = [];
    const judge = await judgeOf(lab, model, soups, alone, timesteps);
    for (const subset of judged) {
      losses.push({ subset, byModel: await judge(subset) });
      tick();
    }
    const proof = ledger ? await provenBy(lab, tick) : undefined;
    const extra = `--timesteps ${timesteps}${ledger ? '' : ' --no-ledger'}`;
    const findings = { stages, losses, whole, left, ...(proof && { proof }) };
    const { report, csv } = drillReport(lab, findings, extra);
    await finishReport(lab, report, { csv, drawings: [...whole, ...left.flat()] });
  } finally {
    await model.destroy();
  }
}

const provenBy = (lab: Lab, tick: () => void): Promise<LedgerDrill> =>
  lab.measurements.of({ measure: 'drill-ledger', identity: lab.identity, soup: soupKey(lab) }, () =>
    drillLedger(lab, tick),
  );
