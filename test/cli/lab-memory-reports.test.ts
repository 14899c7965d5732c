/** The reports of `soup lab memory` and `soup lab paper` in docs/lab: all from their CSV, and a part measured again. */
import { readFileSync } from 'node:fs';
import { auc, mean, type Report } from '@diffusion-soup/core';
import { describe, expect, test } from 'vitest';
import { copyFinder } from '../../packages/cli/src/lab/copies.ts';
import { drawAll } from '../../packages/cli/src/lab/drawing.ts';
import { openRivals } from '../../packages/cli/src/lab/rivals.ts';
import { type LabFlags, openLab } from '../../packages/cli/src/lab/session.ts';
import { openTraining, sampleOf } from '../../packages/cli/src/lab/training.ts';
import { createOutput } from '../../packages/cli/src/output.ts';
import { scratch } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const DOCS = new URL('../../docs/lab/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, DOCS), 'utf8');
/** Adapters round differently. */
const TOLERANCE = 0.02;

type Row = Readonly<Record<string, string>>;
/** Captions and prompts of these files have no commas. */
const rowsOf = (name: string): Row[] => {
  const [head, ...lines] = read(name).trimEnd().split('\r\n');
  return lines.map((line) => Object.fromEntries(head!.split(',').map((key, i) => [key, line.split(',')[i]!])));
};
const near = (found: number, expected: number | string) =>
  expect(Math.abs(found / Number(expected) - 1), `${found} for ${expected}`).toBeLessThan(TOLERANCE);

interface Interval {
  readonly mean: number;
}
const reportOf = (name: string) => JSON.parse(read(name)) as Report;
const memory = reportOf('memory.json');
const paper = reportOf('paper.json');
const memoryRows = rowsOf('memory.csv');
const paperRows = rowsOf('paper.csv');

/** The mean over timesteps of each picture's loss. */
function lossesOf(rows: readonly Row[], which: Row): number[] {
  const own = rows.filter((row) => Object.entries(which).every(([key, value]) => row[key] === value));
  const pictures = [...new Set(own.map(({ set, picture }) => `${set} ${picture}`))];
  return pictures.map((one) =>
    mean(own.filter(({ set, picture }) => `${set} ${picture}` === one).map(({ value }) => Number(value))),
  );
}

describe('numbers follow from the measurements', () => {
  test('membership', () => {
    const { membership } = memory.data as unknown as {
      membership: { set: string; rival: string; raw: Interval; calibrated?: Interval }[];
    };
    expect(membership).toHaveLength(16);
    for (const { set, rival, raw, calibrated } of membership) {
      const of = (model: string, trainedOn: string) => lossesOf(memoryRows, { measure: 'loss', set, model, trainedOn });
      const score = (trainedOn: string) => of(rival, trainedOn).map((loss) => -loss);
      expect(raw.mean).toBeCloseTo(auc(score('true'), score('false')), 4);
      const gain = (trainedOn: string) => of(rival, trainedOn).map((loss, i) => of('base', trainedOn)[i]! - loss);
      if (rival === 'base') expect(calibrated).toBeUndefined();
      else expect(calibrated!.mean).toBeCloseTo(auc(gain('true'), gain('false')), 4);
    }
  });

  test('nearness', () => {
    const { nearness } = memory.data as unknown as { nearness: { name: string; by: string; distance: Interval }[] };
    for (const { name, by, distance } of nearness) {
      if (name === 'not trained on') continue;
      const own = memoryRows.filter(({ measure, model }) => measure === by && model === name);
      expect(own.length).toBe((memory.setup.prompts as string[]).length);
      expect(distance.mean).toBeCloseTo(mean(own.map(({ value }) => Number(value))), 3);
    }
  });

  test('losses', () => {
    const { summaries, unseen } = paper.data as unknown as Record<string, { rival: string; loss: Interval }[]>;
    expect(summaries).toHaveLength(8);
    for (const { rival, loss } of summaries!) {
      const own = lossesOf(paperRows, { measure: 'loss', model: rival, trainedOn: 'true' });
      expect(loss.mean).toBeCloseTo(mean(own), 4);
    }
    for (const { rival, loss } of unseen!) {
      const own = lossesOf(paperRows, { measure: 'loss', model: rival, trainedOn: 'false' });
      expect(loss.mean).toBeCloseTo(mean(own), 4);
    }
  });
});

test('a drawing, its nearest training picture, and losses are measured again', async () => {
  const folder = scratch();
  const sink = { write: () => true };
  const io = { stdout: sink, stderr: sink, env: { SOUP_PANTRY: PANTRY }, signal: new AbortController().signal };
  const { setup } = memory;
  const [prompt] = setup.prompts as string[];
  const flags: LabFlags = {
    ...{ prompts: '1', prompt: [prompt!], seeds: 1, seed: BigInt((setup.seeds as string[])[0]!), out: folder.path },
    ...{ steps: Number(setup.steps), guidance: Number(setup.guidance), precision: 'f32' },
  };
  const lab = await openLab('test', ['noto+twemoji+fluent+ink'], flags, createOutput(io, { quiet: true }));
  const rivals = await openRivals(lab);
  try {
    expect(setup.models).toEqual(JSON.parse(JSON.stringify(lab.setup().models)));
    expect(setup.paragon).toBe(`paragon ${rivals.paragon!.root}`);
    const training = await openTraining(undefined, ['noto', 'twemoji', 'fluent', 'ink'], rivals.size);
    const shortlist = Number(/--shortlist (\d+)/.exec(memory.command)![1]);
    const finder = copyFinder(lab, rivals, { training: training.sets.flatMap(({ members }) => members), shortlist });
    const soup = rivals.all.find(({ kind }) => kind === 'soup')!;
    const [drawing] = await drawAll(lab, soup.painter, () => {});
    const found = await finder.find({
      key: 'test',
      prompt: prompt!,
      image: drawing!.image,
      latents: async () => drawing!.latents,
    });
    for (const by of ['pixels', 'latents'] as const) {
      const row = memoryRows.find(
        ({ measure, model, prompt: of }) => measure === by && model === 'soup' && of === prompt,
      )!;
      near(found[by]!.distance, row.value!);
      expect(`${found[by]!.set}: ${found[by]!.caption}`).toBe(row.nearest);
    }

    const timesteps = setup.timesteps as number[];
    const ink = training.sets[3]!;
    for (const [trainedOn, pictures] of [ink.members, ink.heldOut].entries()) {
      const [picture] = sampleOf(pictures, 1, flags.seed);
      const [losses] = await rivals.losses(soup, [picture!], timesteps, () => {});
      for (const rows of [memoryRows, paperRows]) {
        const own = rows.filter(
          (row) =>
            row.set === 'ink' && row.model === 'soup' && row.picture === '0' && row.trainedOn === `${trainedOn === 0}`,
        );
        expect(own.map(({ timestep }) => Number(timestep))).toEqual(timesteps);
        for (const [i, { value }] of own.entries()) near(losses![i]!, value!);
      }
    }
  } finally {
    await rivals.close();
    await lab.close();
    folder.remove();
  }
}, 300_000);
