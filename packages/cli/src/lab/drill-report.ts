/** What a drill found, in words, charts and tables. */
import {
  bootstrapMean,
  type Interval,
  type Json,
  mean,
  pairedDifference,
  pixelDistance,
  type Report,
  relativeL2,
  type Section,
} from '@diffusion-soup/core';
import type { Drawing } from './drawing.js';
import type { LedgerDrill } from './drill-ledger.js';
import { shortNumber } from './numbers.js';
import { range, type Subset } from './painters.js';
import type { CsvRows } from './report-files.js';
import type { Lab } from './session.js';
import { rounded } from './soups.js';

export interface Stage {
  readonly label: string;
  readonly subset: Subset;
}

export interface DrillLoss {
  readonly subset: Subset;
  /** Of what each model draws, by prompt. */
  readonly byModel: readonly (readonly number[])[];
}

export interface DrillFindings {
  readonly stages: readonly Stage[];
  readonly losses: readonly DrillLoss[];
  readonly whole: readonly Drawing[];
  /** By the model that is left out. */
  readonly left: readonly (readonly Drawing[])[];
  readonly proof?: LedgerDrill;
}

interface Influence {
  readonly name: string;
  readonly pixels: Interval;
  readonly latents: Interval;
  /** Loss without it less loss with it, on what it draws itself, and on what the others draw. */
  readonly own: Interval;
  readonly others: Interval;
}

export function drillReport(lab: Lab, findings: DrillFindings, extra: string) {
  const { stages, whole, left, proof } = findings;
  const names = lab.kitchen.ingredients.map(({ name }) => name);
  const curve = stages.map(({ label, subset }) => ({
    label,
    loss: lossOf(findings, subset).map((losses) => bootstrapMean(losses)),
  }));
  const influence = names.map((_, i) => influenceOf(lab, findings, i));
  const changes = changeTable(findings, names.length);
  const sections: Section[] = [
    ...(proof ? [{ title: 'Is it unlearned? By hash', blocks: [proofTable(proof)] }] : []),
    { title: 'One after the other, in and out', blocks: curveBlocks(curve, names) },
    {
      title: 'What each model adds',
      blocks: [influenceChart(influence), changeMap(names, changes), pictureBlock(lab, names, whole, left)],
    },
  ];
  const data = numbers({
    curve: curve.map(({ label, loss }, i) => ({ label, subset: stages[i]!.subset, loss })),
    influence,
    changes,
    losses: findings.losses,
    ...(proof && { proof }),
  });
  const report: Report = {
    ...{ type: 'soup-lab', kind: 'drill', title: `Learning and unlearning: ${lab.kitchen.title}` },
    summary: inWords(influence, proof, lab.prompts.length),
    ...{ command: lab.command(extra), setup: lab.setup(), sections, data },
  };
  return { report, csv: csvRows(lab, findings, names) };
}

const numbers = (value: unknown): Json =>
  JSON.parse(JSON.stringify(value, (_, item: unknown) => (typeof item === 'number' ? rounded(item) : item)));

const lossOf = ({ losses }: DrillFindings, subset: Subset): readonly (readonly number[])[] =>
  losses.find((one) => one.subset.join() === subset.join())!.byModel;

function influenceOf(lab: Lab, findings: DrillFindings, i: number): Influence {
  const { whole, left } = findings;
  const count = left.length;
  const over = (measure: (a: Drawing, b: Drawing) => number): Interval =>
    bootstrapMean(
      lab.prompts.map((prompt) =>
        mean(whole.flatMap((drawing, k) => (drawing.prompt === prompt ? [measure(left[i]![k]!, drawing)] : []))),
      ),
    );
  const [before, after] = [lossOf(findings, range(count)), lossOf(findings, without(i, count))];
  const byPrompt = (losses: readonly (readonly number[])[], models: readonly number[]) =>
    lab.prompts.map((_, p) => mean(models.map((model) => losses[model]![p]!)));
  return {
    name: lab.kitchen.ingredients[i]!.name,
    pixels: over((a, b) => pixelDistance(a.image, b.image)),
    latents: over((a, b) => relativeL2(a.latents, b.latents)),
    own: pairedDifference(byPrompt(after, [i]), byPrompt(before, [i])),
    others: pairedDifference(byPrompt(after, without(i, count)), byPrompt(before, without(i, count))),
  };
}

const without = (i: number, count: number): number[] => range(count).filter((other) => other !== i);

/** By how many percent the loss on each model's pictures rises when each model is left out. */
const changeTable = (findings: DrillFindings, count: number): number[][] =>
  range(count).map((i) => {
    const [before, after] = [lossOf(findings, range(count)), lossOf(findings, without(i, count))];
    return range(count).map((model) => 100 * (mean(after[model]!) / mean(before[model]!) - 1));
  });

