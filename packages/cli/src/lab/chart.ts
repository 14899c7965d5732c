/** Charts as SVG that takes its colours from the page around it, so that they are right on white and on black. */
import type { BarChart, Chart, HeatMap, LineChart } from '@diffusion-soup/core';
import { escapeHtml } from '../batch/grid-html.js';
import { shortNumber } from './numbers.js';

const WIDTH = 760;
const PLOT = { left: 64, right: 20, top: 44, height: 270 };
const AXIS = 46; // below the plot: ticks and their label
const LEGEND_LINE = 22;

/** Okabe & Ito's colours for the colour-blind, as the page's style defines them. */
export const COLOURS = 8;
const colour = (i: number): string => `var(--series-${i % COLOURS})`;

export function chartSvg(chart: Chart): string {
  switch (chart.kind) {
    case 'line':
      return lineChart(chart);
    case 'bars':
      return barChart(chart);
    case 'heat':
      return heatMap(chart);
  }
}

const text = (x: number, y: number, content: string, attributes = ''): string =>
  `<text x="${fixed(x)}" y="${fixed(y)}" ${attributes}>${escapeHtml(content)}</text>`;
const fixed = (value: number): string => String(Number(value.toFixed(2)));

function svg(height: number, title: string, body: readonly string[]): string {
  const label = escapeHtml(title);
  return (
    `<svg class="chart" viewBox="0 0 ${WIDTH} ${fixed(height)}" role="img" aria-label="${label}">` +
    `${text(0, 18, title, 'class="title"')}${body.join('')}</svg>`
  );
}

/** Round steps of 1, 2 or 5 that go from `from` to beyond `to`. */
export function ticks(from: number, to: number, most = 6): number[] {
  const span = to - from || 1;
  const rough = span / (most - 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough - 1e-12)!;
  const first = Math.floor(from / step + 1e-9);
  const last = Math.ceil(to / step - 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => Number(((first + i) * step).toPrecision(12)));
}

interface Frame {
  readonly body: string[];
  readonly y: (value: number) => number;
  readonly bottom: number;
  readonly right: number;
}

/** Axis, grid and label of the values. */
function frame(values: readonly number[], { label, from, to }: LineChart['y']): Frame {
  const finite = values.filter(Number.isFinite);
  const marks = ticks(from ?? Math.min(0, ...finite), to ?? Math.max(...finite, 0));
  const [low, high] = [marks[0]!, marks.at(-1)!];
  const bottom = PLOT.top + PLOT.height;
  const right = WIDTH - PLOT.right;
  const y = (value: number) => bottom - ((value - low) / (high - low || 1)) * PLOT.height;
  const body = marks.flatMap((mark) => [
    `<line class="${mark === 0 ? 'axis' : 'grid'}" x1="${PLOT.left}" x2="${right}" y1="${fixed(y(mark))}" y2="${fixed(y(mark))}"/>`,
    text(PLOT.left - 8, y(mark) + 4, shortNumber(mark), 'text-anchor="end"'),
  ]);
  const middle = PLOT.top + PLOT.height / 2;
  body.push(text(0, 0, label, `text-anchor="middle" transform="translate(14 ${middle}) rotate(-90)"`));
  return { body, y, bottom, right };
}

/** Names with their colours, in lines that fit. */
function legend(names: readonly string[], top: number): { body: string[]; height: number } {
  if (names.length < 2) return { body: [], height: 0 };
  const body: string[] = [];
  let [x, line] = [PLOT.left, 0];
  for (const [i, name] of names.entries()) {
    const width = 34 + name.length * 7.2;
    if (x + width > WIDTH && x > PLOT.left) [x, line] = [PLOT.left, line + 1];
    const y = top + line * LEGEND_LINE;
    body.push(`<rect x="${fixed(x)}" y="${fixed(y - 9)}" width="12" height="12" rx="2" fill="${colour(i)}"/>`);
    body.push(text(x + 18, y + 2, name));
    x += width;
  }
  return { body, height: (line + 1) * LEGEND_LINE };
}

