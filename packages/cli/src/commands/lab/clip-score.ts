/** `soup lab clip-score`: how well pictures show what was asked for, by CLIP. */
import { readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CheckpointError, clipCosines, UsageError } from '@diffusion-soup/core';
import type { Command } from 'commander';
import { diskError } from '../../atomic-file.js';
import { adapterName, openGpuFor } from '../../gpu.js';
import { inspect } from '../../inspect/inspect.js';
import { cosinesOf, type LabClip, openLabClip } from '../../lab/clip.js';
import { type ClipRow, clipReport } from '../../lab/clip-report.js';
import { type Drawing, drawAll } from '../../lab/drawing.js';
import { finishReport } from '../../lab/report-files.js';
import { openRivals } from '../../lab/rivals.js';
import { type LabFlags, openLab, withLabFlags } from '../../lab/session.js';
import type { Output } from '../../output.js';
import { readTextFile } from '../../recipe-file.js';
import type { Run } from '../../run.js';
import { readStartPicture } from '../../start-picture.js';
import { printable } from '../../text.js';
import { version } from '../../version.js';

interface ClipFlags extends LabFlags {
  readonly clip: string;
  readonly images?: string;
  readonly paragon?: string;
}

export function clipScoreCommand(lab: Command, run: Run): void {
  const command = lab
    .command('clip-score')
    .description(
      'Scores pictures by CLIP: the cosine of picture and prompt, and 2.5 * max(cosine, 0) (Hessel et al. 2021). Pictures are ' +
        'those of a folder, with the prompts that are written in them, or what base, ingredients, soup and ensemble draw.',
    )
    .argument('[model...]', "the soup's ingredients (default: the shipped shards)")
    .requiredOption('--clip <folder>', 'a CLIP checkpoint as transformers writes it')
    .option('--images <folder>', 'score these instead; apple.txt beside apple.png takes the place of the prompt in it')
    .option('--paragon <model>', 'one model trained on all of it (default: a folder "paragon" beside the models)');
  withLabFlags(command, { prompts: 4, seeds: 1, steps: 12 })
    .addHelpText(
      'after',
      `
Examples:
  soup lab clip-score --clip ./clip-vit-large-patch14
  soup lab clip-score noto+ink --clip ./clip-vit-base-patch32 --prompts 16 --seeds 4
  soup lab clip-score --clip ./clip-vit-base-patch32 --images ./pictures --json`,
    )
    .action(async (words: string[], flags: ClipFlags) => {
      const output = run.output(flags);
      if (flags.images !== undefined) await scoreFolder(words, flags.images, flags, output);
      else await scoreModels(words, flags, output);
    });
}

async function scoreModels(words: readonly string[], flags: ClipFlags, output: Output): Promise<void> {
  const lab = await openLab('clip-score', words, flags, output);
  let clip: LabClip | undefined;
  try {
    const rivals = await openRivals(lab, flags.paragon);
    try {
      clip = await openLabClip(lab, flags.clip);
      const tick = lab.progress('drawn', rivals.all.length * lab.prompts.length * lab.seeds.length);
      const rows: ClipRow[] = [];
      const drawn: Drawing[] = [];
      for (const rival of rivals.all) {
        const drawings = await drawAll(lab, rival.painter, tick);
        const cosines = await cosinesOf(lab, clip, rival.painter, drawings);
        rows.push(...drawings.map(({ id, prompt }, i) => ({ group: rival.name, id, prompt, cosine: cosines[i]! })));
        drawn.push(...drawings);
      }
      const { report, csv } = clipReport(rows, {
        title: `CLIP score: ${lab.kitchen.title}`,
        command: lab.command(`--clip ${flags.clip}`),
        setup: { ...lab.setup(), clip: clip.root },
      });
      await finishReport(lab, report, { csv, drawings: drawn });
    } finally {
      await clip?.model.destroy();
      await rivals.close();
    }
  } finally {
    await lab.close();
  }
}

async function scoreFolder(words: readonly string[], folder: string, flags: ClipFlags, output: Output): Promise<void> {
  if (words.length > 0) throw new UsageError('--images has its pictures; name no models beside it');
  const names = await readdir(folder).catch((error: unknown) => {
    throw diskError(folder, error, 'read');
  });
  const files = names.filter((name) => /\.(png|jpe?g|webp|avif)$/i.test(name)).sort();
  if (files.length === 0) throw new CheckpointError(`${printable(folder)} has no pictures (png, jpg, webp, avif).`);
  const opened = await openGpuFor({ precision: flags.precision, budget: flags.memory, adapter: flags.adapter });
  const clip = await openLabClip(opened, flags.clip);
  try {
    const rows: ClipRow[] = [];
    for (const [i, name] of files.entries()) {
      output.status(`picture ${i + 1} of ${files.length}`);
      const path = join(folder, name);
      const { prompt, width, height } = await promptOf(path, names);
      const image = await readStartPicture(path, { width, height });
      const [cosine] = await clipCosines(clip.model, [{ image, prompt }]);
      rows.push({ group: 'pictures', id: name, prompt, cosine: cosine! });
    }
    const { report, csv } = clipReport(rows, {
      title: `CLIP score of ${files.length} pictures`,
      command: `soup lab clip-score --clip ${flags.clip} --images ${folder}`,
      setup: { clip: clip.root, adapter: adapterName(opened.adapter), version },
    });
    await finishReport({ output, flags }, report, { csv, drawings: [] });
  } finally {
    await clip.model.destroy();
  }
}

/** The caption beside it, or what is written in it. */
async function promptOf(path: string, names: readonly string[]) {
  const found = await inspect(path);
  if (found.kind !== 'picture') throw new CheckpointError(`${printable(path)} is no picture.`, { file: path });
  const { width, height } = found;
  const caption = path.replace(/\.[^.]+$/, '.txt');
  if (names.includes(basename(caption))) return { width, height, prompt: (await readTextFile(caption)).trim() };
  const prompt = found.parameters?.prompt ?? found.comfy?.positive[0];
  if (prompt !== undefined) return { width, height, prompt };
  throw new CheckpointError(
    `${printable(path)} does not say what it was drawn from: give its prompt in ${printable(caption)}.`,
    { file: path },
  );
}
