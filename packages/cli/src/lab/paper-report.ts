/** Soup, paragon, best ingredient and base beside each other, in words, charts and tables. */
import type { BarChart, Block, HeatMap, Interval, Report, Section } from '@diffusion-soup/core';
import { type ClipGroup, type ClipRow, clipGroups, clipTable } from './clip-report.js';
import {
  type DrawnCopies,
  type MemoryFindings,
  type Nearness,
  nearnessRows,
  type SetLosses,
} from './memory-numbers.js';
import { between, setupOf, toData } from './memory-report.js';
import { bestIngredient, type LossSummary, lossCells, lossSummaries, unseenSummaries } from './paper-numbers.js';
import type { CsvRows } from './report-files.js';
import type { Lab } from './session.js';
import { rounded } from './soups.js';

export interface PaperFindings extends Omit<MemoryFindings, 'unseen'> {
  readonly clipRows?: readonly ClipRow[];
}

export function paperReport(lab: Lab, findings: PaperFindings, extra: string) {
  const summaries = lossSummaries(findings.losses);
  const unseen = unseenSummaries(findings.losses);
  const clip = findings.clipRows && clipGroups(findings.clipRows);
  const nearness = nearnessRows(lab, { drawn: findings.drawn, unseen: [] }).filter(({ by }) => by === 'latents');
  const charts = paperCharts(findings, { summaries, unseen, nearness, clip });
  const sections: Section[] = [
    {
      title: 'Denoising loss',
      blocks: [...charts.loss.map(chartBlock), lossTable(summaries, unseen)],
    },
    ...(clip ? [{ title: 'CLIP score', blocks: [chartBlock(charts.clip!), clipTable(clip)] }] : []),
    { title: 'Memorization', blocks: [chartBlock(charts.memory), memoryTable(nearness)] },
    { title: 'Pictures', blocks: [pictureBlock(lab, findings.drawn)] },
    { title: 'What this can say', blocks: caveats(findings).map((text): Block => ({ type: 'text', text })) },
  ];
  const data = toData({ losses: lossCells(findings.losses), summaries, unseen, clip: clip ?? null, nearness });
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'paper', title: `Soup, paragon, single models and base: ${lab.kitchen.title}` },
    summary: inWords({ summaries, unseen, nearness, clip }),
    ...{ command: lab.command(extra), setup: setupOf(lab, { ...findings, unseen: [] }), sections, data },
  };
  return { report, csv: csvRows(findings) };
}

const chartBlock = (chart: BarChart | HeatMap): Block => ({ type: 'chart', chart });

interface PaperNumbers {
  readonly summaries: readonly LossSummary[];
  readonly unseen: readonly LossSummary[];
  readonly nearness: readonly Nearness[];
  readonly clip: readonly ClipGroup[] | undefined;
}

function paperCharts({ losses }: PaperFindings, { summaries, unseen, nearness, clip }: PaperNumbers) {
  const cells = lossCells(losses);
  const sets = [...new Set(cells.map(({ set }) => set))];
  const bar = (name: string, { mean, low, high }: Interval) => ({ name, value: mean, low, high });
  const one = (title: string, label: string, groups: readonly [string, Interval][]): BarChart => ({
    ...{ kind: 'bars', title, y: { label } },
    groups: groups.map(([name, interval]) => ({ name, bars: [bar(title, interval)] })),
  });
  const heat: HeatMap = {
    ...{ kind: 'heat', title: 'Denoising loss by model and pictures', label: 'mean squared error; rows are models' },
    rows: summaries.map(({ rival }) => rival),
    columns: sets,
    values: summaries.map(({ rival }) =>
      sets.map((set) => rounded(cells.find((cell) => cell.rival === rival && cell.set === set)!.loss.mean)),
    ),
  };
  return {
    loss: [
      one(
        'Denoising loss on the training pictures of all ingredients',
        'mean squared error',
        summaries.map(({ rival, loss }) => [rival, loss]),
      ),
      ...(unseen.length > 0
        ? [
            one(
              'Denoising loss on drawings of the same sets that no ingredient was trained on',
              'mean squared error',
              unseen.map(({ rival, loss }): [string, Interval] => [rival, loss]),
            ),
          ]
        : []),
      heat,
    ],
    ...(clip && {
      clip: one(
        'CLIP score of drawings',
        '2.5 * max(cosine, 0)',
        clip.map(({ name, score }) => [name, score]),
      ),
    }),
    memory: one(
      'Distance of drawings to the nearest training picture, in latents',
      'root mean square',
      nearness.map(({ name, distance }) => [name, distance]),
    ),
  };
}