function lineChart({ title, x, y, series }: LineChart): string {
  const points = series.flatMap((one) => one.points);
  const frames = frame(
    points.flatMap(({ y, low = y, high = y }) => [y, low, high]),
    y,
  );
  const { body, bottom, right } = frames;
  const all = points.map((point) => point.x);
  const marks = x.ticks ?? ticks(Math.min(...all), Math.max(...all)).map((at) => ({ at, label: shortNumber(at) }));
  const [low, high] = [Math.min(...all, ...marks.map(({ at }) => at)), Math.max(...all, ...marks.map(({ at }) => at))];
  const inset = 14;
  const place = (value: number) =>
    PLOT.left + inset + ((value - low) / (high - low || 1)) * (right - PLOT.left - 2 * inset);
  for (const { at, label } of marks) body.push(text(place(at), bottom + 20, label, 'text-anchor="middle"'));
  body.push(text((PLOT.left + right) / 2, bottom + 40, x.label, 'text-anchor="middle"'));
  for (const [i, { points }] of series.entries()) {
    const sorted = [...points].sort((a, b) => a.x - b.x);
    const path = (of: (point: (typeof sorted)[number]) => number, list = sorted) =>
      list.map((point) => `${fixed(place(point.x))},${fixed(frames.y(of(point)))}`).join(' ');
    const banded = sorted.filter(({ low, high }) => low !== undefined && high !== undefined);
    if (banded.length > 1) {
      const edge = `${path(({ high }) => high!, banded)} ${path(({ low }) => low!, [...banded].reverse())}`;
      body.push(`<polygon points="${edge}" fill="${colour(i)}" opacity="0.16"/>`);
    }
    body.push(`<polyline points="${path((point) => point.y)}" fill="none" stroke="${colour(i)}" stroke-width="2.2"/>`);
    for (const point of sorted) {
      const at = `cx="${fixed(place(point.x))}" cy="${fixed(frames.y(point.y))}"`;
      body.push(`<circle ${at} r="3.2" fill="${colour(i)}"/>`);
    }
  }
  const names = legend(
    series.map(({ name }) => name),
    bottom + AXIS + 14,
  );
  return svg(bottom + AXIS + names.height + 8, title, [...body, ...names.body]);
}

function barChart({ title, y, groups }: BarChart): string {
  const names = [...new Set(groups.flatMap(({ bars }) => bars.map(({ name }) => name)))];
  const values = groups.flatMap(({ bars }) =>
    bars.flatMap(({ value, low = value, high = value }) => [value, low, high]),
  );
  const { body, y: place, bottom, right } = frame(values, y);
  const each = (right - PLOT.left) / groups.length;
  const isCrowded = groups.some(({ name }) => name.length * 7.5 > each);
  for (const [g, { name, bars }] of groups.entries()) {
    const centre = PLOT.left + (g + 0.5) * each;
    const width = Math.min(56, (each * 0.78) / bars.length);
    for (const [b, { name: bar, value, low, high }] of bars.entries()) {
      const x = centre + (b - bars.length / 2) * width;
      const [top, foot] = [Math.min(place(value), place(0)), Math.max(place(value), place(0))];
      const box = `x="${fixed(x + 1)}" y="${fixed(top)}" width="${fixed(width - 2)}" height="${fixed(foot - top)}"`;
      body.push(`<rect ${box} fill="${colour(names.indexOf(bar))}"/>`);
      if (low === undefined || high === undefined) continue;
      const middle = fixed(x + width / 2);
      body.push(
        `<line class="whisker" x1="${middle}" x2="${middle}" y1="${fixed(place(low))}" y2="${fixed(place(high))}"/>`,
      );
    }
    body.push(
      isCrowded
        ? text(0, 0, name, `text-anchor="end" transform="translate(${fixed(centre + 4)} ${bottom + 16}) rotate(-45)"`)
        : text(centre, bottom + 20, name, 'text-anchor="middle"'),
    );
  }
  const longest = Math.max(...groups.map(({ name }) => name.length));
  const labels = isCrowded ? 24 + longest * 5.2 : 30;
  const key = legend(names, bottom + labels + 14);
  return svg(bottom + labels + key.height + 8, title, [...body, ...key.body]);
}

function heatMap({ title, label, rows, columns, values }: HeatMap): string {
  const known = values.flat().filter((value): value is number => value !== undefined);
  const most = Math.max(...known.map(Math.abs), Number.MIN_VALUE);
  const left = 12 + Math.max(...rows.map((row) => row.length)) * 7.4;
  const cell = { width: Math.min(110, (WIDTH - left) / columns.length), height: 26 };
  const top = 72;
  const body = [text(0, 38, label, 'class="quiet"')];
  for (const [c, column] of columns.entries()) {
    body.push(text(left + (c + 0.5) * cell.width, top - 8, column, 'text-anchor="middle"'));
  }
  for (const [r, row] of rows.entries()) {
    const y = top + r * cell.height;
    body.push(text(left - 8, y + 18, row, 'text-anchor="end"'));
    for (const c of columns.keys()) {
      const value = values[r]![c];
      const share = value === undefined ? 0 : Math.abs(value) / most;
      const x = left + c * cell.width;
      const box = `x="${fixed(x + 1)}" y="${fixed(y + 1)}" width="${fixed(cell.width - 2)}" height="${cell.height - 2}" rx="3"`;
      body.push(
        `<rect ${box} fill="${colour(value !== undefined && value < 0 ? 1 : 0)}" opacity="${(0.08 + 0.62 * share).toFixed(3)}"/>`,
      );
      const shown = value === undefined ? '' : shortNumber(value);
      body.push(text(x + cell.width / 2, y + 18, shown, 'text-anchor="middle"'));
    }
  }
  return svg(top + rows.length * cell.height + 12, title, body);
}
