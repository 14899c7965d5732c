/** CLIP scores in words, charts and tables. */
import {
  bootstrapMean,
  clipScore,
  type Interval,
  type Json,
  mean,
  pairedDifference,
  type Report,
} from '@diffusion-soup/core';
import { between, toData } from './memory-report.js';
import type { CsvRows } from './report-files.js';
import { rounded } from './soups.js';

export interface ClipRow {
  /** Who has drawn it. */
  readonly group: string;
  readonly id: string;
  readonly prompt: string;
  readonly cosine: number;
}

export interface ClipGroup {
  readonly name: string;
  readonly cosine: Interval;
  readonly score: Interval;
  /** The soup's score less this one's, on the same prompts and seeds. */
  readonly soupLess?: Interval;
}

/** Units are prompts: pictures of one prompt are not independent. */
export function clipGroups(rows: readonly ClipRow[]): ClipGroup[] {
  const names = [...new Set(rows.map(({ group }) => group))];
  const prompts = [...new Set(rows.map(({ prompt }) => prompt))];
  const of = (name: string, value: (cosine: number) => number): number[] =>
    prompts.map((prompt) =>
      mean(rows.filter((row) => row.group === name && row.prompt === prompt).map(({ cosine }) => value(cosine))),
    );
  return names.map((name) => ({
    name,
    cosine: bootstrapMean(of(name, (cosine) => cosine)),
    score: bootstrapMean(of(name, clipScore)),
    ...(names.includes('soup') &&
      name !== 'soup' && { soupLess: pairedDifference(of('soup', clipScore), of(name, clipScore)) }),
  }));
}

export function clipReport(
  rows: readonly ClipRow[],
  { title, command, setup }: { title: string; command: string; setup: Record<string, Json> },
): { report: Report; csv: CsvRows } {
  const groups = clipGroups(rows);
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'clip-score', title, command, setup },
    summary: [
      ...groups.map(({ name, score, cosine }) => `${name}: CLIP score ${between(score)}, cosine ${between(cosine)}.`),
      'CLIP sees whether a picture is like its words as captions of photographs go; of style and of small things it knows little.',
    ],
    sections: [
      {
        title: 'CLIP score',
        blocks: [
          {
            type: 'chart',
            chart: {
              ...{ kind: 'bars', title: 'CLIP score', y: { label: '2.5 * max(cosine, 0)' } },
              groups: groups.map(({ name, score: { mean, low, high } }) => ({
                name,
                bars: [{ name: 'CLIP score', value: mean, low, high }],
              })),
            },
          },
          clipTable(groups),
          { type: 'text', text: 'Intervals are 95 % bootstrap intervals over prompts. Prompts are read as they are.' },
        ],
      },
    ],
    data: toData({ groups, pictures: rows }),
  };
  const csv = rows.map(({ group, id, prompt, cosine }) => ({
    ...{ group, id, prompt, cosine: rounded(cosine), score: rounded(clipScore(cosine)) },
  }));
  return { report, csv };
}

export const clipTable = (groups: readonly ClipGroup[]): Report['sections'][number]['blocks'][number] => ({
  type: 'table',
  caption:
    'By CLIP: cosine of picture and prompt, the score made of it, and by how much the soup is better on the same prompts',
  columns: ['drawn by', 'CLIP score', 'cosine', 'soup less it'],
  rows: groups.map(({ name, cosine, score, soupLess }) => [
    ...[name, between(score), between(cosine), soupLess ? between(soupLess) : ''],
  ]),
});