function inWords({ summaries, unseen, nearness, clip }: PaperNumbers): string[] {
  const soup = summaries.find(({ kind }) => kind === 'soup')!;
  const best = bestIngredient(summaries);
  const verdicts = (all: readonly LossSummary[]): string => {
    const against = (name: string, one: LossSummary | undefined): string[] => {
      const above = one?.aboveSoup;
      if (!above) return [];
      const who =
        above.low > 0 ? `better than ${name}` : above.high < 0 ? `worse than ${name}` : `not surely apart from ${name}`;
      return [`${who} (loss less the soup's: ${between(above)})`];
    };
    const of = (kind: LossSummary['kind']) => all.find((one) => one.kind === kind);
    return [
      ...against('the paragon', of('paragon')),
      ...against(
        `the best single model, ${best?.rival}`,
        all.find(({ rival }) => rival === best?.rival),
      ),
      ...against('the base', of('base')),
      ...against('the score ensemble', of('ensemble')),
    ].join('; ');
  };
  const unseenSoup = unseen.find(({ kind }) => kind === 'soup');
  const near = (kind: Nearness['kind']) => nearness.find((row) => row.kind === kind);
  const [ours, paragon] = [near('soup'), near('paragon')];
  const clipOf = (name: string) => clip?.find((group) => group.name === name);
  return [
    `Over the training pictures of all ingredients alike, the soup's denoising loss is ${between(soup.loss)}: ${verdicts(summaries)}.`,
    ...(unseenSoup
      ? [
          `On drawings of the same sets that none was trained on it is ${between(unseenSoup.loss)}: ${verdicts(unseen)}.`,
        ]
      : []),
    ...(clip
      ? [
          `CLIP score: soup ${between(clipOf('soup')!.score)}` +
            (clipOf('paragon') ? `, paragon ${between(clipOf('paragon')!.score)}` : '') +
            `, base ${between(clipOf('base')!.score)}.`,
        ]
      : ['No CLIP checkpoint was given: nothing is said of how well pictures show their prompts.']),
    ...(ours && paragon
      ? [
          `Drawings are ${between(ours.distance)} (soup) and ${between(paragon.distance)} (paragon) away from the nearest ` +
            'training picture, in latents.',
        ]
      : []),
    'Diffusion Soup (Biggs et al. 2024) reports ImageReward and TIFA of Stable Diffusion 2.1 models fine-tuned on large ' +
      'shards; a loss on the training pictures is another thing, and so is every number here.',
  ];
}

const lossTable = (summaries: readonly LossSummary[], unseen: readonly LossSummary[]): Block => ({
  type: 'table',
  caption:
    'Loss over the training pictures of all ingredients, and over drawings that none was trained on; and how much it is above ' +
    'that of the soup on the same pictures under the same noise',
  columns: [
    'model',
    'trained on',
    'above the soup',
    ...(unseen.length > 0 ? ['not trained on', 'above the soup'] : []),
  ],
  rows: summaries.map(({ rival, loss, aboveSoup }, i) => {
    const other = unseen[i];
    return [
      ...[rival, between(loss), aboveSoup ? between(aboveSoup) : ''],
      ...(other ? [between(other.loss), other.aboveSoup ? between(other.aboveSoup) : ''] : []),
    ];
  }),
});

const memoryTable = (nearness: readonly Nearness[]): Block => ({
  type: 'table',
  caption: 'Nearest training picture of each drawing, in latents; soup lab memory says more',
  columns: ['drawn by', 'distance', 'ratio to the nearest ones'],
  rows: nearness.map(({ name, distance, ratio }) => [name, between(distance), between(ratio)]),
});

const MOST_PROMPTS = 8;

function pictureBlock({ prompts, seeds }: Lab, drawn: readonly DrawnCopies[]): Block {
  const shown = prompts.slice(0, MOST_PROMPTS);
  return {
    type: 'pictures',
    caption: 'The same prompts from the same noise',
    columns: shown,
    rows: drawn.map(({ name }) => name),
    cells: drawn.map(({ name, drawings }) =>
      shown.map((prompt) => {
        const { id } = drawings.find((one) => one.prompt === prompt && one.seed === seeds[0])!;
        return { id, title: `${name}: ${prompt}` };
      }),
    ),
  };
}

const caveats = ({ notes, paragon }: PaperFindings): string[] => [
  'If these are the shipped models, this is emoji, not LAION: networks of 5 million parameters, a few minutes of training, ' +
    'four sets of some thousand drawings that show the same things. It shows how the comparison is made, not what large models do.',
  'Noise and timesteps are the same for all models and pictures. A lower loss on pictures that were trained on may be better ' +
    'drawing or better memory; on pictures that were not it is the former, but those are other things, and fewer.',
  'Single models are measured on the pictures of all ingredients, of which they have seen a part. The score ensemble costs as ' +
    'many networks as there are ingredients.',
  ...(paragon ? [] : ['There is no paragon beside the models; name one with --paragon.']),
  'Intervals are 95 % bootstrap intervals: over concepts for losses (one unit is a concept in all styles), over prompts for ' +
    'drawings. They say how sure a number is for these models, not for others trained again.',
  ...notes,
];

function csvRows({ losses, timesteps, clipRows = [], drawn }: PaperFindings): CsvRows {
  const ofLosses = ({ set, rival, members, others }: SetLosses) =>
    [members, others].flatMap((group, g) =>
      group.flatMap((one, i) =>
        one.map((loss, t) => ({
          ...{ measure: 'loss', model: rival, set, trainedOn: g === 0, picture: i, timestep: timesteps[t]! },
          value: rounded(loss),
        })),
      ),
    );
  return [
    ...losses.flatMap(ofLosses),
    ...clipRows.map(({ group, prompt, cosine }) => ({
      measure: 'cosine',
      model: group,
      prompt,
      value: rounded(cosine),
    })),
    ...drawn.flatMap(({ name, drawings, copies }) =>
      copies.flatMap(({ latents }, i) =>
        latents
          ? [{ measure: 'latents', model: name, prompt: drawings[i]!.prompt, value: rounded(latents.distance) }]
          : [],
      ),
    ),
  ];
}
