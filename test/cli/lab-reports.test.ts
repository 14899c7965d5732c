/** The reports of `soup lab drill` and `soup lab mix` in docs/lab, made again for one prompt and a few of their soups. */
import { readFileSync } from 'node:fs';
import { fraction, multiply, pixelDistance } from '@diffusion-soup/core';
import { expect, test } from 'vitest';
import { loadWithProgress } from '../../packages/cli/src/drawing.ts';
import { drawAll } from '../../packages/cli/src/lab/drawing.ts';
import { judgeOf } from '../../packages/cli/src/lab/drill-loss.ts';
import { range, soupsOf } from '../../packages/cli/src/lab/painters.ts';
import { type LabFlags, openLab } from '../../packages/cli/src/lab/session.ts';
import { createOutput } from '../../packages/cli/src/output.ts';
import { scratch, soup } from '../support/cli.ts';
import { PANTRY } from '../support/files.ts';

const DOCS = new URL('../../docs/lab/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, DOCS), 'utf8');
/** Adapters round differently, and each of twelve steps stands on the last one. */
const TOLERANCE = 0.02;

const recorded = JSON.parse(read('drill.json'));
const { setup, data } = recorded;
const [prompt] = setup.prompts as string[];
const RECIPE = 'noto+twemoji+fluent+ink';
const NOTO = 0;
const INK = 3;

/** The row of a CSV, without quotes in it, that has these fields. */
function row(name: string, fields: Readonly<Record<string, string>>): Record<string, string> {
  const [head, ...lines] = read(name).trimEnd().split('\r\n');
  const rows = lines.map((line) => Object.fromEntries(head!.split(',').map((key, i) => [key, line.split(',')[i]!])));
  const found = rows.filter((one) => Object.entries(fields).every(([key, value]) => one[key] === value));
  expect(found, JSON.stringify(fields)).toHaveLength(1);
  return found[0]!;
}

const near = (found: number, expected: string) => {
  expect(Math.abs(found / Number(expected) - 1), `${found} for ${expected}`).toBeLessThan(TOLERANCE);
};

test('pictures, distances and losses are those of the reports', async () => {
  const folder = scratch();
  const sink = { write: () => true };
  const io = { stdout: sink, stderr: sink, env: { SOUP_PANTRY: PANTRY }, signal: new AbortController().signal };
  const flags: LabFlags = {
    ...{ prompts: '1', prompt: [prompt!], seeds: 1, seed: BigInt(setup.seeds[0]), out: folder.path },
    ...{ steps: setup.steps, guidance: setup.guidance, precision: 'f32' },
  };
  const lab = await openLab('test', [RECIPE], flags, createOutput(io, { quiet: true }));
  const { model } = await loadWithProgress(lab.opened, lab.kitchen, lab.output);
  try {
    expect(setup.models).toEqual(JSON.parse(JSON.stringify(lab.setup().models)));
    const soups = soupsOf(lab, model);
    const draw = async (weights: readonly ReturnType<typeof fraction>[]) =>
      (await drawAll(lab, soups.painter(weights.map(({ n }) => n).join(), weights), () => {}))[0]!;
    const all = range(4);
    const whole = await draw(soups.weightsOf(all));
    const without = await draw(soups.weightsOf(all.filter((i) => i !== INK)));
    const left = { measure: 'pixels', soup: 'without ink', prompt: prompt! };
    near(pixelDistance(without.image, whole.image), row('drill.csv', left).value!);

    const noto = await draw(soups.weightsOf([NOTO]));
    const half = soups.weightsOf([NOTO, INK]).map((weight) => multiply(weight, fraction(2n)));
    const between = await draw(half);
    const mixed = row('mix.csv', { soup: 'noto:2+ink:2', prompt: prompt! });
    near(pixelDistance(between.image, noto.image), mixed['pixels from noto']!);

    const timesteps = Number(/--timesteps (\d+)/.exec(recorded.command)![1]);
    const judge = await judgeOf(lab, model, soups, [[noto]], timesteps);
    const [[loss]] = (await judge(all)) as [[number]];
    near(loss, row('drill.csv', { measure: 'loss', soup: RECIPE, drawnBy: 'noto', prompt: prompt! }).value!);
  } finally {
    await model.destroy();
    await lab.close();
    folder.remove();
  }
}, 300_000);

test('the soup of the proof is the soup that merging makes', async () => {
  const folder = scratch();
  try {
    const { code, stderr } = await soup(['merge', 'noto+twemoji+ink', '--out', folder.in('soup')]);
    expect(code, stderr).toBe(0);
    const { result } = JSON.parse(readFileSync(folder.in('soup/soup.json'), 'utf8'));
    const { removals } = data.proof as { removals: { name: string; removed: string; never: string }[] };
    const fluent = removals.find(({ name }) => name === 'fluent')!;
    expect([fluent.removed, fluent.never]).toEqual([result.root, result.root]);
  } finally {
    folder.remove();
  }
}, 120_000);
