/** `soup lab memory`: whether a soup gives back what its ingredients were trained on. */
import { timestepsAt, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { wholeNumber } from '../../flags.js';
import { type LabClip, openLabClip } from '../../lab/clip.js';
import { type Copies, copyFinder, type Looked } from '../../lab/copies.js';
import { type Drawing, drawAll } from '../../lab/drawing.js';
import type { DrawnCopies, MemoryFindings, SetLosses } from '../../lab/memory-numbers.js';
import { memoryReport } from '../../lab/memory-report.js';
import { finishReport } from '../../lab/report-files.js';
import { openRivals, type Rival, type Rivals } from '../../lab/rivals.js';
import { type Lab, type LabFlags, openLab, withLabFlags } from '../../lab/session.js';
import { openTraining, sampleOf, type Training, type TrainingPicture } from '../../lab/training.js';
import type { Run } from '../../run.js';

export interface MemoryFlags extends LabFlags {
  readonly training?: string;
  readonly clip?: string;
  readonly paragon?: string;
  readonly pictures: number;
  readonly timesteps: number;
  readonly shortlist: number;
}

export function withTrainingFlags(command: Command, { pictures, timesteps }: { pictures: number; timesteps: number }) {
  return command
    .option(
      '--training <folder>',
      "pictures of each ingredient in folders of its name, captions beside them, held-out/ in them (default: the shipped shards' emoji)",
    )
    .option('--paragon <model>', 'one model trained on all of it (default: a folder "paragon" beside the models)')
    .option('--clip <folder>', 'a CLIP checkpoint as transformers writes it, for distances and scores')
    .option(
      '--pictures <number>',
      'training pictures of each ingredient whose loss is measured',
      wholeNumber(2, 100_000),
      pictures,
    )
    .option('--timesteps <number>', 'at which it is measured', wholeNumber(1, 1000), timesteps);
}

export function memoryCommand(lab: Command, run: Run): void {
  const command = lab
    .command('memory')
    .description(
      'Looks for copies of training pictures in what base, ingredients, soup, ensemble and paragon draw, and asks by their ' +
        'losses whether they know which pictures they were trained on.',
    )
    .argument('[model...]', "the soup's ingredients (default: the shipped shards)")
    .option('--shortlist <number>', 'training pictures looked at closely for each drawing', wholeNumber(2, 10_000), 16);
  withLabFlags(withTrainingFlags(command, { pictures: 10, timesteps: 3 }), { prompts: 6, seeds: 1, steps: 12 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab memory
  soup lab memory noto+ink --pictures 100 --timesteps 8 --seeds 4
  soup lab memory A+B --training ./pictures --clip ./clip-vit-large-patch14 --paragon AB`,
    )
    .action(async (words: string[], flags: MemoryFlags) => {
      const lab = await openLab('memory', words, flags, run.output(flags));
      try {
        await measureMemory(lab, flags);
      } finally {
        await lab.close();
      }
    });
}

async function measureMemory(lab: Lab, flags: MemoryFlags): Promise<void> {
  const { kitchen, prompts, seeds } = lab;
  const rivals = await openRivals(lab, flags.paragon);
  let clip: LabClip | undefined;
  try {
    const training = await openTraining(
      flags.training,
      kitchen.ingredients.map(({ name }) => name),
      rivals.size,
    );
    if (flags.clip !== undefined) clip = await openLabClip(lab, flags.clip);
    const timesteps = timestepsAt(rivals.model.scheduler, flags.timesteps);
    const each = prompts.length * seeds.length;
    const groups = groupsOf(lab, training, flags.pictures);
    const judged = groups.flatMap(({ set, members, heldOut }) =>
      judgesOf(rivals, set).map(() => members.length + heldOut.length),
    );
    const total = 2 * each * rivals.all.length + each * training.sets.length + judged.reduce((a, b) => a + b, 0);
    const tick = lab.progress('measured', total);
    const finder = copyFinder(lab, rivals, {
      training: training.sets.flatMap(({ members }) => members),
      shortlist: flags.shortlist,
      ...(clip && { clip }),
    });
    const drawn: DrawnCopies[] = [];
    for (const rival of rivals.all) {
      const drawings = await drawAll(lab, rival.painter, tick);
      const copies: Copies[] = [];
      for (const drawing of drawings) {
        copies.push(await finder.find(lookedAt(rival, drawing, flags)));
        tick();
      }
      drawn.push({ name: rival.name, kind: rival.kind, drawings, copies });
    }
    const unseen = await unseenCopies(lab, rivals, training, each, finder, tick);
    const losses: SetLosses[] = [];
    for (const { set, members, heldOut } of groups) {
      for (const rival of judgesOf(rivals, set)) {
        losses.push({
          ...{ set, rival: rival.name, kind: rival.kind },
          members: await rivals.losses(rival, members, timesteps, tick),
          others: await rivals.losses(rival, heldOut, timesteps, tick),
        });
      }
    }
    const findings: MemoryFindings = {
      ...{ drawn, unseen, losses, timesteps, notes: training.notes },
      ...(rivals.paragon && { paragon: rivals.paragon }),
      ...(clip && { clip: clip.root }),
    };
    const { report, csv } = memoryReport(lab, findings, extraOf(flags));
    const nearest = await nearestDrawings(training, drawn);
    await finishReport(lab, report, { csv, drawings: [...drawn.flatMap(({ drawings }) => drawings), ...nearest] });
  } finally {
    await clip?.model.destroy();
    await rivals.close();
  }
}

/** A drawing, as copies of it are looked for. */
export const lookedAt = (rival: Rival, drawing: Drawing, { steps, guidance, sampler }: LabFlags): Looked => {
  const { prompt, seed, image, latents } = drawing;
  const key = { rival: rival.key, prompt, seed: String(seed), steps, guidance, sampler: sampler ?? null };
  return { key, prompt, image, latents: async () => latents };
};

export const extraOf = (flags: MemoryFlags): string =>
  [
    ...(flags.training === undefined ? [] : [`--training ${flags.training}`]),
    ...(flags.clip === undefined ? [] : [`--clip ${flags.clip}`]),
    ...(flags.paragon === undefined ? [] : [`--paragon ${flags.paragon}`]),
    `--pictures ${flags.pictures} --timesteps ${flags.timesteps}`,
    ...(flags.shortlist === undefined ? [] : [`--shortlist ${flags.shortlist}`]),
  ].join(' ');

interface Group {
  readonly set: string;
  readonly members: readonly TrainingPicture[];
  readonly heldOut: readonly TrainingPicture[];
}

const groupsOf = ({ flags }: Lab, { sets }: Training, count: number): Group[] =>
  sets.map(({ name, members, heldOut }) => {
    if (members.length === 0) throw new UsageError(`${name} has no training pictures`);
    return { set: name, members: sampleOf(members, count, flags.seed), heldOut: sampleOf(heldOut, count, flags.seed) };
  });

/** Whom an ingredient's pictures are shown to: base, which has seen none, itself, soup and paragon. */
const judgesOf = ({ all }: Rivals, set: string): Rival[] =>
  all.filter(({ kind, name }) => kind !== 'ensemble' && (kind !== 'ingredient' || name === set));

/** What real pictures that were not trained on have for nearest training pictures: how near is near by chance. */
async function unseenCopies(
  { flags }: Lab,
  rivals: Rivals,
  { sets }: Training,
  count: number,
  finder: ReturnType<typeof copyFinder>,
  tick: () => void,
): Promise<{ set: string; copies: Copies[] }[]> {
  const found: { set: string; copies: Copies[] }[] = [];
  for (const { name, heldOut } of sets) {
    const copies: Copies[] = [];
    for (const picture of sampleOf(heldOut, count, flags.seed)) {
      const looked = { key: { picture: picture.id }, prompt: picture.caption, image: await picture.image() };
      copies.push(await finder.find({ ...looked, latents: () => rivals.latents(picture) }));
      tick();
    }
    found.push({ set: name, copies });
  }
  return found;
}

/** The training pictures that are shown in the report. */
async function nearestDrawings({ sets }: Training, drawn: readonly DrawnCopies[]): Promise<Drawing[]> {
  const byId = new Map(sets.flatMap(({ members }) => members).map((picture) => [picture.id, picture]));
  const ids = new Set(drawn.flatMap(({ copies }) => copies.flatMap(({ pixels }) => (pixels ? [pixels.id] : []))));
  const drawings: Drawing[] = [];
  for (const id of ids) {
    const picture = byId.get(id)!;
    drawings.push({ id, prompt: picture.caption, seed: 0n, image: await picture.image(), latents: new Float32Array() });
  }
  return drawings;
}
