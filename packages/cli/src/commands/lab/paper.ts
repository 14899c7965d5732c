/** `soup lab paper`: the comparison that the paper makes, on models of one's own. */
import { timestepsAt } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { wholeNumber } from '../../flags.js';
import { cosinesOf, type LabClip, openLabClip } from '../../lab/clip.js';
import type { ClipRow } from '../../lab/clip-report.js';
import { type Copies, copyFinder } from '../../lab/copies.js';
import { drawAll } from '../../lab/drawing.js';
import { writeMarkdown } from '../../lab/markdown.js';
import type { DrawnCopies, SetLosses } from '../../lab/memory-numbers.js';
import { paperReport } from '../../lab/paper-report.js';
import { finishReport } from '../../lab/report-files.js';
import { openRivals } from '../../lab/rivals.js';
import { type Lab, openLab, withLabFlags } from '../../lab/session.js';
import { openTraining, sampleOf } from '../../lab/training.js';
import type { Run } from '../../run.js';
import { extraOf, lookedAt, type MemoryFlags, withTrainingFlags } from './memory.js';

export function paperCommand(lab: Command, run: Run): void {
  const command = lab
    .command('paper')
    .description(
      'Soup against paragon, best single model and base: the denoising loss on what each ingredient was trained on, the CLIP ' +
        'score of drawings where there is a checkpoint, and how near drawings come to training pictures.',
    )
    .argument('[model...]', "the soup's ingredients (default: the shipped shards)")
    .option('--shortlist <number>', 'training pictures looked at closely for each drawing', wholeNumber(2, 10_000), 8);
  withLabFlags(withTrainingFlags(command, { pictures: 6, timesteps: 2 }), { prompts: 3, seeds: 1, steps: 10 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab paper
  soup lab paper --pictures 200 --timesteps 8 --prompts 16 --seeds 4 --clip ./clip-vit-base-patch32
  soup lab paper A+B --training ./pictures --paragon AB`,
    )
    .action(async (words: string[], flags: MemoryFlags) => {
      const lab = await openLab('paper', words, flags, run.output(flags));
      try {
        await measurePaper(lab, flags);
      } finally {
        await lab.close();
      }
    });
}

async function measurePaper(lab: Lab, flags: MemoryFlags): Promise<void> {
  const { kitchen, prompts, seeds, output } = lab;
  const rivals = await openRivals(lab, flags.paragon);
  let clip: LabClip | undefined;
  try {
    const names = kitchen.ingredients.map(({ name }) => name);
    const training = await openTraining(flags.training, names, rivals.size);
    if (flags.clip !== undefined) clip = await openLabClip(lab, flags.clip);
    const timesteps = timestepsAt(rivals.model.scheduler, flags.timesteps);
    const samples = training.sets.map(({ name, members, heldOut }) => ({
      set: name,
      members: sampleOf(members, flags.pictures, flags.seed),
      heldOut: sampleOf(heldOut, flags.pictures, flags.seed),
    }));
    const judged = samples.reduce((sum, { members, heldOut }) => sum + members.length + heldOut.length, 0);
    const total = rivals.all.length * (judged + 2 * prompts.length * seeds.length);
    const tick = lab.progress('measured', total);
    const finder = copyFinder(lab, rivals, {
      training: training.sets.flatMap(({ members }) => members),
      shortlist: flags.shortlist,
      ...(clip && { clip }),
    });
    const losses: SetLosses[] = [];
    const drawn: DrawnCopies[] = [];
    const clipRows: ClipRow[] = [];
    for (const rival of rivals.all) {
      const { name, kind, painter } = rival;
      for (const { set, members, heldOut } of samples) {
        const seen = await rivals.losses(rival, members, timesteps, tick);
        losses.push({
          set,
          rival: name,
          kind,
          members: seen,
          others: await rivals.losses(rival, heldOut, timesteps, tick),
        });
      }
      const drawings = await drawAll(lab, painter, tick);
      const copies: Copies[] = [];
      for (const drawing of drawings) {
        copies.push(await finder.find(lookedAt(rival, drawing, flags)));
        tick();
      }
      drawn.push({ name, kind, drawings, copies });
      const cosines = clip ? await cosinesOf(lab, clip, painter, drawings) : [];
      clipRows.push(
        ...cosines.map((cosine, i) => ({ group: name, id: drawings[i]!.id, prompt: drawings[i]!.prompt, cosine })),
      );
    }
    const findings = {
      ...{ drawn, losses, timesteps, notes: training.notes },
      ...(rivals.paragon && { paragon: rivals.paragon }),
      ...(clip && { clip: clip.root, clipRows }),
    };
    const { report, csv } = paperReport(lab, findings, extraOf(flags));
    const files = await writeMarkdown(report, flags.out);
    await finishReport(lab, report, { csv, drawings: drawn.flatMap(({ drawings }) => drawings) });
    for (const file of files) output.print(file);
  } finally {
    await clip?.model.destroy();
    await rivals.close();
  }
}
