/** A report as one HTML page that needs nothing beside it: no script, charts and pictures within. */
import type { Block, Json, Report, ReportPicture } from '@diffusion-soup/core';
import { escapeHtml } from '../batch/grid-html.js';
import { chartSvg } from './chart.js';
import { shortNumber } from './numbers.js';

export interface PictureBytes {
  readonly type: 'image/webp' | 'image/png';
  readonly bytes: Uint8Array;
}
export type PictureOf = (id: string) => Promise<PictureBytes>;

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; --ink: #1c1c1e; --quiet: #6a6a70; --line: #8884;
  --series-0: #0072b2; --series-1: #d55e00; --series-2: #009e73; --series-3: #cc79a7; --series-4: #b38600;
  --series-5: #56b4e9; --series-6: #7a5195; --series-7: #666666; }
@media (prefers-color-scheme: dark) { :root { --ink: #f2f2f4; --quiet: #a2a2aa; --line: #fff3;
  --series-0: #56b4e9; --series-1: #ff8c42; --series-2: #2fd6a3; --series-3: #e7a3c8; --series-4: #f0e442;
  --series-5: #9bd1ff; --series-6: #b99bd8; --series-7: #b0b0b0; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: var(--ink); background: Canvas; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.25rem; margin-top: 2.4rem; border-top: 1px solid var(--line); padding-top: 1rem; }
p { max-width: 46rem; } figcaption, caption, .quiet { color: var(--quiet); } caption { text-align: left; padding: 4px 0; }
pre { white-space: pre-wrap; padding: .7rem 1rem; background: #8881; border-radius: 6px; font-size: 13px; }
.wide { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
table.numbers td, table.numbers th { padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); text-align: left; }
table.numbers .n { text-align: right; } td + td { overflow-wrap: anywhere; } td { vertical-align: top; }
table.pictures { border-spacing: 6px; border-collapse: separate; } table.pictures th { font-weight: 500; max-width: 11rem; }
table.pictures thead th { max-width: 8rem; } table.pictures tbody th { text-align: right; padding-right: 6px; } table.pictures td.none { background: #8882; }
img { display: block; background: #fff; border-radius: 3px; }
svg.chart { width: 100%; max-width: 760px; height: auto; display: block; margin: 1.2rem 0; }
svg text { fill: var(--ink); font-size: 13px; } svg .title { font-size: 15px; font-weight: 600; } svg .quiet { fill: var(--quiet); }
svg .grid { stroke: var(--line); stroke-width: .7; } svg .axis { stroke: var(--quiet); } svg .whisker { stroke: var(--ink); stroke-width: 1.4; }
`;

export async function reportHtml(report: Report, pictureOf: PictureOf): Promise<string> {
  const { title, summary, command, setup, sections } = report;
  const body = [`<h1>${escapeHtml(title)}</h1>`, ...summary.map((text) => `<p>${escapeHtml(text)}</p>`)];
  for (const section of sections) {
    body.push(`<h2>${escapeHtml(section.title)}</h2>`);
    for (const block of section.blocks) body.push(await blockHtml(block, pictureOf));
  }
  const facts = Object.entries(setup).flatMap(([name, value]) => factRows(name, value));
  body.push('<h2>How it was made</h2>', `<pre>${escapeHtml(command)}</pre>`);
  body.push(numbersHtml(['', ''], facts));
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
${body.join('\n')}
</html>
`;
}

/** A row for a fact, or one for each map of a list. */
function factRows(name: string, value: Json): string[][] {
  const isList = Array.isArray(value) && value.some((item) => typeof item === 'object');
  if (!isList) return [[name, flat(value)]];
  return (value as readonly Json[]).map((item, i) => [i === 0 ? name : '', flat(item)]);
}

/** A list or a map in one line; of a map only what is called otherwise than "name" is named. */
function flat(value: Json): string {
  if (Array.isArray(value)) return value.map(flat).join(', ');
  if (typeof value !== 'object' || value === null) return String(value);
  return Object.entries(value)
    .map(([name, inner]) => (name === 'name' ? flat(inner) : `${name} ${flat(inner)}`))
    .join(', ');
}

async function blockHtml(block: Block, pictureOf: PictureOf): Promise<string> {
  switch (block.type) {
    case 'text':
      return `<p>${escapeHtml(block.text)}</p>`;
    case 'table':
      return numbersHtml(block.columns, block.rows, block.caption);
    case 'chart':
      return `<figure style="margin:0">${chartSvg(block.chart)}</figure>`;
    case 'pictures':
      return picturesHtml(block, pictureOf);
  }
}

function numbersHtml(
  columns: readonly string[],
  rows: readonly (readonly (string | number)[])[],
  caption?: string,
): string {
  const isNumber = columns.map((_, c) => rows.some((row) => typeof row[c] === 'number'));
  const tag = (name: string, c: number, text: string) =>
    `<${name}${isNumber[c] ? ' class="n"' : ''}>${escapeHtml(text)}</${name}>`;
  const head = columns.some((column) => column !== '')
    ? `<thead><tr>${columns.map((column, c) => tag('th', c, column)).join('')}</tr></thead>`
    : '';
  const body = rows
    .map((row) => row.map((cell, c) => tag('td', c, typeof cell === 'number' ? shortNumber(cell) : cell)).join(''))
    .map((row) => `<tr>${row}</tr>`)
    .join('\n');
  const title = caption === undefined ? '' : `<caption>${escapeHtml(caption)}</caption>`;
  return `<div class="wide"><table class="numbers">${title}${head}<tbody>${body}</tbody></table></div>`;
}

async function picturesHtml(block: Extract<Block, { type: 'pictures' }>, pictureOf: PictureOf): Promise<string> {
  const head = block.columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
  const rows: string[] = [];
  for (const [r, row] of block.cells.entries()) {
    const cells: string[] = [];
    for (const picture of row) cells.push(picture ? await imageHtml(picture, pictureOf) : '<td class="none"></td>');
    rows.push(`<tr><th scope="row">${escapeHtml(block.rows[r] ?? '')}</th>${cells.join('')}</tr>`);
  }
  const caption = block.caption === undefined ? '' : `<caption>${escapeHtml(block.caption)}</caption>`;
  const body = `<thead><tr><td></td>${head}</tr></thead><tbody>${rows.join('\n')}</tbody>`;
  return `<div class="wide"><table class="pictures">${caption}${body}</table></div>`;
}

async function imageHtml({ title, id }: ReportPicture, pictureOf: PictureOf): Promise<string> {
  const { type, bytes } = await pictureOf(id);
  const alt = escapeHtml(title);
  return `<td><img alt="${alt}" title="${alt}" src="data:${type};base64,${Buffer.from(bytes).toString('base64')}"></td>`;
}