function inWords(influence: readonly Influence[], proof: LedgerDrill | undefined, prompts: number): string[] {
  const sorted = [...influence].sort((a, b) => b.pixels.mean - a.pixels.mean);
  const exact = proof?.removals.every(({ removed, never, added }) => removed === never && added === proof.whole);
  const unlearned = influence.filter(({ own }) => own.low > 0);
  const helped = influence.filter(({ others }) => others.high < 0);
  const list = (some: readonly Influence[]) => some.map(({ name }) => name).join(', ') || 'none';
  return [
    ...(proof
      ? [
          exact
            ? 'Removing a model leaves the very soup that never had it, and adding it again brings the first soup back: all ' +
              `Merkle roots are equal, for each of the ${proof.removals.length} models.`
            : 'A soup without a model is NOT the soup that never had it: see the table. This must not be.',
        ]
      : []),
    `Leaving ${sorted[0]!.name} out changes pictures most (${shortNumber(sorted[0]!.pixels.mean)} steps of 255 on average), ` +
      `leaving ${sorted.at(-1)!.name} out changes them least (${shortNumber(sorted.at(-1)!.pixels.mean)}).`,
    `What a model draws is denoised worse without it, beyond chance (95 %), for: ${list(unlearned)}. What the others draw is ` +
      `denoised better without it, beyond chance, for: ${list(helped)}. Of ${prompts} prompts; intervals of fewer than some ` +
      'ten are narrower than they should be.',
    'Exact removal is about weights. It is not privacy: whoever has both soups can compute the model that was removed.',
  ];
}

function proofTable({ removals, whole, bySum }: LedgerDrill): Section['blocks'][number] {
  const short = (root: string) => `${root.slice(0, 16)}…`;
  return {
    type: 'table',
    caption:
      `Merkle roots over all tensors; the soup of all is ${short(whole)} ` +
      (bySum
        ? 'Removed by subtracting from its running sums, without reading the other models.'
        : 'Removed by averaging what is left.'),
    columns: ['model', 'after removal', 'never added', 'same', 'added again', 'same as before'],
    rows: removals.map(({ name, removed, never, added }) => [
      ...[name, short(removed), short(never), removed === never ? 'yes' : 'NO'],
      ...[short(added), added === whole ? 'yes' : 'NO'],
    ]),
  };
}

const curveBlocks = (
  curve: readonly { label: string; loss: readonly Interval[] }[],
  names: readonly string[],
): Section['blocks'] => [
  {
    type: 'chart',
    chart: {
      ...{ kind: 'line', title: 'Denoising loss on what each model draws' },
      x: { label: 'what is done to the soup', ticks: curve.map(({ label }, at) => ({ at, label })) },
      y: { label: 'loss', from: 0 },
      series: names.map((name, i) => ({
        name: `drawn by ${name}`,
        points: curve.map(({ loss }, x) => ({ x, y: loss[i]!.mean, low: loss[i]!.low, high: loss[i]!.high })),
      })),
    },
  },
  {
    type: 'text',
    text:
      'Every model draws each prompt alone; then each soup is asked to denoise these pictures, with the same noise for all. ' +
      'Bands are 95 % bootstrap intervals over prompts. The soup at the end of a row does not depend on the order, the way there does.',
  },
];

const influenceChart = (influence: readonly Influence[]): Section['blocks'][number] => ({
  type: 'chart',
  chart: {
    ...{ kind: 'bars', title: 'How much pictures change when a model is left out', y: { label: 'steps of 255' } },
    groups: influence.map(({ name, pixels: { mean, low, high } }) => ({
      name: `without ${name}`,
      bars: [{ name: 'pixels', value: mean, low, high }],
    })),
  },
});

const changeMap = (names: readonly string[], values: readonly (readonly number[])[]): Section['blocks'][number] => ({
  type: 'chart',
  chart: {
    ...{ kind: 'heat', title: 'Change of the loss when a model is left out' },
    label: 'percent; columns: who drew the pictures. Above 0: denoised worse than by the whole soup',
    rows: names.map((name) => `without ${name}`),
    columns: names,
    values: values.map((row) => row.map(rounded)),
  },
});

function pictureBlock(
  lab: Lab,
  names: readonly string[],
  whole: readonly Drawing[],
  left: readonly (readonly Drawing[])[],
): Section['blocks'][number] {
  const columns = ['soup', ...names.map((name) => `without ${name}`)];
  const first = (drawings: readonly Drawing[], prompt: string) => drawings.find((one) => one.prompt === prompt)!;
  return {
    type: 'pictures',
    caption: 'The whole soup and the soups without one model, from the same noise',
    columns,
    rows: lab.prompts,
    cells: lab.prompts.map((prompt) =>
      [whole, ...left].map((drawings, i) => ({ id: first(drawings, prompt).id, title: `${columns[i]}: ${prompt}` })),
    ),
  };
}

function csvRows(lab: Lab, { losses, whole, left }: DrillFindings, names: readonly string[]): CsvRows {
  return [
    ...losses.flatMap(({ subset, byModel }) =>
      byModel.flatMap((row, model) =>
        row.map((loss, p) => ({
          ...{ measure: 'loss', soup: subset.map((i) => names[i]).join('+'), drawnBy: names[model]! },
          ...{ prompt: lab.prompts[p]!, seed: '', value: rounded(loss) },
        })),
      ),
    ),
    ...left.flatMap((drawings, i) =>
      drawings.map((drawing, k) => ({
        ...{ measure: 'pixels', soup: `without ${names[i]}`, drawnBy: '', prompt: drawing.prompt },
        ...{ seed: String(drawing.seed), value: rounded(pixelDistance(drawing.image, whole[k]!.image)) },
      })),
    ),
  ];
}
