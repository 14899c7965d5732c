/** What was found of copies and of membership, in words, charts and tables. */
import type { BarChart, Block, Interval, Json, Report, Section } from '@diffusion-soup/core';
import { DISTANCES, type Distance } from './copies.js';
import {
  type DrawnCopies,
  gapToAlone,
  type Kind,
  type Known,
  knownRows,
  type MemoryFindings,
  type Nearness,
  nearnessRows,
} from './memory-numbers.js';
import { shortNumber } from './numbers.js';
import type { CsvRows } from './report-files.js';
import type { Lab } from './session.js';
import { rounded } from './soups.js';

const UNITS: Readonly<Record<Distance, string>> = {
  pixels: 'mean difference of colours, in steps of 255',
  latents: 'root of the mean squared difference of latents',
  clip: "1 - cosine of CLIP's image embeddings",
};

export function memoryReport(lab: Lab, findings: MemoryFindings, extra: string) {
  const rows = nearnessRows(lab, findings);
  const known = knownRows(findings.losses);
  const sections: Section[] = [
    { title: 'How near drawings come to training pictures', blocks: nearnessBlocks(lab, findings, rows) },
    ...(known.length > 0 ? [{ title: 'Do models know their training pictures?', blocks: knownBlocks(known) }] : []),
    { title: 'What this can say', blocks: caveats(findings) },
  ];
  const data = toData({ nearness: rows, membership: known, timesteps: findings.timesteps, notes: findings.notes });
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'memory', title: `Does the soup remember? ${lab.kitchen.title}` },
    summary: inWords(lab, findings, rows, known),
    ...{ command: lab.command(extra), setup: setupOf(lab, findings), sections, data },
  };
  return { report, csv: csvRows(findings) };
}

export const setupOf = (lab: Lab, { paragon, clip, timesteps }: MemoryFindings): Record<string, Json> => ({
  ...lab.setup(),
  ...(paragon && { paragon: `${paragon.name} ${paragon.root}` }),
  ...(clip !== undefined && { clip }),
  timesteps: [...timesteps],
});

/** Six digits. */
export const toData = (value: unknown): Json =>
  JSON.parse(JSON.stringify(value, (_, item: unknown) => (typeof item === 'number' ? rounded(item) : item)));

/** Of one unit nothing is known of how others would differ. */
export const between = ({ mean, low, high, n }: Interval): string =>
  `${shortNumber(mean)} (${n > 1 ? `95 %: ${shortNumber(low)} to ${shortNumber(high)}` : 'of one alone'})`;

function inWords(lab: Lab, findings: MemoryFindings, rows: readonly Nearness[], known: readonly Known[]): string[] {
  const at = (kind: Nearness['kind'], by: Distance = 'latents') =>
    rows.find((row) => row.kind === kind && row.by === by);
  const soup = at('soup');
  const alone = gapToAlone(lab, findings);
  const unseen = at('unseen');
  const said: string[] = [];
  if (soup && alone) {
    const sure =
      alone.low > 0 ? 'farther from' : alone.high < 0 ? 'nearer to' : 'neither surely farther from nor nearer to';
    said.push(
      `What the soup draws is ${sure} its nearest training picture than what single ingredients draw: ${between(alone)} in ` +
        'latents (root mean square), over prompts.',
    );
  }
  const paragon = at('paragon');
  if (soup && paragon) {
    said.push(
      `Nearest training picture in latents: soup ${between(soup.distance)}, paragon ${between(paragon.distance)}` +
        `${unseen ? `, real pictures that were not trained on ${between(unseen.distance)}` : ''}.`,
    );
  }
  const own = known.filter(({ kind }) => kind === 'ingredient');
  const inSoup = known.filter(({ kind }) => kind === 'soup');
  if (own.length > 0) {
    const aucs = (list: readonly Known[]) =>
      list.map(({ set, calibrated, raw }) => `${set} ${shortNumber((calibrated ?? raw).mean)}`).join(', ');
    said.push(
      `Membership by loss, calibrated by the base (area under the ROC curve, 0.5 is chance): each ingredient on its own ` +
        `pictures ${aucs(own)}; the soup on them ${aucs(inSoup)}.`,
    );
    const alone = known.filter(({ kind }) => kind === 'base').map(({ raw }) => raw.mean);
    said.push(
      'The pictures that were not trained on show other things, and are harder or easier by themselves: the base, which has ' +
        `seen neither, tells them apart with ${shortNumber(Math.min(...alone))} to ${shortNumber(Math.max(...alone))}. ` +
        'Calibration takes that out in part only, so compare models on the same pictures, not with 0.5.',
    );
  }
  said.push('Measured on this sample of pictures. No distance and no AUC proves that nothing can be extracted.');
  return said;
}

function nearnessBlocks(lab: Lab, { drawn }: MemoryFindings, rows: readonly Nearness[]): Block[] {
  const present = DISTANCES.filter((by) => rows.some((row) => row.by === by));
  return [
    ...present.map((by): Block => ({ type: 'chart', chart: nearnessChart(by, rows) })),
    {
      type: 'table',
      caption:
        'Distance to the nearest training picture; its ratio to the mean distance of the nearest that were looked at closely, at most 16 ' +
        '(a copy stands out: near 0); ' +
        'how often it has the prompt as its caption; and of which ingredient it is',
      columns: ['drawn by', 'distance in', 'distance', 'ratio', 'same caption', 'nearest is of'],
      rows: rows.map(({ name, by, distance, ratio, sameCaption, sets, kind }) => [
        ...[name, by, between(distance), between(ratio)],
        kind === 'unseen' ? '' : `${Math.round(100 * sameCaption)} %`,
        Object.entries(sets)
          .sort(([, a], [, b]) => b - a)
          .map(([set, count]) => `${set} ${count}`)
          .join(', '),
      ]),
    },
    pictureBlock(lab, drawn),
  ];
}

