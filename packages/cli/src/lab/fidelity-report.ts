/** What was measured of a soup's fidelity, in words, charts and tables. */
import {
  type Block,
  bootstrap,
  bootstrapMean,
  type Interval,
  type Json,
  type PathStep,
  pixelDistance,
  type Report,
  type Residual,
  relativeGap,
  relativeL2,
  residualRatio,
  type Section,
} from '@diffusion-soup/core';
import type { Drawing } from './drawing.js';
import { type BlockRow, type Ends, inWords, type StepRow } from './fidelity-words.js';
import type { CsvRows } from './report-files.js';
import type { Lab } from './session.js';
import { rounded } from './soups.js';

/** A picture of the ensemble with what was measured on the way, and the same picture by soup and base. */
export interface FidelityPicture {
  readonly prompt: string;
  readonly seed: string;
  readonly steps: readonly PathStep[];
  readonly ensemble: Drawing;
  readonly soup: Drawing;
  readonly base: Drawing;
}

export interface NoiseRow {
  readonly timestep: number;
  /** By prompt. */
  readonly residuals: readonly Residual[];
}

export interface FidelityFindings {
  readonly pictures: readonly FidelityPicture[];
  readonly noise: readonly NoiseRow[];
}

export function fidelityReport(lab: Lab, { pictures, noise }: FidelityFindings, extra: string) {
  const units = lab.prompts.map((prompt) => pictures.filter((picture) => picture.prompt === prompt));
  const steps = pictures[0]!.steps.map(({ timestep }, i) => ({
    timestep,
    path: ratio(units.map((unit) => unit.map((picture) => picture.steps[i]!))),
  }));
  const onNoise = noise.map(({ timestep, residuals }) => ({ timestep, noise: ratio(residuals.map((one) => [one])) }));
  const all = ratio(units.map((unit) => unit.flatMap((picture) => picture.steps)));
  const allNoise = ratio(lab.prompts.map((_, i) => noise.map(({ residuals }) => residuals[i]!)));
  const blocks = blockRows(units);
  const ends = endsOf(units);
  const relative = relativeGap(pictures.flatMap((picture) => picture.steps));
  const data: Json = JSON.parse(
    JSON.stringify(
      {
        residual: { path: all, noise: allNoise, relativeOnPath: relative },
        byTimestep: { path: steps, noise: onNoise },
        byPrompt: units.map((unit, i) => ({
          prompt: lab.prompts[i]!,
          path: residualRatio(unit.flatMap((p) => p.steps)),
        })),
        byBlock: blocks,
        ends: ends.data,
        pictures: pictures.map(({ prompt, seed, steps }) => ({ prompt, seed, steps })),
        noise: noise.map(({ timestep, residuals }) => ({ timestep, residuals })),
      },
      (_, value: unknown) => (typeof value === 'number' ? rounded(value) : value),
    ),
  );
  const sections: Section[] = [
    { title: 'By timestep', blocks: timestepBlocks(steps, onNoise) },
    { title: 'By prompt', blocks: [promptHeat(lab, units)] },
    ...(blocks.length > 0 ? [{ title: 'By block', blocks: blockBlocks(blocks) }] : []),
    { title: 'Where it ends', blocks: [ends.table, pictureBlock(units)] },
  ];
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'fidelity', title: `How far is the soup from its ensemble? ${lab.kitchen.title}` },
    summary: inWords(all, allNoise, relative, steps, blocks, ends.data),
    ...{ command: lab.command(extra), setup: lab.setup(), sections, data },
  };
  return { report, csv: csvRows(pictures, noise, lab.prompts) };
}

/** ρ of all, its interval from drawing prompts again. */
const ratio = (units: readonly (readonly Residual[])[]): Interval =>
  bootstrap(units, (sample) => residualRatio(sample.flat()));

function timestepBlocks(steps: readonly StepRow[], noise: readonly { timestep: number; noise: Interval }[]): Block[] {
  const points = (rows: readonly { timestep: number; at: Interval }[]) =>
    rows.map(({ timestep, at }) => ({ x: timestep, y: at.mean, low: at.low, high: at.high }));
  return [
    {
      type: 'chart',
      chart: {
        ...{ kind: 'line', title: 'Residual of the soup by timestep (noise on the right)' },
        x: { label: 'timestep' },
        y: { label: 'residual ρ' },
        series: [
          {
            name: "on the ensemble's path",
            points: points(steps.map(({ timestep, path }) => ({ timestep, at: path }))),
          },
          { name: 'on pure noise', points: points(noise.map(({ timestep, noise }) => ({ timestep, at: noise }))) },
        ],
      },
    },
    { type: 'text', text: 'Bands are 95 % bootstrap intervals over prompts.' },
  ];
}

const MOST_COLUMNS = 12;

