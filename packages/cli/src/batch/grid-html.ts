/** Sheets as one HTML page that needs nothing beside it: pictures are in it, and no script. */
import { printable } from '../text.js';
import type { Sheet } from './grid.js';

export interface HtmlCell {
  readonly type: string;
  readonly bytes: Uint8Array;
  readonly title: string;
}

export const escapeHtml = (text: string): string =>
  printable(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif; }
body { margin: 2rem; }
table { border-collapse: separate; border-spacing: 8px; }
thead th { position: sticky; top: 0; background: Canvas; max-width: 24rem; font-weight: 500; vertical-align: bottom; }
tbody th { text-align: right; max-width: 16rem; font-weight: 500; padding-right: 8px; overflow-wrap: anywhere; }
img { display: block; max-width: 100%; }
td.none { background: #8882; }
.wide { overflow-x: auto; }
`;

export async function gridHtml(
  sheets: readonly Sheet[],
  title: string,
  cellOf: (sheet: number, row: number, column: number) => Promise<HtmlCell | undefined>,
): Promise<string> {
  const body: string[] = [];
  for (const [s, sheet] of sheets.entries()) {
    if (sheet.title !== '') body.push(`<h2>${escapeHtml(sheet.title)}</h2>`);
    const head = sheet.columns.map((column) => `<th scope="col">${escapeHtml(column)}</th>`).join('');
    const rows: string[] = [];
    for (const [r, row] of sheet.rows.entries()) {
      const cells: string[] = [];
      for (const c of sheet.columns.keys()) {
        const cell = await cellOf(s, r, c);
        const alt = cell && escapeHtml(cell.title);
        cells.push(
          cell
            ? `<td><img loading="lazy" alt="${alt}" title="${alt}" src="data:${cell.type};base64,${Buffer.from(cell.bytes).toString('base64')}"></td>`
            : '<td class="none"></td>',
        );
      }
      rows.push(`<tr><th scope="row">${escapeHtml(row)}</th>${cells.join('')}</tr>`);
    }
    body.push(
      `<div class="wide"><table><thead><tr><td></td>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div>`,
    );
  }
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
${body.join('\n')}
</html>
`;
}
