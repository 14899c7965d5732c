/** Pictures between models as sheets, and how evenly they change from one to the other. */
import {
  bootstrapMean,
  type Interval,
  type Json,
  mean,
  pixelDistance,
  type Report,
  type Section,
} from '@diffusion-soup/core';
import type { Drawing } from './drawing.js';
import { shortNumber } from './numbers.js';
import { choices, range } from './painters.js';
import type { CsvRows } from './report-files.js';
import type { Lab } from './session.js';
import { rounded } from './soups.js';

export interface Mixture {
  /** Parts of each model. */
  readonly shares: readonly number[];
  readonly drawings: readonly Drawing[];
}

export interface MixFindings {
  readonly mixtures: readonly Mixture[];
  /** Soups between the ends of a pair. */
  readonly stops: number;
}

/** Where pictures are between those of a (0) and of b (1), at a share of b. */
interface Place {
  readonly share: number;
  readonly at: Interval;
}

interface Way {
  readonly a: string;
  readonly b: string;
  readonly places: readonly Place[];
}

export function mixReport(lab: Lab, findings: MixFindings, extra: string) {
  const names = lab.kitchen.ingredients.map(({ name }) => name);
  const count = names.length;
  const ways = choices(count, 2).map(([a, b]) => wayOf(lab, findings, a!, b!));
  const sections: Section[] = [
    { title: 'Two at a time', blocks: [...(count > 2 ? [pairSheet(lab, findings, names)] : [])] },
    { title: 'From one to the other', blocks: [wayChart(ways), wayText(), ...waySheets(lab, findings, names)] },
    ...(count > 2 ? [{ title: count > 3 ? 'Three, and all' : 'All', blocks: [manySheet(lab, findings, names)] }] : []),
  ].filter(({ blocks }) => blocks.length > 0);
  const evenness = ways.map((way) => ({ pair: `${way.a} + ${way.b}`, unevenness: unevenness(way) }));
  const data: Json = JSON.parse(
    JSON.stringify({ ways, evenness }, (_, item: unknown) => (typeof item === 'number' ? rounded(item) : item)),
  );
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'mix', title: `Between styles: ${names.join(', ')}` },
    summary: inWords(lab, evenness),
    ...{ command: lab.command(extra), setup: lab.setup(), sections, data },
  };
  return { report, csv: csvRows(findings, names) };
}

const drawingsOf = ({ mixtures }: MixFindings, shares: readonly number[]): readonly Drawing[] =>
  mixtures.find((mixture) => isSame(mixture.shares, shares))!.drawings;

/** 2:2 is 1:1. */
const isSame = (a: readonly number[], b: readonly number[]): boolean => {
  const sum = (x: readonly number[]) => x.reduce((y, z) => y + z, 0);
  return a.every((share, i) => share * sum(b) === b[i]! * sum(a));
};

const only = (count: number, parts: Readonly<Record<number, number>>): number[] =>
  range(count).map((i) => parts[i] ?? 0);

/** d(x, a) / (d(x, a) + d(x, b)) of every stop: 0 at a, 1 at b. */
function wayOf(lab: Lab, findings: MixFindings, a: number, b: number): Way {
  const names = lab.kitchen.ingredients.map(({ name }) => name);
  const count = names.length;
  const whole = findings.stops + 1;
  const [ends, other] = [drawingsOf(findings, only(count, { [a]: 1 })), drawingsOf(findings, only(count, { [b]: 1 }))];
  const places = range(whole + 1).map((i): Place => {
    const drawings = drawingsOf(findings, only(count, { [a]: whole - i, [b]: i }));
    const at = (k: number) => {
      const [fromA, fromB] = [ends, other].map((end) => pixelDistance(drawings[k]!.image, end[k]!.image));
      return fromA! / (fromA! + fromB! || 1);
    };
    const byPrompt = lab.prompts.map((prompt) =>
      mean(drawings.flatMap((drawing, k) => (drawing.prompt === prompt ? [at(k)] : []))),
    );
    return { share: i / whole, at: bootstrapMean(byPrompt) };
  });
  return { a: names[a]!, b: names[b]!, places };
}

/** The mean distance from the straight line, of the stops between the ends: 0 where pictures change evenly. */
const unevenness = ({ places }: Way): number =>
  mean(places.slice(1, -1).map(({ share, at }) => Math.abs(at.mean - share)));

