/** A report as Markdown, with its charts as SVG files beside it: for a repository, where HTML is not shown. */
import { join } from 'node:path';
import type { Block, Chart, Json, Report } from '@diffusion-soup/core';
import { writeFileAtomic } from '../atomic-file.js';
import { chartSvg } from './chart.js';
import { shortNumber } from './numbers.js';

/** What a page's style says of charts on white, in plain colours: viewers of images know no variables of CSS. */
const COLOURS: Readonly<Record<string, string>> = {
  ...{ ink: '#1c1c1e', quiet: '#6a6a70', line: '#8884' },
  ...{ 'series-0': '#0072b2', 'series-1': '#d55e00', 'series-2': '#009e73', 'series-3': '#cc79a7' },
  ...{ 'series-4': '#b38600', 'series-5': '#56b4e9', 'series-6': '#7a5195', 'series-7': '#666666' },
};
const STYLE =
  'text{fill:#1c1c1e;font:13px system-ui,sans-serif}.title{font-size:15px;font-weight:600}.quiet{fill:#6a6a70}' +
  '.grid{stroke:#8884;stroke-width:.7}.axis{stroke:#6a6a70}.whisker{stroke:#1c1c1e;stroke-width:1.4}';

/** A chart as a file of its own. */
export function standaloneSvg(chart: Chart): string {
  const svg = chartSvg(chart).replace(/var\(--([\w-]+)\)/g, (_, name: string) => COLOURS[name] ?? '#000');
  const white = '<rect width="100%" height="100%" fill="#fff"/>';
  return `${svg.replace('<svg ', '<svg xmlns="http://www.w3.org/2000/svg" ').replace('>', `><style>${STYLE}</style>${white}`)}\n`;
}

/** Writes OUT/<kind>.md and OUT/<kind>-<n>.svg; gives their paths. Pictures are left to the page. */
export async function writeMarkdown(report: Report, out: string): Promise<string[]> {
  const charts: Chart[] = [];
  const nameOf = (chart: Chart): string => {
    charts.push(chart);
    return `${report.kind}-${charts.length}.svg`;
  };
  const sections = report.sections.map(
    ({ title, blocks }) => `## ${title}\n\n${blocks.map((block) => blockText(block, nameOf)).join('\n\n')}`,
  );
  const text = [
    `# ${inMarkdown(report.title)}`,
    report.summary.map(inMarkdown).join('\n\n'),
    ...sections,
    `## How it was made\n\n\`\`\`sh\n${report.command}\n\`\`\``,
    tableText(
      ['', ''],
      Object.entries(report.setup).map(([name, value]) => [name, plain(value)]),
    ),
  ];
  const files: [string, string][] = [
    [join(out, `${report.kind}.md`), `${text.join('\n\n')}\n`],
    ...charts.map((chart, i): [string, string] => [join(out, `${report.kind}-${i + 1}.svg`), standaloneSvg(chart)]),
  ];
  for (const [path, content] of files) await writeFileAtomic(path, content);
  return files.map(([path]) => path);
}

function blockText(block: Block, nameOf: (chart: Chart) => string): string {
  switch (block.type) {
    case 'text':
      return inMarkdown(block.text);
    case 'chart':
      return `![${inMarkdown(block.chart.title)}](${nameOf(block.chart)})`;
    case 'table': {
      const rows = block.rows.map((row) => row.map((cell) => (typeof cell === 'number' ? shortNumber(cell) : cell)));
      return [
        ...(block.caption === undefined ? [] : [`*${inMarkdown(block.caption)}*`]),
        tableText(block.columns, rows),
      ].join('\n\n');
    }
    case 'pictures':
      return `*${inMarkdown(block.caption ?? 'Pictures')}: on the page.*`;
  }
}

const tableText = (columns: readonly string[], rows: readonly (readonly string[])[]): string =>
  [columns, columns.map(() => '---'), ...rows].map((row) => `| ${row.map(inMarkdown).join(' | ')} |`).join('\n');

const plain = (value: Json): string =>
  typeof value === 'object' && value !== null ? Object.values(value).map(plain).join(', ') : String(value);

/** Names of models and prompts are text, whatever characters they have. */
const inMarkdown = (text: string): string => text.replace(/[\\`*_<>|[\]]/g, '\\$&').replace(/\s+/g, ' ');