const nearnessChart = (by: Distance, rows: readonly Nearness[]): BarChart => ({
  kind: 'bars',
  title: `Distance to the nearest training picture, by ${by}`,
  y: { label: UNITS[by] },
  groups: rows
    .filter((row) => row.by === by)
    .map(({ name, distance: { mean, low, high } }) => ({ name, bars: [{ name: 'nearest', value: mean, low, high }] })),
});

const MOST_PROMPTS = 8;

function pictureBlock({ prompts, seeds }: Lab, drawn: readonly DrawnCopies[]): Block {
  const shown = prompts.slice(0, MOST_PROMPTS);
  const at = ({ drawings }: DrawnCopies, prompt: string) =>
    drawings.findIndex((one) => one.prompt === prompt && one.seed === seeds[0]);
  return {
    type: 'pictures',
    caption: 'What each model draws, and below it the training picture that is nearest by pixels',
    columns: shown,
    rows: drawn.flatMap(({ name }) => [name, 'nearest']),
    cells: drawn.flatMap((one) => [
      shown.map((prompt) => ({ id: one.drawings[at(one, prompt)]!.id, title: `${one.name}: ${prompt}` })),
      shown.map((prompt) => {
        const { pixels } = one.copies[at(one, prompt)]!;
        return pixels && { id: pixels.id, title: `${pixels.set}: ${pixels.caption}` };
      }),
    ]),
  };
}

export function knownBlocks(known: readonly Known[]): Block[] {
  const sets = [...new Set(known.map(({ set }) => set))];
  const own = (kind: Kind) => (kind === 'ingredient' ? 'the ingredient itself' : kind);
  return [
    {
      type: 'chart',
      chart: {
        ...{ kind: 'bars', title: 'Membership: can its loss tell what a model was trained on?' },
        y: { label: 'AUC calibrated by the base; 0.5 is chance' },
        groups: sets.map((set) => ({
          name: set,
          bars: known
            .filter((row) => row.set === set && row.calibrated)
            .map(({ kind, calibrated }) => {
              const { mean, low, high } = calibrated!;
              return { name: own(kind), value: mean, low, high };
            }),
        })),
      },
    },
    {
      type: 'table',
      caption:
        'Area under the ROC curve: the chance that a picture that was trained on has a lower loss than one that was not',
      columns: ['pictures of', 'trained on', 'not', 'judged by', 'AUC by loss', 'AUC calibrated by the base'],
      rows: known.map(({ set, rival, kind, raw, calibrated, pictures }) => [
        ...[set, pictures.members, pictures.others, kind === 'ingredient' ? `${rival} itself` : rival],
        ...[between(raw), calibrated ? between(calibrated) : ''],
      ]),
    },
    {
      type: 'text',
      text:
        'The base has seen none of these pictures: an AUC of its own that is not 0.5 is how much harder the pictures that were ' +
        'not trained on are by themselves. Calibrated scores are the base loss of a picture less the model loss of it. A model that is ' +
        'better at everything gains most where the loss was highest, which pulls its calibrated AUC down, below 0.5 even: read both ' +
        'columns.',
    },
  ];
}

function caveats({ notes, clip }: MemoryFindings): Block[] {
  const texts = [
    ...notes,
    'Same noise and same timesteps for every picture and every model. Text encoder and VAE are those of the soup for all; the ' +
      'shipped VAE has seen all training pictures, so distances in latents are of features that know them.',
    'Intervals are 95 % bootstrap intervals over prompts, and over pictures for the AUC.',
    ...(clip === undefined
      ? [
          'No CLIP checkpoint was given: distances are those of pixels and latents alone, which see shape before meaning.',
        ]
      : []),
  ];
  return texts.map((text) => ({ type: 'text', text }));
}

function csvRows({ drawn, losses, timesteps }: MemoryFindings): CsvRows {
  return [
    ...drawn.flatMap(({ name, drawings, copies }) =>
      copies.flatMap((found, i) =>
        DISTANCES.flatMap((by) => {
          const copy = found[by];
          if (!copy) return [];
          const { prompt, seed } = drawings[i]!;
          const nearest = `${copy.set}: ${copy.caption}`;
          return [
            {
              measure: by,
              model: name,
              prompt,
              seed: String(seed),
              nearest,
              value: rounded(copy.distance),
              ratio: rounded(copy.ratio),
            },
          ];
        }),
      ),
    ),
    ...losses.flatMap(({ set, rival, members, others }) =>
      [members, others].flatMap((group, g) =>
        group.flatMap((one, i) =>
          one.map((loss, t) => ({
            ...{ measure: 'loss', model: rival, set, trainedOn: g === 0, picture: i, timestep: timesteps[t]! },
            value: rounded(loss),
          })),
        ),
      ),
    ),
  ];
}