function promptHeat(lab: Lab, units: readonly (readonly FidelityPicture[])[]): Block {
  const steps = units[0]![0]!.steps;
  const every = Math.ceil(steps.length / MOST_COLUMNS);
  const shown = steps.map((_, i) => i).filter((i) => i % every === 0);
  return {
    type: 'chart',
    chart: {
      ...{ kind: 'heat', title: 'Residual by prompt and timestep' },
      label: 'residual ρ; columns are timesteps, from the first step to the last',
      rows: lab.prompts,
      columns: shown.map((i) => String(Math.round(steps[i]!.timestep))),
      values: units.map((unit) => shown.map((i) => rounded(residualRatio(unit.map(({ steps }) => steps[i]!))))),
    },
  };
}

function blockRows(units: readonly (readonly FidelityPicture[])[]): BlockRow[] {
  const having = units
    .map((unit) => unit.flatMap(({ steps }) => steps.flatMap(({ blocks }) => (blocks ? [blocks] : []))))
    .filter((unit) => unit.length > 0);
  const names = Object.keys(having[0]?.[0] ?? {});
  return names.map((block) => ({ block, residual: ratio(having.map((unit) => unit.map((blocks) => blocks[block]!))) }));
}

const blockBlocks = (rows: readonly BlockRow[]): Block[] => [
  {
    type: 'chart',
    chart: {
      ...{ kind: 'bars', title: 'Residual with one block souped at a time', y: { label: 'residual ρ' } },
      groups: rows.map(({ block, residual: { mean, low, high } }) => ({
        name: block,
        bars: [{ name: 'residual', value: mean, low, high }],
      })),
    },
  },
  {
    type: 'text',
    text:
      'One block at a time has the weights of the soup in every ingredient, while the others stay its own; then the ' +
      'predictions are averaged. If networks were linear in their weights, every bar would be 0. With all blocks souped it is ' +
      'the residual above, which is not their sum: what blocks do together is in it as well. IN is the way down, OUT the way ' +
      'up, BASE the time embedding.',
  },
];

function endsOf(units: readonly (readonly FidelityPicture[])[]) {
  const over = (measure: (picture: FidelityPicture) => number): Interval =>
    bootstrapMean(units.map((unit) => unit.reduce((sum, picture) => sum + measure(picture), 0) / unit.length));
  const data: Ends = {
    latents: over(({ soup, ensemble }) => relativeL2(soup.latents, ensemble.latents)),
    baseLatents: over(({ base, ensemble }) => relativeL2(base.latents, ensemble.latents)),
    pixels: over(({ soup, ensemble }) => pixelDistance(soup.image, ensemble.image)),
    basePixels: over(({ base, ensemble }) => pixelDistance(base.image, ensemble.image)),
  };
  const row = (name: string, { mean, low, high }: Interval) => [name, mean, low, high];
  const table: Block = {
    type: 'table',
    caption: "Distance from the ensemble's result, same prompt and same noise",
    columns: ['', 'mean', 'low', 'high'],
    rows: [
      row('soup, latents (relative L2)', data.latents),
      row('base, latents (relative L2)', data.baseLatents),
      row('soup, pixels (0 to 255)', data.pixels),
      row('base, pixels (0 to 255)', data.basePixels),
    ],
  };
  return { data, table };
}

function pictureBlock(units: readonly (readonly FidelityPicture[])[]): Block {
  const first = units.map(([picture]) => picture!);
  return {
    type: 'pictures',
    caption: 'From the same noise',
    columns: ['ensemble', 'soup', 'base'],
    rows: first.map(({ prompt }) => prompt),
    cells: first.map(({ ensemble, soup, base, prompt }) =>
      [ensemble, soup, base].map(({ id }, i) => ({ id, title: `${['ensemble', 'soup', 'base'][i]}: ${prompt}` })),
    ),
  };
}

function csvRows(
  pictures: readonly FidelityPicture[],
  noise: readonly NoiseRow[],
  prompts: readonly string[],
): CsvRows {
  const row = (residual: Residual) => ({
    gap: rounded(residual.gap),
    change: rounded(residual.change),
    size: rounded(residual.size),
    residual: rounded(residualRatio([residual])),
  });
  return [
    ...pictures.flatMap(({ prompt, seed, steps }) =>
      steps.flatMap(({ timestep, blocks, ...residual }) => [
        { where: 'path', prompt, seed, timestep, block: 'all', ...row(residual) },
        ...Object.entries(blocks ?? {}).map(([block, one]) => ({
          where: 'path',
          prompt,
          seed,
          timestep,
          block,
          ...row(one),
        })),
      ]),
    ),
    ...noise.flatMap(({ timestep, residuals }) =>
      residuals.map((residual, i) => ({
        where: 'noise',
        prompt: prompts[i]!,
        seed: '',
        timestep,
        block: 'all',
        ...row(residual),
      })),
    ),
  ];
}
