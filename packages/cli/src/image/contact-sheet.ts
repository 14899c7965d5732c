/** Many pictures on one sheet, as a photographer's contact sheet: columns are prompts, rows are models. */
import sharp from 'sharp';
import { printable } from '../text.js';
import { channelsOf, type Picture } from './png.js';
import { lineHeight, textElements, textWidth, wrapText } from './stroke-font.js';

export interface ContactSheet {
  /** Labels above the columns. */
  readonly columns: readonly string[];
  /** Labels left of the rows; empty ones take no space. */
  readonly rows: readonly string[];
  /** `pictures[row][column]`, all of one size; an undefined one leaves a grey field, as a failed picture should. */
  readonly pictures: readonly (readonly (Picture | undefined)[])[];
  readonly title?: string;
}

const INK = '#3a3a3c';
const EMPTY_FIELD = '#f0f0f2';
const MOST_LABEL_LINES = 3;
/** Letters as wide as they are high; most are narrower. */
const ROW_LETTERS = 14;

/** Where everything goes, in pixels. */
function layOut({ columns, rows, pictures, title }: ContactSheet) {
  const first = pictures.flat().find((picture) => picture !== undefined);
  if (first === undefined) throw new RangeError('a contact sheet needs at least one picture');
  const { width: cellWidth, height: cellHeight } = first;
  for (const picture of pictures.flat()) {
    if (picture !== undefined && (picture.width !== cellWidth || picture.height !== cellHeight)) {
      const found = `${picture.width} x ${picture.height}`;
      throw new RangeError(
        `the pictures of a contact sheet have one size: ${found} is not ${cellWidth} x ${cellHeight}`,
      );
    }
  }
  const capHeight = Math.round(Math.min(22, Math.max(9, cellWidth / 18)));
  const gap = Math.round(Math.min(24, Math.max(6, cellWidth / 24)));
  const margin = gap * 3;
  const line = lineHeight(capHeight);

  const columnLines = columns.map((label) => wrapText(printable(label), cellWidth, capHeight, MOST_LABEL_LINES));
  // Beside small pictures there is more room than above them.
  const rowRoom = Math.max(cellWidth, ROW_LETTERS * capHeight);
  const rowLines = rows.map((label) => wrapText(printable(label), rowRoom, capHeight, MOST_LABEL_LINES));
  const rowWidth = Math.ceil(Math.max(0, ...rowLines.flat().map((text) => textWidth(text, capHeight))));
  const columnHeight = Math.max(0, ...columnLines.map((lines) => lines.length)) * line;
  const across = Math.max(columns.length, ...pictures.map((row) => row.length));
  const left = margin + (rowWidth > 0 ? rowWidth + gap * 2 : 0);
  const width = left + across * (cellWidth + gap) - gap + margin;

  const titleHeight = Math.round(capHeight * 1.4);
  const titleLines = title === undefined ? [] : wrapText(printable(title), width - 2 * margin, titleHeight, 2);
  const titleBottom = margin + titleLines.length * lineHeight(titleHeight) + (titleLines.length > 0 ? gap : 0);
  const top = titleBottom + (columnHeight > 0 ? columnHeight + gap : 0);
  const height = top + pictures.length * (cellHeight + gap) - gap + margin;
  const xOf = (column: number) => left + column * (cellWidth + gap);
  const yOf = (row: number) => top + row * (cellHeight + gap);
  return {
    ...{ width, height, cellWidth, cellHeight, capHeight, gap, margin, line, left, top, rowWidth, xOf, yOf },
    ...{ columnLines, rowLines, titleLines, titleHeight },
  };
}

type Layout = ReturnType<typeof layOut>;

/** All text as strips of SVG: one per label, so that the largest sheet needs no drawing of its own size. */
function labels(layout: Layout): { svg: string; left: number; top: number }[] {
  const { capHeight, line, gap, margin, cellWidth, cellHeight, rowWidth, xOf, yOf } = layout;
  const strips: { svg: string; left: number; top: number }[] = [];
  // Room around the letters for descenders and the width of the pen.
  const room = Math.ceil(capHeight / 2);
  type Strip = { lines: string[]; left: number; top: number; width: number; cap: number; align: 0 | 0.5 | 1 };
  const add = ({ lines, left, top, width, cap, align }: Strip) => {
    if (lines.length === 0) return;
    const step = lineHeight(cap);
    const text = lines.map((content, i) => {
      const x = room + (width - textWidth(content, cap)) * align;
      return textElements(content, x, room + i * step, cap);
    });
    const size = `width="${Math.ceil(width) + 2 * room}" height="${lines.length * step + 2 * room}"`;
    const svg = `<svg xmlns="http://www.w3.org/2000/svg" ${size} stroke="${INK}">${text.join('')}</svg>`;
    strips.push({ svg, left: Math.round(left) - room, top: Math.round(top) - room });
  };

  const { titleLines, titleHeight, width } = layout;
  add({ lines: titleLines, left: margin, top: margin, width: width - 2 * margin, cap: titleHeight, align: 0 });
  layout.columnLines.forEach((lines, column) => {
    // The last line stands on one level over all columns.
    const top = layout.top - gap - capHeight - (lines.length - 1) * line;
    add({ lines, left: xOf(column), top, width: cellWidth, cap: capHeight, align: 0.5 });
  });
  layout.rowLines.forEach((lines, row) => {
    const top = yOf(row) + (cellHeight - (lines.length - 1) * line - capHeight) / 2;
    add({ lines, left: margin, top, width: rowWidth, cap: capHeight, align: 1 });
  });
  return strips;
}

/** The sheet as an RGB picture on white. */
export async function contactSheet(sheet: ContactSheet): Promise<Picture> {
  const layout = layOut(sheet);
  const { width, height, cellWidth, cellHeight, xOf, yOf } = layout;
  const field = { create: { width: cellWidth, height: cellHeight, channels: 3 as const, background: EMPTY_FIELD } };
  const fields = sheet.pictures.flatMap((row, y) =>
    Array.from({ length: Math.max(row.length, sheet.columns.length) }, (_, x) => {
      const picture = row[x];
      const place = { left: xOf(x), top: yOf(y) };
      if (picture === undefined) return { input: field, ...place };
      const { buffer, byteOffset, byteLength } = picture.pixels;
      const raw = { width: cellWidth, height: cellHeight, channels: channelsOf(picture) };
      return { input: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength), raw, ...place };
    }),
  );
  const text = labels(layout).map(({ svg, left, top }) => ({ input: Buffer.from(svg), left, top }));
  const pixels = await sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
    .composite([...fields, ...text])
    .removeAlpha()
    .raw()
    .toBuffer();
  return { width, height, pixels: new Uint8Array(pixels) };
}