function inWords(lab: Lab, evenness: readonly { pair: string; unevenness: number }[]): string[] {
  const sorted = [...evenness].sort((x, y) => x.unevenness - y.unevenness);
  const [first, last] = [sorted[0]!, sorted.at(-1)!];
  const said =
    sorted.length === 1
      ? `Between ${first.pair} pictures depart from an even change by ${shortNumber(first.unevenness)} on average.`
      : `Pictures change most evenly between ${first.pair} (${shortNumber(first.unevenness)} from a straight line on ` +
        `average) and least evenly between ${last.pair} (${shortNumber(last.unevenness)}).`;
  return [
    'What is drawn from the same noise by the models alone, by soups of two in steps, of three and of all.',
    `${said} ${lab.prompts.length === 1 ? 'One prompt' : `${lab.prompts.length} prompts`}: to be looked at rather than counted.`,
  ];
}

function wayChart(ways: readonly Way[]): Section['blocks'][number] {
  return {
    type: 'chart',
    chart: {
      ...{ kind: 'line', title: 'Where pictures are between those of the two models' },
      x: {
        label: 'share of the second model',
        ticks: ways[0]!.places.map(({ share }) => ({ at: share, label: shortNumber(share) })),
      },
      y: { label: '0: as the first, 1: as the second', from: 0, to: 1 },
      series: ways.map(({ a, b, places }) => ({
        name: `${a} to ${b}`,
        points: places.map(({ share, at }) => ({ x: share, y: at.mean })),
      })),
    },
  };
}

const wayText = (): Section['blocks'][number] => ({
  type: 'text',
  text:
    'The distance in pixels from the picture of the first model, as a part of both distances. A straight line is an even change; a ' +
    'step is a style that wins suddenly. Intervals are in the JSON file.',
});

function pairSheet(lab: Lab, findings: MixFindings, names: readonly string[]): Section['blocks'][number] {
  const prompt = lab.prompts[0]!;
  return {
    type: 'pictures',
    caption: `"${prompt}" by every pair in equal parts; on the diagonal the models alone`,
    ...{ columns: names, rows: names },
    cells: names.map((row, a) =>
      names.map((column, b) => {
        const isHalfway = a === b || findings.stops % 2 === 1;
        if (!isHalfway) return undefined;
        const shares = only(names.length, { [a]: 1, [b]: 1 });
        return {
          id: drawingsOf(findings, shares)[0]!.id,
          title: a === b ? `${row}: ${prompt}` : `${row} + ${column}: ${prompt}`,
        };
      }),
    ),
  };
}

function waySheets(lab: Lab, findings: MixFindings, names: readonly string[]): Section['blocks'] {
  const whole = findings.stops + 1;
  const columns = range(whole + 1).map((i) => `${whole - i} : ${i}`);
  return lab.prompts.map((prompt) => ({
    type: 'pictures',
    caption: `"${prompt}", parts of the first and of the second`,
    columns,
    rows: choices(names.length, 2).map(([a, b]) => `${names[a!]} to ${names[b!]}`),
    cells: choices(names.length, 2).map(([a, b]) =>
      columns.map((parts, i) => {
        const drawings = drawingsOf(findings, only(names.length, { [a!]: whole - i, [b!]: i }));
        const drawing = drawings.find((one) => one.prompt === prompt)!;
        return { id: drawing.id, title: `${names[a!]} ${parts} ${names[b!]}: ${prompt}` };
      }),
    ),
  }));
}

function manySheet(lab: Lab, findings: MixFindings, names: readonly string[]): Section['blocks'][number] {
  const sets = [...(names.length > 3 ? choices(names.length, 3) : []), range(names.length)];
  const columns = sets.map((set) => (set.length === names.length ? 'all' : set.map((i) => names[i]).join(' + ')));
  return {
    type: 'pictures',
    caption: 'In equal parts',
    columns,
    rows: lab.prompts,
    cells: lab.prompts.map((prompt) =>
      sets.map((set, c) => {
        const drawings = drawingsOf(findings, only(names.length, Object.fromEntries(set.map((i) => [i, 1]))));
        return { id: drawings.find((one) => one.prompt === prompt)!.id, title: `${columns[c]}: ${prompt}` };
      }),
    ),
  };
}

function csvRows(findings: MixFindings, names: readonly string[]): CsvRows {
  const alone = names.map((_, i) => drawingsOf(findings, only(names.length, { [i]: 1 })));
  return findings.mixtures.flatMap(({ shares, drawings }) =>
    drawings.map(({ prompt, seed, image }, k) => ({
      soup: names.flatMap((name, i) => (shares[i] === 0 ? [] : [`${name}:${shares[i]}`])).join('+'),
      ...{ prompt, seed: String(seed) },
      ...Object.fromEntries(
        names.map((name, i) => [`pixels from ${name}`, rounded(pixelDistance(image, alone[i]![k]!.image))]),
      ),
    })),
  );
}
